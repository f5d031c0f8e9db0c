"""Pictures and label maps stay together: names, sizes, orientations, values."""

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data import IGNORE, PairedMaskDataset
from radapter.data.images.sequences import ArrayImages
from radapter.data.masks.label_maps import ArrayMaps
from radapter.data.masks.pairing import paired_files
from radapter.errors import ConfigError, DataError, ImageError

CLASSES = ["sky", "road", "tree"]


def save(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path, **options)


@pytest.fixture
def folders(tmp_path):
    """Two images of 3 x 2 pixels with masks: a of classes 0 to 2, b with ignored pixels."""
    for name, values in {"a": [[0, 1, 2], [0, 1, 2]], "sub/b": [[255, 1, 1], [0, 255, 2]]}.items():
        save(tmp_path / "images" / f"{name}.jpg", np.full((2, 3, 3), 90))
        save(tmp_path / "masks" / f"{name}.png", values)
    return tmp_path


def opened(root, classes=CLASSES, **options):
    return PairedMaskDataset(root / "images", root / "masks", classes, **options)


def test_an_item_is_an_image_class_indices_and_an_id(folders):
    dataset = opened(folders)
    image, labels, name = dataset[1]
    assert (len(dataset), dataset.name, dataset.ids) == (2, "images", ("a", "sub/b"))
    assert (image.mode, image.size, name) == ("RGB", (3, 2), "sub/b")
    assert labels.dtype == torch.int64
    assert labels.tolist() == [[IGNORE, 1, 1], [0, IGNORE, 2]]


def test_items_can_be_counted_from_the_end_and_iterated(folders):
    dataset = opened(folders)
    assert dataset[-1].id == "sub/b"
    assert [item.id for item in dataset] == ["a", "sub/b"]
    with pytest.raises(IndexError, match="Got 2"):
        dataset[2]


def test_reduce_zero_label_ignores_zero_and_shifts_the_rest(folders):
    dataset = opened(folders, classes=["road", "tree"], reduce_zero_label=True)
    assert dataset[0].labels.tolist() == [[IGNORE, 0, 1], [IGNORE, 0, 1]]
    assert dataset[1].labels.tolist() == [[IGNORE, 0, 0], [IGNORE, IGNORE, 1]]


def test_several_values_can_be_ignored(folders):
    dataset = opened(folders, classes=["sky", "road"], ignore=[2, 255])
    assert dataset[0].labels.tolist() == [[0, 1, IGNORE]] * 2


def test_values_say_which_class_each_value_is(folders):
    dataset = opened(folders, classes=["other", "road"], ignore=(0, 255), values={1: 1, 2: 0})
    assert dataset[1].labels.tolist() == [[IGNORE, 1, 1], [IGNORE, IGNORE, 0]]


def test_classes_come_from_a_text_file(folders):
    (folders / "names.txt").write_text("sky\nroad\ntree, bush\n")
    assert opened(folders, classes=folders / "names.txt").classnames == ("sky", "road", "tree, bush")


def test_a_subset_keeps_meaning_order_and_keys(folders):
    dataset = opened(folders, ignore=[255])
    chosen = dataset.subset([1, 0], name="turned")
    assert (chosen.name, chosen.ids) == ("turned", ("sub/b", "a"))
    assert (chosen[0].labels == dataset[1].labels).all()
    assert (chosen.keys == dataset.keys.flip(0)).all()
    assert dataset.subset(torch.tensor([False, True])).ids == ("sub/b",)
    assert chosen.where(0) == dataset.where(1)


def test_holders_in_memory_are_a_set_too():
    images = ArrayImages(torch.zeros(2, 3, 4, 5, dtype=torch.uint8), name="drawn")
    dataset = PairedMaskDataset(images, ArrayMaps(torch.ones(2, 4, 5).int(), name="drawn"), ["a", "b"])
    assert dataset.ids == ("0", "1")
    assert (dataset[0].labels == 1).all()


# Orientation: the image's left half is black and its top left pixel marked, so that no turn equals another.

STORED = np.array([[1, 0, 0], [2, 0, 0]])


