"""Target classes: what joins them, and how they are counted."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.equivalence import related

from radapter.data import open_pairs
from radapter.data.pairs.equivalence import class_figures, normalised, target_classes, warn_if_large
from radapter.errors import DataError


def classes(captions, images, groups, **options):
    return target_classes(captions, torch.tensor(images), torch.tensor(groups), **options).tolist()


def test_a_shared_caption_joins_two_images():
    assert classes(["a dog", "a cat", "a dog", "a cow"], [0, 0, 1, 2], [0, 1, 2]) == [0, 0, 1]


def test_joining_is_transitive():
    assert classes(["a", "b", "b", "c", "c", "d"], [0, 0, 1, 1, 2, 3], [0, 1, 2, 3]) == [0, 0, 0, 1]


def test_images_of_one_group_are_one_class_without_joining():
    assert classes(["a", "b", "a"], [0, 1, 2], [7, 7, 9], join=False) == [0, 0, 1]


def test_joining_can_be_switched_off():
    assert classes(["a", "a"], [0, 1], [0, 1], join=False) == [0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [("A  Dog\n", "a dog"), ("STRASSE", "straße"), ("\uff41 dog", "a dog"), ("a\u00a0dog", "a dog")],
)
def test_case_width_and_white_space_do_not_tell_captions_apart(one, other):
    assert normalised(one) == normalised(other)


def test_punctuation_tells_captions_apart():
    assert normalised("a dog .") != normalised("a dog")


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, n - 1), min_size=n, max_size=n),
            st.lists(
                st.tuples(st.sampled_from(["a", "A", "b", "c ", "c", "d", "e", "f"]), st.integers(0, n - 1)),
                max_size=12,
            ),
        )
    )
)
def test_classes_are_the_closure_of_groups_and_shared_captions(drawn):
    groups, pairs = drawn
    captions, images = [text for text, _ in pairs], [image for _, image in pairs]
    found = target_classes(captions, torch.tensor(images, dtype=torch.int64), torch.tensor(groups)).tolist()
    same = related(captions, images, groups)
    assert [[i == j for j in found] for i in found] == same
    assert sorted(set(found)) == list(range(max(found) + 1))


def test_figures_count_captions_that_groups_share():
    captions, images, groups = (
        ["a", "a", "b", "b", "c"],
        torch.tensor([0, 1, 1, 2, 3]),
        torch.tensor([0, 0, 1, 2]),
    )
    figures = class_figures(captions, images, groups, target_classes(captions, images, groups))
    assert (figures.images, figures.captions, figures.shared_captions) == (4, 5, 1)
    assert (figures.classes, figures.largest) == (2, 3)


def test_a_large_class_is_warned_about(caplog):
    captions, images, groups = ["a", "a", "a"], torch.arange(3), torch.arange(3)
    figures = class_figures(captions, images, groups, torch.zeros(3, dtype=torch.int64))
    assert not warn_if_large(figures, "three", limit=3)
    assert warn_if_large(figures, "three", limit=2)
    assert "at most 2 images. It holds 3 of 3, chained by 1 captions" in caplog.text


def test_a_large_group_alone_is_not_warned_about():
    captions, images, groups = ["a", "a", "a"], torch.arange(3), torch.zeros(3, dtype=torch.int64)
    assert not warn_if_large(class_figures(captions, images, groups, groups), "three", limit=2)


@pytest.mark.parametrize("images", [[0, 2], [-1, 0], [0]])
def test_captions_of_no_image_are_refused(images):
    with pytest.raises(DataError, match="image_of_caption must"):
        classes(["a", "b"], images, [0, 1])


def test_flickr8k_has_the_known_classes(real_data):
    figures = open_pairs(str(real_data / "flickr8k" / "train.parquet")).figures
    assert (figures.images, figures.captions) == (6000, 30000)
    assert (figures.shared_captions, figures.classes, figures.largest) == (127, 5829, 10)
