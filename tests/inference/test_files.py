"""The files of predictions and embeddings, read back."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open

from radapter.errors import ConfigError, RunError
from radapter.inference import Embeddings, Prediction, Predictions, Ranked, open_predictor
from radapter.search import ImageIndex, find, index_folder

ROWS = (
    Prediction('a, "b".png', "cat", 0.75, (Ranked("cat", 0.75), Ranked("dog", 0.25)), "dog", True),
    Prediction("broken.png", error="no image"),
    Prediction("caf\udce9.png", "dog", 0.5, (Ranked("dog", 0.5), Ranked("cat", 0.5)), "dog", False),
)
FOUND = Predictions(ROWS, ("cat", "dog"), 0.5, 1.25)


@pytest.fixture(scope="module")
def embeddings(sketches):
    """Of 23 sketches and two texts, by the tiny CLIP."""
    return open_predictor("world:tiny").embed(sketches, ["a red star", "a moon, at night"])


def test_predictions_as_csv(tmp_path):
    with FOUND.write(tmp_path / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first, broken, last = rows
    assert (first["path"], first["label"], first["label_2"], first["zero_shot"]) == (
        'a, "b".png',
        "cat",
        "dog",
        "dog",
    )
    assert (float(first["probability"]), float(first["probability_2"]), first["differs"]) == (
        0.75,
        0.25,
        "true",
    )
    assert (broken["label"], broken["probability_2"], broken["differs"], broken["error"]) == (
        "",
        "",
        "",
        "no image",
    )
    assert last["path"] == "caf\\xe9.png"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_predictions_as_json_lines_and_parquet(tmp_path, suffix):
    file = FOUND.write(tmp_path / f"found.{suffix}")
    if suffix == "jsonl":
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    else:
        rows = pq.read_table(file).to_pylist()
    top = [{"label": "cat", "probability": 0.75}, {"label": "dog", "probability": 0.25}]
    expected = {"path": 'a, "b".png', "label": "cat", "probability": 0.75, "top": top}
    assert rows[0] == {**expected, "zero_shot": "dog", "differs": True, "error": None}
    assert (rows[1]["label"], rows[1]["top"], rows[1]["error"]) == (None, [], "no image")


def test_counts_of_predictions():
    assert FOUND.counts == {"cat": 1, "dog": 1}
    assert FOUND.errors == {"broken.png": "no image"}
    assert FOUND.differing == 1
    assert Predictions(ROWS[1:2], ("cat",), None, 1.0).differing is None


def test_an_existing_file_and_another_suffix_are_refused(tmp_path, embeddings):
    (tmp_path / "found.csv").write_text("mine")
    (tmp_path / "features.json").write_text("mine")
    with pytest.raises(RunError, match="must be a new file"):
        FOUND.write(tmp_path / "found.csv")
    with pytest.raises(RunError, match=r"features\.json"):
        embeddings.write(tmp_path / "features.npy")
    with pytest.raises(ConfigError, match=r"\.csv or \.jsonl or \.parquet"):
        FOUND.write(tmp_path / "found.txt")
    with pytest.raises(ConfigError, match=r"\.npy"):
        embeddings.write(tmp_path / "found.csv")
    assert {file.read_text() for file in tmp_path.iterdir()} == {"mine"}


def test_embeddings_have_unit_norm(embeddings):
    for rows in (embeddings.image_features, embeddings.text_features):
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def both(embeddings: Embeddings) -> np.ndarray:
    return np.concatenate([embeddings.image_features, embeddings.text_features])


def test_embeddings_as_npy_with_the_names_of_its_rows(tmp_path, embeddings):
    file = embeddings.write(tmp_path / "features.npy")
    assert np.array_equal(np.load(file, allow_pickle=False), both(embeddings))
    names = json.loads(file.with_suffix(".json").read_text())
    assert (names["schema"], names["model"], names["alpha"]) == (1, "world:tiny", None)
    assert (tuple(names["paths"]), tuple(names["texts"])) == (embeddings.paths, embeddings.texts)


def test_embeddings_as_parquet(tmp_path, embeddings):
    table = pq.read_table(embeddings.write(tmp_path / "features.parquet"))
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float32), both(embeddings))
    assert table["path"].to_pylist() == [*embeddings.paths, None, None]
    assert table["text"].to_pylist() == [None] * 23 + ["a red star", "a moon, at night"]
    assert json.loads(table.schema.metadata[b"model"]) == "world:tiny"


def test_embeddings_as_safetensors(tmp_path, embeddings):
    with safe_open(embeddings.write(tmp_path / "features.safetensors"), framework="np") as file:
        assert np.array_equal(file.get_tensor("images"), embeddings.image_features)
        assert np.array_equal(file.get_tensor("texts"), embeddings.text_features)
        names = {key: json.loads(of) for key, of in file.metadata().items()}
    assert (tuple(names["paths"]), tuple(names["texts"])) == (embeddings.paths, embeddings.texts)


@pytest.mark.parametrize("suffix", ["npy", "parquet", "safetensors"])
def test_texts_alone_and_images_alone_are_written(tmp_path, sketches, suffix):
    predictor = open_predictor("world:tiny")
    for name, found in (
        ("texts", predictor.embed(texts=["a star"])),
        ("images", predictor.embed({"folder": str(sketches)})),
    ):
        assert found.write(tmp_path / f"{name}.{suffix}").is_file()
    assert found.labels[0] == sorted(sketches.rglob("*.png"))[0].parent.name


def test_embeddings_rank_as_the_search_does(sketches, runs):
    predictor = open_predictor(runs())
    texts = ["a red star", "a sketch of a moon", "a car"]
    found = predictor.embed(sketches, texts, batch_size=5)
    with predictor._weights.at(0.6):
        index = index_folder(predictor.encoder, sketches, model="any").index
    text_features = torch.from_numpy(found.text_features)
    names = tuple(str(sketches / path) for path in index.paths)
    assert found.paths == names
    own = ImageIndex("any", names, index.stamps, torch.from_numpy(found.image_features))
    for searched, embedded in zip(
        find(index, text_features, top=23), find(own, text_features, top=23), strict=True
    ):
        assert [str(sketches / hit.path) for hit in searched] == [hit.path for hit in embedded]
        assert [hit.cosine for hit in searched] == pytest.approx([hit.cosine for hit in embedded], abs=1e-6)


def test_unreadable_images_have_no_row(sketches, tmp_path):
    from radapter.data import Reading

    (tmp_path / "broken.png").write_text("no image")
    images = [tmp_path / "broken.png", *sorted(sketches.rglob("*.png"))]
    found = open_predictor("world:tiny").embed(images, reading=Reading(max_bad=0.1))
    assert (len(found.paths), found.image_features.shape[0]) == (23, 23)
    assert list(found.errors) == [str(tmp_path / "broken.png")]


def test_nothing_to_encode_is_refused():
    with pytest.raises(ConfigError, match="need images or texts"):
        open_predictor("world:tiny").embed()
