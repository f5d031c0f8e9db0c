"""Parquet files and saved data sets."""

import io

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from radapter.data import Reading, open_classification
from radapter.data.splits import key_of
from radapter.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("own_cache")


def _png(red):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (red, 0, 0)).save(stream, format="png")
    return stream.getvalue()


_FEATURES = datasets.Features(
    {"image": datasets.Image(), "label": datasets.ClassLabel(names=["wren", "crow"])}
)


def _table(labels=(1, 0, 1), features=_FEATURES):
    rows = {"image": [{"bytes": _png(n), "path": None} for n in range(len(labels))], "label": list(labels)}
    return datasets.Dataset.from_dict(rows, features=features)


def test_parquet_of_the_hub_is_read_with_its_class_names(tmp_path):
    _table().to_parquet(tmp_path / "birds.parquet")
    dataset = open_classification({"parquet": str(tmp_path / "birds.parquet")})
    assert dataset.name == "birds"
    assert dataset.classnames == ("wren", "crow")
    assert dataset.labels.tolist() == [1, 0, 1]
    assert dataset.image(2).getpixel((0, 0)) == (2, 0, 0)
    assert dataset.where(2) == "birds row 2"


def test_keys_hash_the_stored_bytes(tmp_path):
    _table().to_parquet(tmp_path / "birds.parquet")
    assert open_classification(str(tmp_path / "birds.parquet")).keys.tolist() == [
        key_of(_png(n)) for n in range(3)
    ]


def test_several_files_and_patterns_are_one_set(tmp_path):
    for number in range(2):
        _table().to_parquet(tmp_path / f"part-{number}.parquet")
    listed = [str(tmp_path / f"part-{number}.parquet") for number in range(2)]
    assert len(open_classification({"parquet": listed})) == 6
    assert len(open_classification({"parquet": str(tmp_path / "part-*.parquet")})) == 6


def test_plain_parquet_of_bytes_and_names_is_read(tmp_path):
    table = pa.table({"jpg": [_png(5)], "kind": ["crow"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    dataset = open_classification({"parquet": str(tmp_path / "a.parquet"), "image": "jpg", "label": "kind"})
    assert dataset.classnames == ("crow",)
    assert dataset.image(0).getpixel((0, 0)) == (5, 0, 0)


def test_image_structs_without_the_hubs_note_are_read(tmp_path):
    table = pa.table({"image": [{"bytes": _png(5), "path": "a.png"}], "label": [0]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert open_classification(str(tmp_path / "a.parquet")).image(0).getpixel((0, 0)) == (5, 0, 0)


def test_paths_in_parquet_start_at_its_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(_png(6))
    pyarrow.parquet.write_table(pa.table({"image": ["images/a.png"], "label": ["x"]}), tmp_path / "a.parquet")
    assert open_classification(str(tmp_path / "a.parquet")).image(0).getpixel((0, 0)) == (6, 0, 0)


def test_saved_set_is_read(tmp_path):
    _table().save_to_disk(tmp_path / "birds")
    assert len(open_classification({"hub": str(tmp_path / "birds")})) == 3
    assert len(open_classification(str(tmp_path / "birds"))) == 3


def test_saved_splits_are_chosen_by_name(tmp_path):
    datasets.DatasetDict({"train": _table(), "test": _table((0,))}).save_to_disk(tmp_path / "birds")
    assert len(open_classification({"hub": str(tmp_path / "birds"), "split": "test"})) == 1
    with pytest.raises(ConfigError, match=r"train, test.*no 'tset'\. Did you mean 'test'"):
        open_classification({"hub": str(tmp_path / "birds"), "split": "tset"})


def test_selected_rows_of_a_saved_set_are_the_selected_ones(tmp_path):
    _table().select([2, 0]).save_to_disk(tmp_path / "birds")
    dataset = open_classification({"hub": str(tmp_path / "birds")})
    assert [dataset.image(i).getpixel((0, 0))[0] for i in range(2)] == [2, 0]


def test_hub_is_not_asked_without_permission():
    with pytest.raises(DataError, match="allow_download"):
        open_classification({"hub": "someone/birds", "split": "test"})


def test_folder_that_is_no_saved_set_says_what_is(tmp_path):
    with pytest.raises(DataError, match="save_to_disk wrote"):
        open_classification({"hub": str(tmp_path)})


def test_unlabelled_row_of_a_hub_set_is_refused(tmp_path):
    _table((0, -1)).to_parquet(tmp_path / "birds.parquet")
    with pytest.raises(DataError, match=r"1: '-1' \(1 images\)"):
        open_classification(str(tmp_path / "birds.parquet"))


def test_empty_image_entry_counts_as_unreadable(tmp_path):
    table = pa.table({"image": pa.array([_png(0), None], pa.binary()), "label": ["x", "x"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"max_bad.*a row 1 is empty"):
        open_classification(str(tmp_path / "a.parquet"))
    assert len(open_classification(str(tmp_path / "a.parquet"), reading=Reading(max_bad=0.5))) == 2


@pytest.mark.parametrize("column", ["image", "label"])
def test_missing_column_proposes_the_nearest(tmp_path, column):
    _table().rename_column(column, f"{column}s").to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=f"no '{column}'. Did you mean '{column}s'"):
        open_classification(str(tmp_path / "a.parquet"))


def test_column_of_another_kind_is_refused(tmp_path):
    pyarrow.parquet.write_table(pa.table({"image": [1], "label": [0.5]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="must hold images"):
        open_classification(str(tmp_path / "a.parquet"))
    pyarrow.parquet.write_table(pa.table({"image": ["a.png"], "label": [0.5]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="class names or integers"):
        open_classification(str(tmp_path / "b.parquet"))


@pytest.mark.parametrize("name", ["gone.parquet", "gone-*.parquet"])
def test_missing_parquet_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="must exist"):
        open_classification({"parquet": str(tmp_path / name)})


def test_damaged_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="readable parquet"):
        open_classification(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("domain", "rows"), [("photo", 1670), ("art_painting", 2048), ("cartoon", 2344), ("sketch", 3929)]
)
def test_pacs_is_read(real_data, domain, rows):
    dataset = open_classification(str(real_data / "pacs" / f"{domain}.parquet"))
    assert len(dataset) == rows
    assert dataset.classnames == ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    assert min(dataset.image(rows - 1).size) == 128


def test_shape_stimuli_map_into_pacs_classes(real_data):
    left_out = ["airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat", "chair", "clock"]
    left_out += ["keyboard", "knife", "oven", "truck"]
    spec = {"parquet": str(real_data / "texture_shape" / "edges.parquet"), "labels": dict.fromkeys(left_out)}
    dataset = open_classification(spec, classnames=["dog", "elephant", "horse"])
    assert len(dataset) == 20
    assert set(dataset.labels.tolist()) == {0, 1}
