"""Which tasks mirror training images where nothing is said."""

from dataclasses import replace

import pytest
import torch

import radapter
from radapter.data import open_masks, open_pairs
from radapter.segmentation import FelzenszwalbProposer, region_crops
from radapter.segmentation.training_regions import MaskRegions
from radapter.tasks.retrieval import RetrievalSuite
from radapter.tasks.segmentation import SegmentationSuite


def _scenes(kind):
    return kind({"world": "scenes", "styles": "photo", "size": 24})


@pytest.fixture
def suites(suite):
    pairs, masks = _scenes(open_pairs), _scenes(open_masks)
    return {
        "classification": suite,
        "retrieval": RetrievalSuite(train=pairs, id_val=None, id_test={"same": pairs}, ood={}),
        "segmentation": SegmentationSuite(
            train=MaskRegions(masks), id_val=None, id_test={"same": masks}, ood={}, templates=("a {}.",),
            proposer=FelzenszwalbProposer(min_size=60), crop=region_crops,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("flipped", [None, True, False])
@pytest.mark.parametrize("task", ["classification", "retrieval", "segmentation"])
def test_retrieval_alone_never_mirrors_unless_set(suites, recipe, task, flipped):
    def pixels(flip):
        loader, _ = suites[task].training(
            radapter.load("world:tiny"), replace(recipe, flip=flip), seed=0, memory=None
        )
        return next(iter(loader.epoch(0))).pixels

    same = torch.equal(pixels(flipped), pixels(False))
    assert same == (task == "retrieval" if flipped is None else not flipped)
