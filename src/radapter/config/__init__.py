"""The settings of a run: their schema, how a YAML file is read, what its mistakes are called.

Reading order: schema.py (the keys of every task), classification.py, retrieval.py, segmentation.py (those of one),
sources.py (what may stand in data), reading.py (file and overrides to a
configuration), problems.py (what is said about a wrong key).
"""

from radapter.config.classification import RunConfig
from radapter.config.reading import (
    differences,
    fingerprint,
    load_config,
    load_stored,
    overridden,
    resolved_yaml,
)
from radapter.config.retrieval import RetrievalRunConfig
from radapter.config.schema import CommonConfig
from radapter.config.segmentation import SegmentationRunConfig

__all__ = [
    "CommonConfig",
    "RetrievalRunConfig",
    "RunConfig",
    "SegmentationRunConfig",
    "differences",
    "fingerprint",
    "load_config",
    "load_stored",
    "overridden",
    "resolved_yaml",
]
