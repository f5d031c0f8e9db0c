"""Tables, lines, columns, Karpathy's and Flickr8k's files: what each gives, and what is said about damage."""

import io
import json

import datasets
import pytest
from PIL import Image

from radapter.data import Reading, open_pairs
from radapter.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("own_cache")


def png(red):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (red, 0, 0)).save(stream, format="png")
    return stream.getvalue()


@pytest.fixture
def images(tmp_path):
    """Four images in a folder of their own, `images`, beside the lists."""
    (tmp_path / "images").mkdir()
    for red, name in enumerate("abcd"):
        (tmp_path / "images" / f"{name}.png").write_bytes(png(red))
    return tmp_path


def written(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


TABLE = "image,caption,scene\na.png,one,x\nb.png,two,y\na.png,three,x\nc.png,four,x\n"


def table(images, text=TABLE, **options):
    return open_pairs({"csv": written(images, "t.csv", text), "images": "images", **options})


def test_rows_of_a_table_are_brought_together_by_image(images):
    pairs = table(images)
    assert pairs.captions == ("one", "three", "two", "four")
    assert pairs.image_of_caption.tolist() == [0, 0, 1, 2]
    assert pairs.groups.tolist() == [0, 1, 2]
    assert pairs.image(2).getpixel((0, 0)) == (2, 0, 0)


def test_a_group_column_groups_images(images):
    assert table(images, group="scene").targets.tolist() == [0, 1, 0]


def test_a_path_to_a_table_is_enough(images):
    path = written(images / "images", "t.tsv", "image\tcaption\na.png\tone, or two\n")
    assert open_pairs(path).captions == ("one, or two",)


def test_a_group_column_that_does_not_exist_is_named(images):
    with pytest.raises(
        ConfigError, match=r"column must be one of image, caption, scene.*no 'scenes'.*'scene'"
    ):
        table(images, group="scenes")


def test_a_row_without_a_group_is_refused(images):
    text = "image,caption,scene\na.png,one,x\nb.png,two,\nc.png,three, \n"
    with pytest.raises(
        DataError, match=r"every row must name a group.* 2 of 3 do not, first rows 2, 3\. Fill"
    ):
        table(images, text, group="scene")
    assert len(table(images, text)) == 3


def test_one_image_by_two_spellings_of_its_path_is_one(images):
    pairs = table(images, "image,caption\na.png,one\n./a.png,two\nb.png,three\n.//b.png,four\n")
    assert pairs.image_of_caption.tolist() == [0, 0, 1, 1]


def test_an_image_in_two_groups_is_refused(images):
    with pytest.raises(DataError, match=r"'a\.png' has 'x' and 'y'"):
        table(images, "image,caption,scene\na.png,one,x\na.png,two,y\n", group="scene")


def test_missing_images_are_counted_and_named(images):
    with pytest.raises(DataError, match=r"Of the 3 that .*t\.csv' names .* there is no 2: e\.png, f\.png"):
        table(images, "image,caption\na.png,x\ne.png,x\nf.png,x\n")


def test_empty_captions_are_counted_and_named(images):
    with pytest.raises(DataError, match=r"In 't' 1 of 2 do: .*b\.png"):
        table(images, 'image,caption\na.png,x\nb.png," "\n')


def test_a_row_without_an_image_is_refused(images):
    with pytest.raises(DataError, match=r"every row must name an image.*first rows 2"):
        table(images, "image,caption\na.png,x\n,y\n")


def test_an_empty_table_is_refused(images):
    with pytest.raises(DataError, match="a line of column names and a row"):
        table(images, "image,caption\n")


def lines(images, *entries, **options):
    text = "".join(f"{entry if isinstance(entry, str) else json.dumps(entry)}\n" for entry in entries)
    return open_pairs({"jsonl": written(images, "t.jsonl", text), "images": "images", **options})


def test_lines_hold_one_caption_or_several(images):
    pairs = lines(
        images, {"image": "b.png", "captions": ["one", "two"]}, "", {"image": "a.png", "captions": "three"}
    )
    assert pairs.captions == ("one", "two", "three")
    assert pairs.image(0).getpixel((0, 0)) == (1, 0, 0)


def test_lines_may_have_keys_of_their_own(images):
    entries = [{"file": name, "text": "x", "id": number} for name, number in [("a.png", 3), ("b.png", 3)]]
    pairs = lines(images, *entries, image="file", captions="text", group="id")
    assert pairs.groups.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('{"image": ', "Line 1 of .* Write one object per line"),
        ("[1]", r"Line 1 of .* is '\[1\]"),
        ({"image": "a.png", "captions": 3}, "captions must be text or a list of text. Line 1 of .* has '3'"),
        ({"image": "a.png", "captions": ["x", 1]}, "captions must be text"),
        ({"image": "a.png", "captions": []}, "In 't' 1 of 1 do"),
        ({"image": 7, "captions": "x"}, "an image must be given by its path. Line 1 of .* has 7"),
        ({"image": "e.png", "captions": "x"}, "there is no 1: e.png"),
    ],
)
def test_lines_of_another_shape_are_refused(images, entry, message):
    with pytest.raises(DataError, match=message):
        lines(images, entry)


