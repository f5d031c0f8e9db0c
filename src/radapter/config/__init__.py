"""The settings of a run: their schema, how a YAML file is read, and how a run is built from them.

Reading order: schema.py (keys of all tasks), classification.py, retrieval.py, segmentation.py (keys and suite of one
task), sources.py (sources in `data`), reading.py (file and overrides to a configuration), problems.py (messages on
wrong keys), building.py (from a configuration to a recipe and a suite).
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
