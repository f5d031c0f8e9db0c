"""Retrieval ranks: against sorting whole lists, by hand, and without the matrix of all against all."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ranks as reference
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from radapter.evaluation import (
    RetrievalRanks,
    positive_pairs,
    retrieval_metrics,
    retrieval_metrics_over_folds,
    retrieval_ranks,
    retrieval_ranks_of_groups,
)
from radapter.evaluation.cosines import on_grid

# The corners of the 24-cell: unit vectors whose cosines are -1, -1/2, 0, 1/2, 1, so that ties abound.
AXES = torch.cat((torch.eye(4), -torch.eye(4)))
CORNERS = torch.cat((AXES, torch.tensor(list(itertools.product((0.5, -0.5), repeat=4)))))


@st.composite
def tied(draw):
    """Images, texts, the image of each text, a tile; one to four captions an image, in any order."""
    images, seed, tile = (
        draw(st.integers(1, 5)),
        draw(st.integers(0, 10_000)),
        draw(st.sampled_from((2, 5, 64))),
    )
    generator = torch.Generator().manual_seed(seed)
    captions = torch.randint(1, 5, (images,), generator=generator)
    image_of_text = torch.arange(images).repeat_interleave(captions)
    image_of_text = image_of_text[torch.randperm(len(image_of_text), generator=generator)]
    kinds = draw(st.sampled_from((2, 8, 24)))
    features = [
        CORNERS[torch.randint(kinds, (n,), generator=generator)] for n in (images, len(image_of_text))
    ]
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    return *(x.to(dtype) for x in features), image_of_text, tile


@settings(max_examples=1000)
@given(tied())
def test_ranks_equal_sorting_whole_lists(case):
    images, texts, image_of_text, tile = case
    lists = images.tolist(), texts.tolist(), image_of_text.tolist()
    ranks = retrieval_ranks(images, texts, image_of_text, tile=tile)
    assert ranks.text_to_image.tolist() == reference.text_to_image(*lists)
    assert ranks.image_to_text.tolist() == reference.image_to_text(*lists)


@given(tied(), st.randoms(use_true_random=False))
def test_ranks_follow_a_permutation_of_images_and_of_texts(case, random):
    images, texts, image_of_text, tile = case
    of_images, of_texts = (torch.tensor(random.sample(range(len(x)), len(x))) for x in (images, texts))
    place = of_images.argsort()
    moved = retrieval_ranks(images[of_images], texts[of_texts], place[image_of_text[of_texts]], tile=tile)
    ranks = retrieval_ranks(images, texts, image_of_text)
    assert moved.text_to_image.equal(ranks.text_to_image[of_texts])
    assert moved.image_to_text.equal(ranks.image_to_text[of_images])


# Four images along the axes, eight captions: two an image. The cosines, image by image:
#   caption       0    1    2    3    4    5    6    7
#   of image      0    0    1    1    2    2    3    3
#   image 0       1    0    0   .5   .5    0    0   .5
#   image 1       0    1    1   .5   .5    0    0   .5
#   image 2       0    0    0  -.5   .5    1    1   .5
#   image 3       0    0    0   .5   .5    0    0  -.5
BY_HAND = CORNERS[:4]
CAPTIONS = torch.tensor(
    [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
        [0.5, 0.5, -0.5, 0.5],
        [0.5, 0.5, 0.5, 0.5],
        [0, 0, 1, 0],
        [0, 0, 1, 0],
        [0.5, 0.5, 0.5, -0.5],
    ]
)
OF_IMAGE = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])


def test_ranks_worked_by_hand():
    ranks = retrieval_ranks(BY_HAND, CAPTIONS, OF_IMAGE)
    # Caption 1 shows image 1: its own ties with two others below that. 3 ties with two, 4 with all.
    assert ranks.text_to_image.tolist() == [1, 4, 1, 3, 4, 1, 4, 4]
    # Image 1's best caption ties with a wrong one. Image 3's is caption 6 at 0: with 0, 1, 2, 5 tied, 3 and 4 above.
    assert ranks.image_to_text.tolist() == [1, 2, 2, 7]


@given(tied(), st.integers(1, 3))
def test_ranks_of_groups_equal_sorting_whole_lists(case, groups):
    images, texts, image_of_text, tile = case
    group = torch.arange(len(images)) % groups
    pairs = positive_pairs(group, group[image_of_text])
    of_image = [{t for i, t in pairs.tolist() if i == image} for image in range(len(images))]
    of_text = [{i for i, t in pairs.tolist() if t == text} for text in range(len(texts))]
    ranks = retrieval_ranks_of_groups(images, texts, pairs.flip(0), tile=tile)
    lists = images.tolist(), texts.tolist()
    assert ranks.image_to_text.tolist() == reference.of_the_best(*lists, of_image)
    assert ranks.text_to_image.tolist() == reference.of_the_best(*lists[::-1], of_text)


@given(tied())
def test_ranks_of_groups_of_one_image_are_those_of_own_captions(case):
    images, texts, image_of_text, tile = case
    own = torch.stack((image_of_text, torch.arange(len(texts))), 1)
    ranks = retrieval_ranks(images, texts, image_of_text)
    of_groups = retrieval_ranks_of_groups(images, texts, own, tile=tile)
    assert of_groups.text_to_image.equal(ranks.text_to_image)
    assert of_groups.image_to_text.equal(ranks.image_to_text)


def test_equal_captions_of_one_group_do_not_stand_in_each_others_way():
    # Two cats and a dog, captioned by class: by its own caption alone no cat could be first.
    images = torch.stack((AXES[0], AXES[0], AXES[1]))
    group = torch.tensor([0, 0, 1])
    of_groups = retrieval_ranks_of_groups(images, images, positive_pairs(group, group))
    assert of_groups.image_to_text.tolist() == of_groups.text_to_image.tolist() == [1, 1, 1]
    assert retrieval_ranks(images, images, torch.arange(3)).image_to_text.tolist() == [2, 2, 1]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([[0, 0], [0, 1]], "every image must have a positive. 1 of 2 have none, the first is image 1"),
        ([[0, 0], [1, 0]], "every text must have a positive. 1 of 2 have none, the first is text 1"),
        ([[0, 0], [1, 2]], r"positives must name texts in \[0, 2\)"),
        ([0, 1], r"positives must be int, \(P, 2\)"),
    ],
)
def test_positives_that_do_not_fit_are_named(pairs, said):
    with pytest.raises(ValueError, match=said):
        retrieval_ranks_of_groups(AXES[:2], AXES[:2], torch.tensor(pairs))


def test_metrics_worked_by_hand():
    metrics = retrieval_metrics(retrieval_ranks(BY_HAND, CAPTIONS, OF_IMAGE))
    assert metrics == {
        "i2t_r1": 0.25,
        "i2t_r5": 0.75,
        "i2t_r10": 1.0,
        "t2i_r1": 0.375,
        "t2i_r5": 1.0,
        "t2i_r10": 1.0,
        "rsum": 4.375,
        "i2t_median_rank": 2.0,
        "i2t_mean_rank": 3.0,
        "t2i_median_rank": 3.5,
        "t2i_mean_rank": 2.75,
        "n": 4,
        "texts": 8,
    }


def test_a_model_that_scores_everything_alike_retrieves_nothing():
    ranks = retrieval_ranks(AXES[:1].expand(20, 4), AXES[:1].expand(40, 4), torch.arange(40) % 20)
    assert set(ranks.text_to_image.tolist()) == {20}
    assert set(ranks.image_to_text.tolist()) == {39}  # its own second caption does not stand in the way


def test_a_perfect_model_has_an_rsum_of_six():
    metrics = retrieval_metrics(retrieval_ranks(CORNERS, CORNERS, torch.arange(24)))
    assert metrics["rsum"] == 6
    assert metrics["i2t_median_rank"] == metrics["t2i_mean_rank"] == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ranks_of_any_features_do_not_depend_on_the_tile(dtype):
    generator = torch.Generator().manual_seed(0)
    images = normalize(torch.randn(30, 17, generator=generator, dtype=torch.float64)).to(dtype)
    texts = normalize(torch.randn(45, 17, generator=generator, dtype=torch.float64)).to(dtype)
    images[20:], texts[30:] = images[:10], texts[:15]  # copies, which meet their twins in other tiles
    of_image = torch.arange(45) % 30
    lists = images.tolist(), texts.tolist(), of_image.tolist()
    expected = reference.text_to_image(*lists), reference.image_to_text(*lists)
    for tile in (1, 7, 32, 1024):
        ranks = retrieval_ranks(images, texts, of_image, tile=tile)
        assert (ranks.text_to_image.tolist(), ranks.image_to_text.tolist()) == expected


def test_products_on_the_grid_are_exact_in_any_order():
    generator = torch.Generator().manual_seed(0)
    x, y = (normalize(torch.randn(50, 777, generator=generator)) for _ in range(2))
    whole, turned = on_grid(x) @ on_grid(y).T, (on_grid(y).flip(1) @ on_grid(x).flip(1).T).T
    one_by_one = torch.stack([(on_grid(x) * on_grid(row[None])).sum(1) for row in y], 1)
    assert whole.equal(turned)
    assert whole.equal(one_by_one)
    assert int(whole[3, 5] * 2**52) == reference.score(x[3].tolist(), y[5].tolist())


def test_the_grid_moves_a_cosine_less_than_float32_can_hold():
    generator = torch.Generator().manual_seed(0)
    x, y = (normalize(torch.randn(200, 512, generator=generator, dtype=torch.float64)) for _ in range(2))
    assert (on_grid(x) @ on_grid(y).T - x @ y.T).abs().max() < 2**-24


class Largest(TorchDispatchMode):
    """Remembers how many elements the largest tensor had that any operation gave."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(given):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return given