@pytest.mark.parametrize("key", ["image", "captions"])
def test_a_line_without_a_key_proposes_the_nearest(images, key):
    entry = {"image": "a.png", "captions": "x"}
    entry[f"{key}s"] = entry.pop(key)
    with pytest.raises(ConfigError, match=f"Line 1 of .* has no '{key}'. Did you mean '{key}s'"):
        lines(images, entry)


def test_a_group_of_another_type_is_refused(images):
    with pytest.raises(DataError, match=r"a group id must be text or a whole number.*has None"):
        lines(images, {"image": "a.png", "captions": "x", "group": None}, group="group")


def test_an_empty_file_of_lines_is_refused(images):
    with pytest.raises(DataError, match="must have a line"):
        lines(images, "")


def columns(captions, **more):
    rows = {
        "image": [{"bytes": png(red), "path": None} for red in range(len(captions))],
        "captions": captions,
        **more,
    }
    return datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())


def test_columns_hold_lists_of_captions(tmp_path):
    columns([["one", "two"], ["three"]]).to_parquet(tmp_path / "t.parquet")
    pairs = open_pairs(str(tmp_path / "t.parquet"))
    assert pairs.captions == ("one", "two", "three")
    assert pairs.image(1).getpixel((0, 0)) == (1, 0, 0)
    assert pairs.where(1) == "t row 1"


def test_columns_hold_single_captions_and_groups(tmp_path):
    columns(["one", "two", "three"], scene=[4, 4, 1]).save_to_disk(tmp_path / "set")
    assert open_pairs({"hub": str(tmp_path / "set"), "group": "scene"}).groups.tolist() == [0, 0, 1]
    assert open_pairs(str(tmp_path / "set")).groups.tolist() == [0, 1, 2]


def test_images_without_bytes_count_against_the_limit(tmp_path):
    rows = {"image": [{"bytes": png(0), "path": None}, {"bytes": None, "path": None}], "captions": ["x", "y"]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"max_bad.*t row 1 is empty"):
        open_pairs(str(tmp_path / "t.parquet"))
    assert len(open_pairs(str(tmp_path / "t.parquet"), reading=Reading(max_bad=0.5))) == 2


