"""Each public layout, on a miniature of its real folders: which files are read, and what their values mean."""

import pytest
import torch
from miniatures import mask_layouts as miniatures

from radapter.data import IGNORE, open_masks
from radapter.data.masks import class_lists
from radapter.data.masks.layouts import LAYOUTS
from radapter.errors import ConfigError, DataError

_ = IGNORE
# layout -> miniature, options beside path, id, label map of the validation image, names of its first classes
EXPECTED = {
    "ade20k-150": (
        miniatures.ade20k_150,
        {},
        "ADE_val_00000001",
        [[_, 0, 1, 149], [_, 0, 1, 149], [_, 0, 0, 0]],
        {0: "wall", 1: "building", 149: "flag"},
    ),
    "ade20k-847": (
        miniatures.ade20k_847,
        {"classes": "names.txt"},
        "ADE_val_00000001",
        [[0, 846, _, 300], [0, 0, 0, 0], [1, 1, 1, 1]],
        {300: "thing 300, object 300"},
    ),
    "pascal-context-59": (
        miniatures.pascal_context_59,
        {},
        "2008_000003",
        [[_, 0, 1, 58], [54, 54, 57, 57], [_, _, _, _]],
        {0: "aeroplane", 1: "bag", 54: "tv monitor", 57: "window", 58: "wood"},
    ),
    "pascal-context-59-ovseg": (
        miniatures.pascal_context_59_ovseg,
        {},
        "2008_000003",
        [[0, 1, 58, _], [0, 0, 0, 0], [1, 1, 1, 1]],
        {0: "bedclothes", 1: "aeroplane"},
    ),
    "pascal-context-459": (
        miniatures.pascal_context_459,
        {},
        "2008_000003",
        [[0, 1, 458, _], [0, 0, 0, 0], [1, 1, 1, 1]],
        {0: "accordion", 1: "aeroplane"},
    ),
    "voc-20": (
        miniatures.voc_20,
        {},
        "2007_000033",
        [[_, 0, _, 19], [_, 0, _, 19], [_, _, _, _]],
        {0: "aeroplane", 19: "tv monitor"},
    ),
    "cityscapes": (
        miniatures.cityscapes,
        {},
        "lindau/lindau_000000_000019",
        [[_, 0, 1, 18], [_, 0, _, 13], [_, 10, 10, 11]],
        {0: "road", 1: "sidewalk", 10: "sky", 11: "person", 13: "car", 18: "bicycle"},
    ),
    "coco-stuff-171": (
        miniatures.coco_stuff_171,
        {},
        "000000000139",
        [[0, 11, 170, _], [0, 10, 80, _], [79, 79, 79, 79]],
        {0: "person", 10: "fire hydrant", 11: "stop sign", 79: "toothbrush", 80: "banner", 170: "wood"},
    ),
    "camvid": (
        miniatures.camvid,
        {},
        "0001TP_006690",
        [[0, 1, 10, _], [3, 3, 3, 3], [3, 3, 3, 3]],
        {0: "sky", 3: "road", 10: "bicyclist"},
    ),
}


def spec(layout: str, folder, **options):
    """What run.yaml would say of a miniature."""
    make, given, *_rest = EXPECTED[layout]
    make(folder)
    given = {key: str(folder / file) for key, file in given.items()}
    return {"layout": layout, "path": str(folder), **given, **options}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_names_and_values_are_those_of_the_release(tmp_path, layout):
    _make, _given, name, labels, names = EXPECTED[layout]
    dataset = open_masks(spec(layout, tmp_path / "set"))
    assert (len(dataset), dataset.name) == (1, "set val")
    image, found, found_name = dataset[0]
    assert (found_name, found.tolist(), image.size) == (name, labels, (4, 3))
    assert len(dataset.classnames) == LAYOUTS[layout].classes
    assert {number: dataset.classnames[number] for number in names} == names


@pytest.mark.parametrize("layout", [name for name, row in LAYOUTS.items() if "train" in row.splits])
def test_the_training_split_is_another_image(tmp_path, layout):
    source = spec(layout, tmp_path)
    train, val = open_masks(source | {"split": "train"}), open_masks(source)
    assert len(train) == 1
    assert train.where(0) != val.where(0)


def test_a_set_stored_as_parquet_is_read_from_that(tmp_path):
    miniatures.camvid_parquet(tmp_path)
    dataset = open_masks({"layout": "camvid", "path": str(tmp_path)})
    assert dataset[0].labels.tolist() == EXPECTED["camvid"][3]


