"""The settings of a run: their schema, how a YAML file is read, what its mistakes are called.

Reading order: schema.py (every key), sources.py (where data come from), reading.py (file and overrides to a
`RunConfig`), problems.py (what is said about a wrong key).
"""

from radapter.config.reading import differences, fingerprint, load_config, resolved_yaml
from radapter.config.schema import RunConfig

__all__ = ["RunConfig", "differences", "fingerprint", "load_config", "resolved_yaml"]