def test_columns_that_hold_no_text_are_refused(tmp_path):
    columns([1, 2]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"captions must be text or a list of text. t row 0 has '1'"):
        open_pairs(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize("option", ["image", "captions", "group"])
def test_a_column_that_does_not_exist_is_named(tmp_path, option):
    columns(["x"]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ConfigError, match=r"column must be one of image, captions. 't' has no 'scene'"):
        open_pairs({"parquet": str(tmp_path / "t.parquet"), option: "scene"})


def karpathy(images, entries, **options):
    path = written(images, "dataset_x.json", json.dumps(entries))
    return open_pairs({"karpathy": path, "images": str(images), **options})


def entry(file, split, *texts, folder="images"):
    return {
        "filename": file,
        "split": split,
        "sentences": [{"raw": text} for text in texts],
        **({"filepath": folder} if folder else {}),
    }


KARPATHY = {
    "images": [
        entry("a.png", "train", "one", "two"),
        entry("b.png", "restval", "three"),
        entry("c.png", "val", "four"),
        entry("images/d.png", "test", "five", folder=None),
    ]
}


def test_restval_joins_train(images):
    pairs = karpathy(images, KARPATHY)
    assert pairs.captions == ("one", "two", "three")
    assert pairs.image(1).getpixel((0, 0)) == (1, 0, 0)
    assert pairs.name == "dataset_x train"


def test_each_split_is_read_with_or_without_filepath(images):
    assert karpathy(images, KARPATHY, split="val").captions == ("four",)
    assert karpathy(images, KARPATHY, split="test").where(0).endswith("images/d.png")


def test_an_unknown_split_proposes_the_nearest(images):
    with pytest.raises(ConfigError, match=r"'train', 'val', 'test'. Got 'tset'\. Did you mean 'test'"):
        karpathy(images, KARPATHY, split="tset")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must hold a list 'images'"),
        ({"images": []}, "must hold a list 'images'"),
        ({"annotations": [{"image_id": 1, "caption": "x"}]}, "must hold a list 'images'"),
        ({"images": [{"filename": "a.png", "split": "train"}]}, "Image 0 of"),
        ({"images": [entry("a.png", "train", None)]}, "sentences with raw"),
        ({"images": [entry("../a.png", "train", "x")]}, "paths must stay inside images"),
        ({"images": [entry("e.png", "train", "x")]}, "there is no 1: images/e.png"),
        ({"images": [entry("a.png", "train")]}, "1 of 1 do"),
    ],
)
def test_json_of_another_shape_is_refused(images, content, message):
    with pytest.raises(DataError, match=message):
        karpathy(images, content)


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000])
def test_text_that_is_no_json_is_refused(images, text):
    path = written(images, "x.json", text)
    with pytest.raises(DataError, match="split file must be a JSON file"):
        open_pairs({"karpathy": path, "images": str(images)})


TOKENS = "a.png#1\ttwo\na.png#0\tone .\nb.png#0\tthree\nc.png#0\tfour\n"


def flickr(images, tokens=TOKENS, **options):
    spec = {"flickr8k": written(images, "t.token.txt", tokens), "images": str(images / "images")}
    return open_pairs(spec | options)


def test_captions_of_a_token_file_stand_in_the_order_of_their_numbers(images):
    pairs = flickr(images)
    assert pairs.captions == ("one .", "two", "three", "four")
    assert pairs.image_of_caption.tolist() == [0, 0, 1, 2]


def test_a_split_list_chooses_images(images):
    pairs = flickr(images, split_list=written(images, "test.txt", "c.png\r\na.png\n\n"))
    assert pairs.captions == ("four", "one .", "two")
    assert pairs.name == "test"


def test_the_one_image_that_flickr8k_captions_and_lacks_is_skipped_and_logged(images, caplog):
    with caplog.at_level("INFO"):
        pairs = flickr(images, TOKENS + "2258277193_586949ec62.jpg.1#0\tA man .\n")
    assert pairs.captions == ("one .", "two", "three", "four")
    assert "captions 2258277193_586949ec62.jpg.1, an image that Flickr8k does not have" in caplog.text


def test_a_list_of_another_data_set_is_refused(images):
    with pytest.raises(DataError, match=r"none for 1 of 2 in .*test\.txt': e\.png"):
        flickr(images, split_list=written(images, "test.txt", "a.png\ne.png\n"))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("a.png one\n", "Line 1 of .* is 'a.png one'"),
        ("a.png#x\tone\n", "Line 1"),
        ("", "is empty"),
        ("e.png#0\tone\n", "there is no 1: e.png"),
        ("a.png#0\t \nb.png#0\tone\n", "1 of 2 do"),
    ],
)
def test_token_files_of_another_shape_are_refused(images, tokens, message):
    with pytest.raises(DataError, match=message):
        flickr(images, tokens)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "karpathy", "flickr8k"])
def test_a_file_that_is_missing_is_refused(tmp_path, kind):
    images = {} if kind in ("csv", "jsonl") else {"images": str(tmp_path)}
    with pytest.raises(DataError, match="gone"):
        open_pairs({kind: str(tmp_path / "gone.x"), **images})


@pytest.mark.parametrize("kind", ["csv", "jsonl", "karpathy", "flickr8k"])
def test_a_file_that_is_no_text_is_refused(images, kind):
    (images / "x").write_bytes(b"\xff\xfe\x00\xd8")
    folder = {} if kind in ("csv", "jsonl") else {"images": str(images)}
    with pytest.raises(DataError, match="x'"):
        open_pairs({kind: str(images / "x"), **folder})