def test_pixel_maps_of_coco_stuff_are_found_in_their_own_folder_too(tmp_path):
    miniatures.coco_stuff_171(tmp_path)
    (tmp_path / "annotations").rename(tmp_path / "stuffthingmaps_trainval2017")
    assert len(open_masks({"layout": "coco-stuff-171", "path": str(tmp_path)})) == 1


def test_a_class_list_of_the_users_replaces_the_built_in_one(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"name {number}" for number in range(20)))
    dataset = open_masks(spec("voc-20", tmp_path / "set", classes=str(tmp_path / "names.txt")))
    assert dataset.classnames[19] == "name 19"


def test_a_class_list_of_another_length_is_refused(tmp_path):
    (tmp_path / "names.txt").write_text("sky\nroad\n")
    with pytest.raises(DataError, match=r"must have 20 names\. '.*names.txt' has 2"):
        open_masks(spec("voc-20", tmp_path / "set", classes=str(tmp_path / "names.txt")))


def test_names_that_come_with_the_conversion_must_be_given(tmp_path):
    miniatures.ade20k_847(tmp_path)
    with pytest.raises(ConfigError, match="Give classes, a text file"):
        open_masks({"layout": "ade20k-847", "path": str(tmp_path)})


def test_a_missing_class_list_of_the_data_is_named(tmp_path):
    miniatures.pascal_context_459(tmp_path)
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(DataError, match=r"labels\.txt"):
        open_masks({"layout": "pascal-context-459", "path": str(tmp_path)})


def test_an_unlisted_value_is_refused(tmp_path):
    miniatures.coco_stuff_171(tmp_path)
    mask = tmp_path / "annotations" / "val2017" / "000000000139.png"
    miniatures.add_pair(tmp_path / "a.png", mask, [[11] * 4] * 3)  # street sign, which no pixel has
    with pytest.raises(DataError, match=r"also has 1: 11 \(12 pixels\)"):
        open_masks({"layout": "coco-stuff-171", "path": str(tmp_path)})[0]


@pytest.mark.parametrize(
    ("layout", "missing", "said"),
    [
        ("ade20k-150", "images/validation", "image folder must exist"),
        ("ade20k-150", "annotations/validation", "mask folder must exist"),
        ("voc-20", "ImageSets/Segmentation/val.txt", "list of images must be a UTF-8 text file"),
        ("voc-20", "SegmentationClass/2007_000033.png", "every image must have a mask"),
        ("voc-20", "JPEGImages/2007_000033.jpg", "every mask must have an image"),
        ("cityscapes", "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png", "_gtFine_labelIds'"),
        ("pascal-context-59-ovseg", "JPEGImages/2008_000003.jpg", "every mask must have an image"),
    ],
)
def test_what_a_folder_lacks_is_named(tmp_path, layout, missing, said):
    source = spec(layout, tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=said):
        open_masks(source)


def test_unknown_names_propose_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'ade20k-150'"):
        open_masks({"layout": "ade20k150", "path": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"split must be one of train, val. Got 'test'"):
        open_masks(spec("voc-20", tmp_path, split="test"))
    with pytest.raises(ConfigError, match=r"unknown key 'wnids'\. A layout source takes .*split, classes"):
        open_masks(spec("voc-20", tmp_path, wnids="a"))


def test_class_lists_have_their_lengths_and_no_name_twice():
    lists = {
        150: class_lists.ADE20K_150,
        20: class_lists.VOC_20,
        59: class_lists.CONTEXT_59,
        19: class_lists.CITYSCAPES_19,
        171: class_lists.COCO_STUFF_171,
        11: class_lists.CAMVID_11,
    }
    for count, names in lists.items():
        assert len(names) == len(set(names)) == count
        assert all(name == " ".join(name.split()) and name for name in names)
    assert len(class_lists.CITYSCAPES_IDS) == 19
    assert len(class_lists.COCO_STUFF_VALUES) == 171
    assert list(class_lists.CONTEXT_59) == sorted(class_lists.CONTEXT_59)


def test_camvid_is_read_as_it_lies_there(real_data):
    train, val, test = (
        open_masks({"layout": "camvid", "path": str(real_data / "camvid"), "split": split})
        for split in ("train", "val", "test")
    )
    assert (len(train), len(val), len(test)) == (367, 101, 233)
    image, labels, name = val[0]
    assert (image.size, labels.shape, name) == ((240, 180), (180, 240), "0016E5_07959")
    assert set(labels.unique().tolist()) <= {IGNORE, *range(11)}
    assert torch.bincount(labels.flatten() + 1, minlength=12).argmax() - 1 in (0, 1, 3)  # sky, building, road
