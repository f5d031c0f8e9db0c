"""Public data sets in the folders of their releases."""

import json
import sys

import pytest
import torch
from miniatures import layouts
from miniatures.layouts import GOLDFISH, NAMES, SHARK, TENCH, add_images
from PIL import Image

from radapter.data import Reading, open_classification
from radapter.data.labelled.layouts import LAYOUTS, LayoutSource
from radapter.data.labelled.source import LabelledSource
from radapter.errors import ConfigError, DataError, MissingExtraError
from radapter.runs.evaluator import Evaluator

pytest.importorskip("open_clip")


def opened(layout: str, path, classnames=None, **options):
    return open_classification({"layout": layout, "path": str(path), **options}, classnames=classnames)


def shown(dataset) -> list[tuple[str, str]]:
    """(class name, file name) of every image."""
    return [
        (dataset.classnames[label], dataset.where(index).rpartition("/")[2])
        for index, label in enumerate(dataset.labels.tolist())
    ]


def test_imagenet_split_is_read_under_the_names_of_the_classes(tmp_path):
    dataset = opened("imagenet", layouts.imagenet(tmp_path), split="val")
    assert shown(dataset) == [("tench", "a.JPEG"), ("goldfish", "ILSVRC2012_val_00000003.JPEG")]
    assert shown(opened("imagenet", tmp_path / "val")) == shown(dataset)


def test_imagenet_sketch_is_folders_of_ids(tmp_path):
    add_images(tmp_path, f"{SHARK}/sketch_1.JPEG", f"{TENCH}/sketch_0.JPEG")
    dataset = opened("imagenet-sketch", tmp_path, classnames=list(NAMES.values()))
    assert shown(dataset) == [("tench", "sketch_0.JPEG"), ("great white shark", "sketch_1.JPEG")]
    assert dataset.candidates is None


def test_imagenet_v2_folders_are_class_numbers(tmp_path):
    dataset = opened("imagenet-v2", layouts.imagenet_v2(tmp_path))
    assert dataset.classnames == ("tench", "great white shark", "brambling")
    assert dataset.labels.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("layout", ["imagenet-r", "imagenet-a"])
def test_set_of_fewer_classes_restricts_the_answers_to_its_own(tmp_path, layout):
    dataset = opened(layout, layouts.imagenet_r(tmp_path), classnames=["goldfish", "drum", "tench"])
    assert shown(dataset) == [("tench", "art_0.jpg"), ("goldfish", "sketch_1.jpg")]
    assert dataset.candidates.tolist() == [[2], [0]]
    assert opened(layout, tmp_path).candidates is None


def test_imagenet_c_is_one_corruption_at_one_severity(tmp_path):
    layouts.imagenet_c(tmp_path)
    dataset = opened("imagenet-c", tmp_path, corruption="fog", severity=3)
    assert dataset.where(0).endswith(f"fog/3/{TENCH}/a.JPEG")


def test_all_1000_classes_have_names_that_differ():
    from radapter.data.labelled.imagenet import imagenet_classes

    classes = imagenet_classes()
    assert (len(classes), len(set(classes.values()))) == (1000, 1000)
    assert list(classes) == sorted(classes)
    assert [classes[wnid] for wnid in NAMES] == list(NAMES.values())
    assert (classes["n03773504"], classes["n04008634"]) == ("missile", "projectile")


def test_objectnet_keeps_shared_classes_and_cuts_the_border(tmp_path):
    dataset = opened("objectnet", layouts.objectnet(tmp_path))
    assert shown(dataset) == [("Alarm clock", "1.png"), ("Fish", "2.png"), ("Fish", "3.png")]
    image = dataset.image(0)
    assert (image.size, image.getcolors()) == ((16, 12), [(192, (0, 0, 200))])


def test_objectnet_class_of_two_imagenet_classes_takes_either_as_right(tmp_path):
    names = ["tench", "goldfish", "digital clock", "analog clock"]
    dataset = opened("objectnet", layouts.objectnet(tmp_path), classnames=names)
    assert dataset.labels.tolist() == [3, 1, 1]
    assert dataset.candidates.tolist() == [[3, 2], [1, 1]]


def test_objectnet_class_may_be_known_to_training_by_one_of_its_names(tmp_path):
    names = ["goldfish", "digital clock", "drum"]
    dataset = opened("objectnet", layouts.objectnet(tmp_path), classnames=names)
    assert dataset.labels.tolist() == [1, 0, 0]
    assert dataset.candidates.tolist() == [[1], [0]]