def test_the_matrix_of_all_against_all_never_exists():
    images, texts = CORNERS.repeat(20, 1), CORNERS.repeat(40, 1)
    with Largest() as seen:
        retrieval_ranks(images, texts, torch.arange(960) % 480, tile=32)
    assert seen.elements <= max(32 * 32, texts.numel()) < len(images) * len(texts) / 100


def test_folds_are_the_mean_of_blocks_of_images():
    generator = torch.Generator().manual_seed(0)
    images, texts = CORNERS[torch.randint(24, (15,), generator=generator)], CORNERS.repeat(2, 1)[:45]
    of_image = torch.arange(45) % 15
    folds = retrieval_metrics_over_folds(images, texts, of_image, folds=3)
    blocks = []
    for start in (0, 5, 10):
        here = (of_image >= start) & (of_image < start + 5)
        blocks.append(
            retrieval_metrics(retrieval_ranks(images[start : start + 5], texts[here], of_image[here] - start))
        )
    for name in ("i2t_r1", "t2i_r5", "rsum", "t2i_median_rank"):
        assert folds[name] == pytest.approx(sum(block[name] for block in blocks) / 3)
    assert (folds["n"], folds["texts"]) == (15, 45)


def test_one_fold_is_the_whole_set():
    whole = retrieval_metrics(retrieval_ranks(BY_HAND, CAPTIONS, OF_IMAGE))
    assert retrieval_metrics_over_folds(BY_HAND, CAPTIONS, OF_IMAGE, folds=1) == whole


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"image_of_text": torch.tensor([0, 0, 1, 1, 3, 3, 3, 3])}, "1 of 4 have none, the first is image 2"),
        ({"image_of_text": torch.tensor([0, 0, 1, 1, 2, 2, 3, 4])}, r"the first is text 7\s+with 4"),
        ({"image_of_text": OF_IMAGE[:7]}, r"image_of_text must be int, \(M,\) = \(8,\)"),
        ({"image_of_text": OF_IMAGE.float()}, "Got torch.float32"),
        ({"text_features": 3 * CAPTIONS}, "text_features must have rows of unit norm. 8 of 8"),
        ({"image_features": BY_HAND * torch.nan}, "image_features must have rows of unit norm"),
        ({"image_features": torch.eye(3)}, "of one width"),
        ({"image_features": BY_HAND.int()}, "image_features must be float"),
        ({"tile": 0}, "tile must be >= 1. Got 0"),
    ],
)
def test_input_that_does_not_fit_is_named(changed, said):
    given = {"image_features": BY_HAND, "text_features": CAPTIONS, "image_of_text": OF_IMAGE} | changed
    with pytest.raises(ValueError, match=said):
        retrieval_ranks(**given)


def test_folds_that_do_not_divide_the_images_are_refused():
    with pytest.raises(ValueError, match=r"folds must divide the number of images, 4\. Got 3"):
        retrieval_metrics_over_folds(BY_HAND, CAPTIONS, OF_IMAGE, folds=3)


def test_median_of_an_even_number_of_ranks_lies_between_them():
    ranks = RetrievalRanks(text_to_image=torch.tensor([1, 2]), image_to_text=torch.tensor([1, 4]))
    assert retrieval_metrics(ranks)["i2t_median_rank"] == 2.5
