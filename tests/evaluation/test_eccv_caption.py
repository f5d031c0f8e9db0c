"""What the authors' package is given, and that its figures are ours where both have them."""

import sys

import pytest
import torch
from torch.nn.functional import normalize

from radapter.errors import DataError, MissingExtraError
from radapter.evaluation import retrieval_metrics, retrieval_ranks
from radapter.evaluation.eccv_caption import _package, eccv_caption_metrics, judged, ranked_ids

EYE = torch.eye(3)


def test_ranked_ids_worked_by_hand():
    queries = normalize(torch.tensor([[3.0, 2.0, 1.0], [0.0, 1.0, 0.0]]))
    found = ranked_ids(queries, EYE, [700, 500], [30, 10, 20], top=2, tile=1)
    assert found == {700: [30, 10], 500: [10, 30]}  # 30 and 20 tie: the earlier


@pytest.mark.parametrize(
    ("query_ids", "item_ids", "said"),
    [([1, 2], [1, 2, 3], "one id per row"), ([1, 2, 2], [1, 2, 3], "query_ids must differ. 1 occur twice")],
)
def test_ids_that_do_not_fit_are_named(query_ids, item_ids, said):
    with pytest.raises(ValueError, match=said):
        ranked_ids(EYE, EYE, query_ids, item_ids, top=1)


def test_recalls_of_the_package_are_ours():
    metrics = _package().Metrics()
    # The first 80 judged images and their captions alone: the whole split takes half a minute to rank.
    images = sorted(metrics.eccv_gts["i2t"])[:80]
    captions = [caption for image in images for caption in metrics.coco_gts["i2t"][image]]
    for truth in (metrics.coco_gts, metrics.cxc_gts, metrics.eccv_gts):
        for direction, ids in (("i2t", images), ("t2i", captions)):
            truth[direction] = {i: truth[direction][i] for i in ids if i in truth[direction]}
    own = torch.tensor([images.index(metrics.coco_gts["t2i"][caption][0]) for caption in captions])
    generator = torch.Generator().manual_seed(0)
    image_features = normalize(torch.randn(80, 16, generator=generator))
    noise = torch.randn(len(own), 16, generator=generator)
    text_features = normalize(image_features[own] + 0.3 * noise)
    theirs = judged(
        metrics,
        ranked_ids(image_features, text_features, images, captions, top=50),
        ranked_ids(text_features, image_features, captions, images, top=50),
    )
    ours = retrieval_metrics(retrieval_ranks(image_features, text_features, own))
    for recall in ("r1", "r5", "r10"):
        for direction in ("i2t", "t2i"):
            assert theirs[f"{direction}_coco_5k_{recall}"] == pytest.approx(ours[f"{direction}_{recall}"])
    assert 0 < theirs["i2t_eccv_map_at_r"] < theirs["i2t_eccv_rprecision"] < 1


def test_a_part_of_the_split_is_refused():
    with pytest.raises(DataError, match="image_ids must hold the 5000 ids"):
        eccv_caption_metrics(EYE, EYE, [1, 2, 3], [1, 2, 3])


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "eccv_caption", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'radapter\[eccv-caption\]'"):
        eccv_caption_metrics(EYE, EYE, [1, 2, 3], [1, 2, 3])
