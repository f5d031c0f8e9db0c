"""Lists of image files in every format: which files they reach, and what is no image file."""

import io
import json
import os
import socket

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from radapter.data import Reading, open_classification, open_masks, open_pairs
from radapter.data.images.image_files import place_inside
from radapter.data.images.sequences import ColumnImages
from radapter.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")


def png(red=0):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (red, 0, 0)).save(stream, format="png")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A data set with an image in `images`, and beside the data set a secret that `images/link.png` leads to."""
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    (images / "a.png").write_bytes(png(1))
    (tmp_path / "secret.png").write_bytes(png(9))
    (images / "link.png").symlink_to(tmp_path / "secret.png")
    (images / "away").symlink_to(tmp_path)
    return tmp_path / "set"


def labelled_csv(folder, name):
    (folder / "t.csv").write_text(f"image,label\n{name},x\n")
    return open_classification(str(folder / "t.csv"))


def captioned_csv(folder, name):
    (folder / "t.csv").write_text(f"image,caption\n{name},x\n")
    return open_pairs(str(folder / "t.csv"))


def lines(folder, name):
    (folder / "t.jsonl").write_text(json.dumps({"image": name, "captions": ["x"]}))
    return open_pairs(str(folder / "t.jsonl"))


def karpathy(folder, name):
    entry = {"filename": name, "split": "train", "sentences": [{"raw": "x"}]}
    (folder / "t.json").write_text(json.dumps({"images": [entry]}))
    return open_pairs({"karpathy": str(folder / "t.json"), "images": str(folder)})


def coop(folder, name):
    (folder / "t.json").write_text(json.dumps({"train": [[name, 0, "x"]]}))
    return open_classification({"coop": str(folder / "t.json"), "images": str(folder)})


def flickr8k(folder, name):
    (folder / "t.txt").write_text(f"{name}#0\tx\n")
    return open_pairs({"flickr8k": str(folder / "t.txt"), "images": str(folder)})


def domainnet(folder, name):
    if name.count("/") < 2:  # its lists name domain/class/file
        name = name.replace("/", "/./")
    (folder / "images_train.txt").write_text(f"{name} 0\n")
    return open_classification(
        {"layout": "domainnet", "path": str(folder), "domain": "images", "split": "train"}
    )


def parquet(folder, name):
    pyarrow.parquet.write_table(pa.table({"image": [name], "label": ["x"]}), folder / "t.parquet")
    return open_classification(str(folder / "t.parquet"))


def mask_parquet(folder, name):
    pyarrow.parquet.write_table(pa.table({"image": [png()], "mask": [name]}), folder / "t.parquet")
    found = open_masks({"parquet": str(folder / "t.parquet"), "classes": ["x"]})
    return found.maps.stored(0)


def saved(folder, name):
    datasets.Dataset.from_dict({"image": [name], "label": ["x"]}).save_to_disk(folder)
    return open_classification(str(folder))


OWN = [labelled_csv, captioned_csv, lines]
OTHERS = [karpathy, coop, flickr8k, domainnet, parquet, mask_parquet, saved]


@pytest.mark.parametrize("read", OWN + OTHERS)
@pytest.mark.parametrize(
    "name", ["../secret.png", "images/link.png", "images/away/secret.png", "a/../../secret.png"]
)
def test_no_list_reaches_outside_its_folder(folder, read, name):
    with pytest.raises(DataError, match="paths must stay inside"):
        read(folder, name)


@pytest.mark.parametrize("read", OTHERS)
def test_only_tables_of_the_user_take_absolute_paths(folder, read):
    with pytest.raises(DataError, match="paths must stay inside"):
        read(folder, str(folder.parent / "secret.png"))


@pytest.mark.parametrize("read", OWN)
def test_a_table_of_the_user_takes_absolute_paths(folder, read):
    assert read(folder, str(folder.parent / "secret.png")).image(0).getpixel((0, 0)) == (9, 0, 0)


@pytest.mark.parametrize("read", [*OWN, karpathy, coop, flickr8k, parquet, saved])
def test_every_list_reaches_what_lies_in_its_folder(folder, read):
    assert read(folder, "images/a.png").image(0).getpixel((0, 0)) == (1, 0, 0)


def test_images_is_another_folder_that_the_user_gives(folder):
    (folder / "tables").mkdir()
    (folder / "tables" / "t.csv").write_text("image,label\na.png,x\n")
    spec = {"csv": str(folder / "tables" / "t.csv"), "images": "../images"}
    assert open_classification(spec).image(0).getpixel((0, 0)) == (1, 0, 0)


def test_a_cache_that_links_table_and_images_to_one_folder_is_read(folder):
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    (blobs / "1").write_bytes(png(3))
    (blobs / "2").write_text("image,label\nb.png,x\n")
    (folder / "b.png").symlink_to(blobs / "1")
    (folder / "t.csv").symlink_to(blobs / "2")
    assert open_classification(str(folder / "t.csv")).image(0).getpixel((0, 0)) == (3, 0, 0)


def test_a_downloaded_set_names_images_of_the_cache_by_absolute_paths(folder):
    rows = [{"image": {"bytes": None, "path": str(folder / "images" / "a.png")}}]
    roots = (str(folder.parent / "elsewhere"), str(folder))
    assert ColumnImages(rows, "image", name="t", folder=folder.parent / "org", roots=roots).content(0) == png(
        1
    )


@pytest.mark.parametrize("name", ["../evil.arrow", "/tmp/evil.arrow", "link.arrow"])
def test_a_saved_set_names_no_files_outside_its_folder(tmp_path, name):
    for place in ("set", "other"):
        datasets.Dataset.from_dict({"image": [png()], "label": ["x"]}).save_to_disk(tmp_path / place)
    (tmp_path / "evil.arrow").write_bytes((tmp_path / "other" / "data-00000-of-00001.arrow").read_bytes())
    (tmp_path / "set" / "link.arrow").symlink_to(tmp_path / "evil.arrow")
    state = json.loads((tmp_path / "set" / "state.json").read_text())
    (tmp_path / "set" / "state.json").write_text(json.dumps({**state, "_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match=r"paths must stay inside.*state\.json"):
        open_classification(str(tmp_path / "set"))


def test_a_saved_set_of_splits_names_no_folders_outside_it(tmp_path):
    datasets.Dataset.from_dict({"image": [png()], "label": ["x"]}).save_to_disk(tmp_path / "other")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["../other"]}')
    with pytest.raises(DataError, match="paths must stay inside"):
        open_classification({"hub": str(tmp_path / "set"), "split": "../other"})


@pytest.mark.parametrize("read", [*OWN, *OTHERS])
def test_a_name_with_nul_is_refused_when_the_list_is_opened(folder, read):
    with pytest.raises(DataError, match=r"a\\x00|a\\\\x00"):
        read(folder, "a\0b.png")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
@pytest.mark.parametrize(
    "read", [labelled_csv, captioned_csv, lines, karpathy, coop, flickr8k, parquet, saved]
)
def test_what_is_no_regular_file_is_never_opened_as_an_image(folder, read, make):
    make(folder / "pipe.png")
    with pytest.raises(DataError, match=r"max_bad.*regular file|stay inside|there is no"):
        read(folder, "pipe.png")


def test_a_fifo_counts_as_one_bad_image_of_a_class_folder(folder):
    os.mkfifo(folder / "images" / "b.png")
    (folder / "images" / "link.png").unlink()
    found = open_classification(str(folder), reading=Reading(max_bad=0.5))
    assert len(found) == 2
    with pytest.raises(DataError, match=r"b\.png.*regular file and is a FIFO"):
        found.image(1)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.tar"])
def test_a_table_that_is_a_fifo_or_a_device_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=r"regular file|must exist"):
        open_pairs(str(tmp_path / name))
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"regular file|must exist"):
        open_pairs(str(tmp_path / name))


def test_a_local_parquet_asks_no_name_server(tmp_path, monkeypatch):
    asked = []

    def refused(*arguments, **named):
        asked.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    pyarrow.parquet.write_table(pa.table({"image": [png()], "label": ["x"]}), tmp_path / "t.parquet")
    assert len(open_classification(str(tmp_path / "t.parquet"))) == 1
    assert asked == []
    assert datasets.config.HF_UPDATE_DOWNLOAD_COUNTS is True


def test_half_a_surrogate_pair_in_a_caption_names_its_line(folder):
    (folder / "t.jsonl").write_text('{"image": "images/a.png", "captions": ["a \\ud83d dog"]}\n')
    with pytest.raises(DataError, match=r"Line 1 of .*ud83d, half of a surrogate pair"):
        open_pairs(str(folder / "t.jsonl"))


def test_a_root_folder_holds_everything(tmp_path):
    assert place_inside("a.png", tmp_path, ("/",)) == str(tmp_path / "a.png")


@pytest.mark.parametrize("read", OWN)
def test_a_table_of_the_user_may_go_up_and_down_again_within_its_folder(folder, read):
    assert read(folder, "images/../images/a.png").image(0).getpixel((0, 0)) == (1, 0, 0)