def test_candidates_reach_the_evaluation(tmp_path, encoder):
    from radapter.tasks.classification import ClassificationSuite

    names = ("tench", "goldfish", "digital clock", "analog clock")
    dataset = opened("objectnet", layouts.objectnet(tmp_path), classnames=names)
    suite = ClassificationSuite(
        train=dataset,
        id_val=None,
        id_test={"objectnet": dataset},
        ood={},
        classnames=names,
        templates=("a {}",),
    )
    row = Evaluator(suite, encoder).zero_shot(encoder).rows[0]
    assert row.id["objectnet"]["top5"] == 1  # of two classes
    assert row.id["objectnet"]["brier"] <= 2


def test_domain_is_chosen_or_left_out_and_is_the_group(tmp_path):
    layouts.office_home(tmp_path)
    art = opened("office-home", tmp_path, domain="Art")
    assert (art.name, art.classnames, art.groupnames) == ("Art", ("Alarm Clock", "Bed"), ("Art",))
    others = opened("office-home", tmp_path, leave_out="Art")
    assert shown(others) == [("Alarm Clock", "3.jpg"), ("Bed", "4.jpg"), ("Bed", "5.jpg")]
    assert [others.groupnames[group] for group in others.groups.tolist()] == ["Clipart", "Product", "Product"]
    assert len(opened("domains", tmp_path)) == 5


@pytest.mark.parametrize("layout", ["pacs", "vlcs", "domains"])
def test_leaving_several_domains_out_leaves_the_rest(tmp_path, layout):
    layouts.office_home(tmp_path)
    assert opened(layout, tmp_path, leave_out=["Art", "Product"]).groupnames == ("Clipart",)


def test_groups_follow_their_images_into_subsets_and_batches(tmp_path):
    from radapter.data import EvalLoader

    dataset = opened("office-home", layouts.office_home(tmp_path))
    last = dataset.subset([4, 0])
    assert last.groups.tolist() == [dataset.groups[4], dataset.groups[0]]
    (batch,) = EvalLoader(last, lambda image: torch.zeros(3, 2, 2), batch_size=4)
    assert batch.groups.tolist() == last.groups.tolist()


def test_domainnet_splits_are_the_lists_beside_the_folders(tmp_path):
    layouts.domainnet(tmp_path)
    train = opened("domainnet", tmp_path, split="train")
    assert shown(train) == [("ant", "r_2.jpg"), ("dog", "c_1.jpg"), ("dog", "r_1.jpg")]
    assert shown(opened("domainnet", tmp_path, domain="clipart", split="test")) == [("dog", "c_2.jpg")]
    assert len(opened("domainnet", tmp_path)) == 4


def test_classes_that_training_lacks_are_left_out_on_demand(tmp_path):
    layouts.imagenet_r(tmp_path)
    with pytest.raises(DataError, match="'tench' \\(1 images\\) are not"):
        opened("imagenet-r", tmp_path, classnames=["goldfish", "drum"])
    dataset = opened("imagenet-r", tmp_path, classnames=["goldfish", "drum"], shared=True)
    assert shown(dataset) == [("goldfish", "sketch_1.jpg")]
    assert dataset.candidates.tolist() == [[0]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", f"{TENCH} tench, Tinca tinca\n{SHARK} shark\n"),
        ("index.json", json.dumps({"1": [SHARK, "shark"], "0": [TENCH, "tench"]})),
    ],
)
def test_file_of_ids_names_the_classes_without_the_extra(tmp_path, monkeypatch, name, text):
    monkeypatch.setitem(sys.modules, "open_clip.zero_shot_metadata", None)
    (tmp_path / name).write_text(text)
    add_images(tmp_path / "data", f"{TENCH}/1.jpg", f"{SHARK}/2.jpg")
    dataset = opened("imagenet", tmp_path / "data", wnids=str(tmp_path / name))
    assert dataset.classnames == ("tench", "shark")


def test_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip.zero_shot_metadata", None)
    with pytest.raises(MissingExtraError, match=r"radapter\[open-clip\].*wnids"):
        opened("imagenet-r", layouts.imagenet_r(tmp_path))


