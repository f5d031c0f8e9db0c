"""What the tests of data share."""

import datasets
import pytest


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Hugging Face `datasets` keeps what it prepares with the tests' files, not in the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.getbasetemp() / "datasets")