def turned_pair(root, orientation: int, mask):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(root / "images" / "a.png", STORED * 100, exif=exif)
    save(root / "masks" / "a.png", mask)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_drawn_over_the_upright_image_fits_it(tmp_path, orientation):
    turned_pair(tmp_path, orientation, STORED)
    upright = (
        np.asarray(opened(tmp_path).image(0) if orientation == 1 else upright_of(tmp_path))[..., 0] // 100
    )
    save(tmp_path / "masks" / "a.png", upright)
    assert (opened(tmp_path)[0].labels.numpy() == upright).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_over_the_stored_pixels_is_turned_with_its_image(tmp_path, orientation):
    turned_pair(tmp_path, orientation, STORED)
    image, labels, _ = opened(tmp_path, exif="stored")[0]
    assert (np.asarray(image)[..., 0] // 100 == labels.numpy()).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_with_an_orientation_of_its_own_is_turned_by_it(tmp_path, orientation):
    turned_pair(tmp_path, orientation, STORED)
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "masks" / "a.png", STORED, exif=exif)
    image, labels, _ = opened(tmp_path)[0]
    assert (np.asarray(image)[..., 0] // 100 == labels.numpy()).all()


def test_a_mask_on_its_side_names_the_option(tmp_path):
    turned_pair(tmp_path, 6, STORED)
    with pytest.raises(ImageError, match=r"3 x 2 pixels, .* 2 x 3\. .*exif='stored'"):
        opened(tmp_path)[0]


def upright_of(root) -> Image.Image:
    return opened(root).image(0)


# What is refused


def test_a_mask_of_another_size_is_never_resized(folders):
    save(folders / "masks" / "a.png", [[0, 1]])
    dataset = opened(folders)
    with pytest.raises(
        ImageError, match=r"'.*masks/a.png' has 2 x 1 pixels, the image '.*images/a.jpg' 3 x 2\. Replace"
    ):
        dataset[0]
    assert dataset[1].id == "sub/b"


def test_values_beyond_the_class_list_are_counted(folders):
    save(folders / "masks" / "a.png", [[0, 3, 3], [9, 3, 2]])
    with pytest.raises(
        DataError,
        match=r"also has 2: 3 \(3 pixels\), 9 \(1 pixels\)\. 'images' has 3 classes and ignores 255",
    ):
        opened(folders)[0]


@pytest.mark.parametrize("what", ["images", "masks"])
def test_an_empty_folder_is_refused(folders, what):
    for file in [*(folders / what).rglob("*.*")]:
        file.unlink()
    with pytest.raises(
        DataError, match=f"{what[:-1]} folder must hold {what[:-1]} files. '.*{what}' holds none"
    ):
        opened(folders)


@pytest.mark.parametrize("what", ["images", "masks"])
def test_a_missing_folder_is_refused(folders, what):
    (folders / what).rename(folders / "elsewhere")
    with pytest.raises(DataError, match=f"{what[:-1]} folder must exist"):
        opened(folders)


def test_images_without_masks_are_named(folders):
    (folders / "masks" / "sub" / "b.png").unlink()
    with pytest.raises(
        DataError, match=r"Of the 2 in '.*images' 1 have none in '.*masks': 'sub/b'\. Add the masks"
    ):
        opened(folders)


def test_masks_without_images_are_named(folders):
    (folders / "images" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"1 have none in '.*images': 'a'\. Add the images"):
        opened(folders)


def test_two_files_of_one_name_are_refused(folders):
    save(folders / "images" / "a.png", np.zeros((2, 3)))
    with pytest.raises(DataError, match="several of 'a'"):
        opened(folders)


def test_a_repeated_class_name_is_refused(folders):
    with pytest.raises(DataError, match=r"class names must differ\. .* repeats 1: 'sky'"):
        opened(folders, classes=["sky", "road", "sky"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ignore": 2}, "Got ignore 2, which is class 2 of the 3"),
        ({"ignore": 3, "reduce_zero_label": True}, "Got ignore 3, which is class 2"),
        ({"ignore": -1}, r"\[0, 65535\]. Got -1"),
        ({"values": {0: 3}}, r"\[0, 2\]. Got 3"),
        ({"values": {0: 0}, "reduce_zero_label": True}, "Leave reduce_zero_label out"),
        ({"exif": "upside"}, "exif must be one of upright, stored"),
        ({"max_pixels": 0}, "max_pixels"),
    ],
)
def test_options_that_contradict_are_refused(folders, options, said):
    with pytest.raises(ConfigError, match=said):
        opened(folders, **options)


def test_a_folder_beside_a_sequence_is_refused(folders):
    maps = ArrayMaps(torch.zeros(2, 2, 3).int(), name="drawn")
    with pytest.raises(ConfigError, match="both be folders, or both sequences"):
        PairedMaskDataset(folders / "images", maps, CLASSES)


def test_sequences_of_different_lengths_are_refused():
    images = ArrayImages(torch.zeros(2, 3, 4, 5, dtype=torch.uint8), name="drawn")
    with pytest.raises(DataError, match="2 images, 1 masks"):
        PairedMaskDataset(images, ArrayMaps(torch.ones(1, 4, 5).int(), name="drawn"), ["a", "b"])


def test_an_empty_subset_and_a_repeated_item_are_refused(folders):
    with pytest.raises(DataError, match="must hold an image"):
        opened(folders).subset([])
    with pytest.raises(DataError, match="ids must differ"):
        opened(folders).subset([0, 0])


def test_pixels_beyond_the_limit_are_refused(folders):
    with pytest.raises(ImageError, match="at most 5 pixels"):
        opened(folders, max_pixels=5)[0]


# Pairing by name


def test_endings_pair_files_and_leave_others_out(tmp_path):
    save(tmp_path / "images" / "town" / "t_1_left.png", [[0]])
    for ending in ("ids", "colour"):
        save(tmp_path / "masks" / "town" / f"t_1_{ending}.png", [[0]])
    _, masks, ids = paired_files(
        tmp_path / "images", tmp_path / "masks", image_ending="_left", mask_ending="_ids"
    )
    assert ids == ["town/t_1"]
    assert masks.where(0) == str(tmp_path / "masks" / "town" / "t_1_ids.png")


def test_a_list_chooses_images_and_their_order(folders):
    assert paired_files(folders / "images", folders / "masks", ids=["sub/b"]).ids == ["sub/b"]
    with pytest.raises(DataError, match="'c'"):
        paired_files(folders / "images", folders / "masks", ids=["c"])
    with pytest.raises(DataError, match="is empty"):
        paired_files(folders / "images", folders / "masks", ids=[])
