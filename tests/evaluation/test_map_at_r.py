"""mAP@R: against sorting whole lists, and by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import ranks as reference

from radapter.evaluation import positive_pairs, retrieval_map_at_r

AXES = torch.cat((torch.eye(3), -torch.eye(3)))


@st.composite
def judged(draw):
    """Images and texts from six directions, and positives: each image and each text has one at least."""
    images, texts, tile = draw(st.integers(1, 6)), draw(st.integers(1, 8)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    right = torch.rand(images, texts, generator=generator) < draw(st.sampled_from((0.0, 0.3)))
    right[torch.arange(images), torch.randint(texts, (images,), generator=generator)] = True
    right[torch.randint(images, (texts,), generator=generator), torch.arange(texts)] = True
    rows = (AXES[torch.randint(6, (size,), generator=generator)] for size in (images, texts))
    return *rows, right.nonzero(), tile


@given(judged())
def test_map_at_r_equals_sorting_whole_lists(case):
    images, texts, pairs, tile = case
    of_image = [{t for i, t in pairs.tolist() if i == image} for image in range(len(images))]
    of_text = [{i for i, t in pairs.tolist() if t == text} for text in range(len(texts))]
    found = retrieval_map_at_r(images, texts, pairs, tile=tile)
    assert found == {
        "i2t_map_at_r": pytest.approx(reference.map_at_r(images.tolist(), texts.tolist(), of_image)),
        "t2i_map_at_r": pytest.approx(reference.map_at_r(texts.tolist(), images.tolist(), of_text)),
    }


def test_map_at_r_worked_by_hand():
    images = torch.tensor([[1.0, 0.0]])
    texts = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    others = torch.tensor([[0.0, 1.0]])
    # Image 0 wants texts 0, 2 and 3 and finds 0, (1), 2, 3: R = 3, (1/1 + 0 + 2/3) / 3 = 5/9.
    # Image 1 wants text 1 and finds 3 first: R = 1, 0.
    pairs = torch.tensor([[0, 0], [0, 2], [0, 3], [1, 1]])
    found = retrieval_map_at_r(torch.cat((images, others)), texts, pairs)
    assert found["i2t_map_at_r"] == pytest.approx(5 / 18)
    # Texts 0 and 3 want image 0: found, missed. Text 1 wants image 1: missed. Text 2 wants image 0: missed.
    assert found["t2i_map_at_r"] == pytest.approx(1 / 4)


def test_a_wrong_item_of_the_same_score_stands_first():
    image, same = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    images = torch.cat((image, -image))
    assert retrieval_map_at_r(images, same, torch.tensor([[0, 0], [1, 1]]))["i2t_map_at_r"] == 0


def test_two_right_items_of_the_same_score_do_not_hurt():
    images, texts = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert retrieval_map_at_r(images, texts, torch.tensor([[0, 0], [0, 1]]))["i2t_map_at_r"] == 1


def test_order_and_repetition_of_the_pairs_do_not_matter():
    images, texts = AXES[[0, 1, 0]], AXES[[0, 1, 2]]
    pairs = torch.tensor([[0, 0], [1, 1], [2, 2], [2, 0]])
    again = torch.cat((pairs.flip(0), pairs))
    assert retrieval_map_at_r(images, texts, again) == retrieval_map_at_r(images, texts, pairs)


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_positive_pairs_are_those_of_one_target(images, texts):
    pairs = positive_pairs(torch.tensor(images, dtype=torch.int64), torch.tensor(texts, dtype=torch.int64))
    assert pairs.tolist() == [
        [i, t] for i, image in enumerate(images) for t, text in enumerate(texts) if image == text
    ]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([[0, 0], [1, 1]], "every text must have a positive. 1 of 3 have none, the first is text 2"),
        (
            [[0, 0], [0, 1], [0, 2]],
            "every image must have a positive. 1 of 2 have none, the first is image 1",
        ),
        ([[0, 0], [1, 1], [2, 2]], r"positives must name images in \[0, 2\). Got 0 to 2"),
        ([0, 1], r"positives must be int, \(P, 2\)"),
    ],
)
def test_positives_that_do_not_fit_are_named(pairs, said):
    with pytest.raises(ValueError, match=said):
        retrieval_map_at_r(AXES[:2], AXES[:3], torch.tensor(pairs))
