"""No test image's content hash is in training: in a run, and in the recipes."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from radapter.config import RetrievalRunConfig, RunConfig, SegmentationRunConfig, load_config
from radapter.config.building import suite_of
from radapter.data import open_classification, open_pairs
from radapter.data.labelled.kinds import LABELLED
from radapter.data.pairs.kinds import PAIRS
from radapter.data.source import written
from radapter.errors import DataError
from radapter.methods import METHODS
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, run_method
from radapter.tasks.classification import ClassificationSuite, TransferSet
from radapter.tasks.leaks import check_disjoint
from radapter.tasks.retrieval import RetrievalSuite
from radapter.tasks.suite import ROLES

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
OF_IMAGES, OF_PAIRS, OF_REGIONS = (
    [path for path in RECIPES if isinstance(load_config(path, []), schema)]
    for schema in (RunConfig, RetrievalRunConfig, SegmentationRunConfig)
)
ON_PACS = [path for path in RECIPES if "RADAPTER_DATA" in path.read_text(encoding="utf-8")]


@pytest.fixture
def folders(tmp_path):
    """Training and test images without a common one; the test set is another file of the same name."""
    for number, place in enumerate(("train", "test")):
        for name in ("star", "sun"):
            (tmp_path / place / name).mkdir(parents=True)
            for shade in range(4):
                colour = (100 * number + shade, len(name), 0)
                Image.new("RGB", (8, 8), colour).save(tmp_path / place / name / f"{shade}.png")
    return tmp_path


def opened(folders: Path, role: str = "id_test") -> ClassificationSuite:
    train, test = (open_classification(str(folders / name)) for name in ("train", "test"))
    names = train.classnames
    suite = ClassificationSuite(train, None, {}, {}, names, ("a {}.",))
    roles = {
        "id_val": ClassificationSuite(train, test, {}, {}, names, ("a {}.",)),
        "id_test": ClassificationSuite(train, None, {"other": test}, {}, names, ("a {}.",)),
        "ood": ClassificationSuite(train, None, {}, {"other": test}, names, ("a {}.",)),
        "transfer": ClassificationSuite(
            train, None, {}, {}, names, ("a {}.",), {"other": TransferSet(test, ("a {}.",))}
        ),
    }
    return roles.get(role, suite)


def keys_of(suite) -> tuple[set[int], set[int]]:
    tested = {key for data in suite.sets(*ROLES).values() for key in data.keys.tolist()}
    return set(suite.train.keys.tolist()), tested


def test_sets_that_share_no_content_are_accepted(folders):
    check_disjoint(opened(folders))


@pytest.mark.parametrize("role", ["id_val", "id_test", "ood", "transfer"])
def test_a_copy_under_another_name_is_found_in_every_role(folders, role):
    for shade in range(4):
        copy = folders / "test" / "sun" / f"copy {shade}.png"
        copy.write_bytes((folders / "train" / "star" / f"{shade}.png").read_bytes())
    name = "id_val" if role == "id_val" else "other"
    with pytest.raises(DataError, match=rf"Of the 12 in '{name}' 4 are also in 'train'") as error:
        check_disjoint(opened(folders, role))
    assert str(error.value).count("copy ") == 3
    assert "part: [0.0, 0.8]" in str(error.value)


@pytest.mark.parametrize("role", ["id_test", "ood", "transfer"])
def test_what_is_reported_never_selects(folders, role):
    suite = opened(folders, role)
    check_disjoint(suite)
    ((_, tested),) = suite.sets(*ROLES).items()
    with pytest.raises(
        DataError, match=r"no image of a test set may select .* Of the 8 in 'other' 8 are also in"
    ):
        check_disjoint(replace(suite, id_val=tested))


def test_unreadable_images_are_no_leak(folders):
    suite = opened(folders)
    suite.train.keys[0] = suite.id_test["other"].keys[0] = 0
    check_disjoint(suite)


def test_a_run_that_leaks_writes_nothing(folders, encoder, recipe):
    suite = opened(folders)
    leaking = ClassificationSuite(
        suite.train, None, {"same": suite.train}, {}, suite.classnames, suite.templates
    )
    directory = RunDirectory(folders / "out", settings="a: 1\n")
    with pytest.raises(DataError, match="8 are also in"):
        run_method(directory, METHODS["r-adapter"], encoder, leaking, recipe, rule=AlphaRule(0.5))
    assert not (folders / "out").exists()


@pytest.fixture
def pairs(folders):
    """Training and test pairs without a common image."""
    for place in ("train", "test"):
        rows = [
            f"{path.relative_to(folders)},a {path.parent.name}" for path in (folders / place).rglob("*.png")
        ]
        (folders / f"{place}.csv").write_text("image,caption\n" + "\n".join(rows))
    return tuple(open_pairs(str(folders / f"{place}.csv"), name=place) for place in ("train", "test"))


@pytest.mark.parametrize("role", ["id_val", "id_test", "ood"])
def test_a_copy_is_found_in_every_role_of_pairs(folders, pairs, role):
    train, test = pairs
    clean = RetrievalSuite(train, None, {"other": test}, {})
    check_disjoint(clean)
    (folders / "copied.csv").write_text("image,caption\ntest/sun/0.png,fine\ntrain/sun/0.png,other words\n")
    copied = open_pairs(str(folders / "copied.csv"), name="copied")
    leaking = replace(clean, **{role: copied if role == "id_val" else {"copied": copied}})
    with pytest.raises(DataError, match=r"Of the 2 in '\w+' 1 are also in 'train': .*train/sun/0\.png"):
        check_disjoint(leaking)


@pytest.mark.parametrize("path", [*OF_PAIRS, *OF_REGIONS], ids=lambda path: path.stem)
def test_no_test_source_of_a_recipe_meets_its_training(path):
    """By what is written alone: another file, another split or draw, or another part."""
    keys = [kind.key() for kind in PAIRS]
    data = load_config(path, []).data
    tested = [*([] if data.id_val is None else [data.id_val]), *data.id_test.values(), *data.ood.values()]
    train = written(data.train)
    cut_from = [train[kind] for kind in ("mine", "from_masks") if kind in train]  # regions' images
    for trained in cut_from or train:
        for spec in written(tested):
            places = [
                [str(each.get(key)) for key in (*keys, "split", "split_list", "seed")]
                for each in (trained, spec)
            ]
            ours, theirs = (each.get("part", (0.0, 1.0)) for each in (trained, spec))
            assert places[0] != places[1] or ours[1] <= theirs[0] or theirs[1] <= ours[0]


@pytest.mark.parametrize("path", OF_IMAGES, ids=lambda path: path.stem)
def test_parts_and_splits_of_a_recipe_never_overlap(path):
    """By what is written alone: where a file occurs twice, so do other splits, halves or parts of it."""
    data = load_config(path, []).data
    tested = [data.id_val, *data.id_test.values(), *data.ood.values()]
    transfer = [each.source for each in data.transfer.values()]
    places: dict[tuple[object, ...], list[list[float]]] = {}
    for spec in written([data.train, *tested, *transfer]):
        place = (*(spec.get(kind.key()) for kind in LABELLED), spec.get("split"))
        halves = [spec["half"]] if "half" in spec else ["base", "novel"]
        for half in halves:
            places.setdefault((*place, half), []).append(spec.get("part", [0.0, 1.0]))
    for parts in places.values():
        assert all(first[1] <= second[0] for first, second in pairwise(sorted(parts)))


@pytest.mark.parametrize("path", ON_PACS, ids=lambda path: path.stem)
def test_no_test_image_of_a_recipe_is_in_training(path, real_data, monkeypatch, encoder):
    monkeypatch.setenv("RADAPTER_DATA", str(real_data))
    suite = suite_of(load_config(path, []), encoder)
    trained, tested = keys_of(suite)
    assert trained
    assert tested
    assert not trained & tested