@pytest.mark.parametrize(
    ("layout", "make", "options", "words"),
    [
        ("imagnet", layouts.imagenet, {}, r"Got 'imagnet'\. Did you mean 'imagenet'"),
        ("imagenet", layouts.imagenet, {}, "split must be one of train, val"),
        ("imagenet", layouts.imagenet, {"split": "vall"}, "Got 'vall'. Did you mean 'val'"),
        ("imagenet", layouts.imagenet_r, {"split": "val"}, "neither train nor val"),
        ("imagenet-r", layouts.imagenet_r, {"split": "val"}, "takes the options wnids. Got 'split'"),
        ("imagenet-c", layouts.imagenet_c, {"corruption": "fog"}, "needs severity"),
        ("imagenet-c", layouts.imagenet_c, {"corruption": "fgo", "severity": 1}, "Did you mean 'fog'"),
        ("imagenet-c", layouts.imagenet_c, {"corruption": "fog", "severity": 2}, "holds 1, 3. Got '2'"),
        ("pacs", layouts.office_home, {"domain": "art"}, "Got 'art'. Did you mean 'Art'"),
        ("pacs", layouts.office_home, {"domain": "Art", "leave_out": "Bed"}, "exclude each other"),
        ("pacs", layouts.office_home, {"leave_out": ["Art", "Clipart", "Product"]}, "must be left"),
        ("pacs", layouts.office_home, {"domain": True}, "domain must be null or text. Got True"),
    ],
)
def test_wrong_option_is_named_with_what_there_is(tmp_path, layout, make, options, words):
    with pytest.raises(ConfigError, match=words):
        opened(layout, make(tmp_path), **options)


def _empty_class(folder):
    (layouts.imagenet_r(folder) / SHARK).mkdir()


def _unknown_ids(folder):
    add_images(layouts.imagenet_r(folder), "n99999999/1.jpg", "goldfish/2.jpg")


def _unknown_number(folder):
    add_images(layouts.imagenet_v2(folder), "1000/1.jpeg")


def _no_mapping(folder):
    (layouts.objectnet(folder) / "mappings" / "objectnet_to_imagenet_1k.json").unlink()


def _mapping_of_another_release(folder):
    layouts.write_mapping(layouts.objectnet(folder), "objectnet_to_imagenet_1k.json", {"Fish": "shark"})


def _no_json(folder):
    (layouts.objectnet(folder) / "mappings" / "folder_to_objectnet_label.json").write_text("{")


def _broken_list(folder):
    (layouts.domainnet(folder) / "clipart_train.txt").write_text("clipart/dog/c_1.jpg 85\nc_2.jpg\n")


@pytest.mark.parametrize(
    ("layout", "make", "options", "words"),
    [
        ("imagenet-r", _empty_class, {}, rf"1 of 3 hold none: '{SHARK}'\. Fill"),
        ("imagenet-a", _unknown_ids, {}, "2 of 4 are not: 'goldfish', 'n99999999'.*wnids"),
        ("imagenet-v2", _unknown_number, {}, "named 0 to 999.*1 of 4 are not: '1000'"),
        ("objectnet", _no_mapping, {}, "objectnet_to_imagenet_1k.json.*Unpack"),
        ("objectnet", _mapping_of_another_release, {}, "fit each other.*'shark'"),
        ("objectnet", _no_json, {}, "folder_to_objectnet_label.json.: Expecting"),
        ("objectnet", layouts.imagenet_r, {}, "mappings"),
        ("domainnet", _broken_list, {"split": "train"}, "Line 2 of .*'c_2.jpg'"),
        ("domainnet", layouts.domainnet, {"split": "test"}, "real_test.txt"),
        ("imagenet-sketch", lambda folder: None, {}, "one folder for each class"),
    ],
)
def test_damaged_release_is_named_with_the_remedy(tmp_path, layout, make, options, words):
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        opened(layout, tmp_path, **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 entries"),
        ("goldfish\n", "1 are no ids: 'goldfish'"),
        (f"{GOLDFISH}\n", "must name the classes"),
        (f"{GOLDFISH} a\n{TENCH} a\n", "repeats 1: 'a'"),
    ],
)
def test_wrong_file_of_ids_is_named(tmp_path, text, words):
    (tmp_path / "ids.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        opened("imagenet-r", layouts.imagenet_r(tmp_path / "r"), wnids=str(tmp_path / "ids.txt"))


def test_layout_needs_its_path():
    with pytest.raises(ConfigError, match="'path' is required: its folder"):
        open_classification({"layout": "imagenet-r"})


@pytest.mark.parametrize("name", LAYOUTS)
def test_schema_and_page_name_every_layout(name):
    assert name in LayoutSource.model_fields["layout"].description.replace(" or ", ", ").split(", ")


def test_schema_knows_every_option_of_a_layout():
    own = LayoutSource.model_fields.keys() - LabelledSource.model_fields.keys()
    assert own == {"layout", "path", *(option for layout in LAYOUTS.values() for option in layout.options)}


def test_pixel_limit_reaches_the_decoder(tmp_path):
    Image.new("RGB", (4, 4)).save(layouts.imagenet_r(tmp_path) / TENCH / "art_0.jpg")
    dataset = open_classification(
        {"layout": "imagenet-r", "path": str(tmp_path)}, reading=Reading(max_pixels=15)
    )
    with pytest.raises(DataError, match="at most 15 pixels"):
        dataset.image(0)
