"""K images of each class."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from radapter.data import open_classification
from radapter.data.labelled.opening import few_shots
from radapter.data.splits import UNREADABLE
from radapter.errors import ConfigError, DataError

CLASSES = ("ant", "bee")


@pytest.fixture
def folder(tmp_path):
    """Two classes of eight images, no two alike."""
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for number in range(8):
            Image.new("RGB", (4, 4), (number, ord(name[0]), 0)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def taken(folder, **options):
    return set(open_classification({"folder": str(folder), **options}).keys.tolist())


def test_every_class_has_k(folder):
    dataset = open_classification({"folder": str(folder), "shots": 3})
    assert dataset.labels.bincount().tolist() == [3, 3]
    assert dataset.classnames == CLASSES


def test_fewer_shots_are_among_more(folder):
    sets = [taken(folder, shots=k) for k in (1, 2, 4, 8)]
    assert all(smaller < larger for smaller, larger in pairwise(sets))


def test_another_seed_draws_others(folder):
    draws = {frozenset(taken(folder, shots=2, shots_seed=seed)) for seed in range(4)}
    assert len(draws) == 4
    assert frozenset(taken(folder, shots=2)) == frozenset(taken(folder, shots=2, shots_seed=0))


def test_renaming_files_changes_nothing(folder):
    before = taken(folder, shots=2)
    for number, file in enumerate(sorted((folder / "ant").iterdir(), reverse=True)):
        file.rename(folder / "ant" / f"renamed {number}.png")
    assert taken(folder, shots=2) == before


def test_copies_of_one_image_count_once(folder):
    before = taken(folder, shots=8)
    for number in range(8):
        (folder / "ant" / f"copy {number}.png").write_bytes((folder / "ant" / "0.png").read_bytes())
    dataset = open_classification({"folder": str(folder), "shots": 8})
    assert (len(dataset), set(dataset.keys.tolist())) == (16, before)
    with pytest.raises(DataError, match=r"'ant' \(8\), 'bee' \(8\)"):
        taken(folder, shots=9)


def test_shots_are_drawn_from_the_part(folder):
    part = taken(folder, part=[0.3, 1.0])
    assert taken(folder, part=[0.3, 1.0], shots=2) < part


def test_too_few_images_tell_classes_counts_and_remedy():
    labels = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3])
    with pytest.raises(
        DataError, match=r"4 of 5 have fewer: 'b' \(1\), 'c' \(2\), 'd' \(2\) \.\.\."
    ) as error:
        few_shots(torch.arange(1, 9), labels, "abcde", shots=3, name="train")
    assert "distinct images for shots: 3. In 'train'" in str(error.value)
    assert "Add images, or leave the class out" in str(error.value)  # 'e' has none: no number would do


def test_the_largest_k_that_fits_is_proposed(folder):
    (folder / "bee" / "0.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 have fewer: 'bee' \(7\)\. Use shots: 7,"):
        taken(folder, shots=8)


def test_an_image_that_cannot_be_read_is_never_taken():
    keys = torch.tensor([UNREADABLE, 5, 6])
    chosen = few_shots(keys, torch.tensor([0, 0, 0]), ("a",), shots=2, name="train")
    assert chosen.tolist() == [False, True, True]


@pytest.mark.parametrize("shots", [0, -1])
def test_no_shots_are_refused(folder, shots):
    with pytest.raises(ConfigError, match=rf"shots must be null or a whole number >= 1\. Got {shots}"):
        taken(folder, shots=shots)


def test_a_seed_without_shots_is_refused(folder):
    with pytest.raises(ConfigError, match="Give shots, or leave shots_seed out"):
        taken(folder, shots_seed=1)


@given(
    keys=st.lists(st.integers(1, 2**63 - 1), min_size=8, max_size=30, unique=True),
    seed=st.integers(0, 9),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_the_images_does_not_matter(keys, seed, order):
    shuffled = list(keys)
    order.shuffle(shuffled)

    def drawn(keys):
        labels = torch.zeros(len(keys), dtype=torch.int64)
        chosen = few_shots(torch.tensor(keys), labels, ("a",), shots=4, shots_seed=seed, name="train")
        return set(torch.tensor(keys)[chosen].tolist())

    assert drawn(keys) == drawn(shuffled)
