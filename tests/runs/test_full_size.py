"""Full-size towers with random weights on real photographs: train, save, reload, merge, plain open_clip."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

import radapter
from radapter.data import open_classification
from radapter.methods import METHODS, RAdapterSettings
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, run_method
from radapter.runs.merging import merge_run
from radapter.tasks.classification import ClassificationSuite
from radapter.tasks.recipe import Recipe

PROMPT = ("a photo of a {}.",)

pytestmark = pytest.mark.slow


def stand_in_tokenizer(texts: list[str]) -> torch.Tensor:
    """SigLIP's tokenizer lies on a hub; the bytes of the text, padded to 64, stand in for its ids."""
    rows = [list(text.encode()[:64]) for text in texts]
    return torch.tensor([row + [1] * (64 - len(row)) for row in rows])


@pytest.fixture(scope="module")
def photographs(request) -> ClassificationSuite:
    root = request.getfixturevalue("real_data")
    photos = open_classification({"parquet": str(root / "pacs" / "photo.parquet"), "part": [0.5, 1.0]})
    train = photos.subset([int((photos.labels == c).nonzero()[0]) for c in range(7)])
    test = photos.subset([int((photos.labels == c).nonzero()[1]) for c in range(2)])  # ten alphas see each
    return ClassificationSuite(
        train=train,
        id_val=None,
        id_test={"photo": test},
        ood={},
        classnames=photos.classnames,
        templates=PROMPT,
    )


@pytest.mark.parametrize("name", ["open_clip:ViT-B-32", "open_clip:ViT-B-16-SigLIP"])
def test_a_full_size_tower_trains_merges_and_runs_in_plain_open_clip(tmp_path: Path, photographs, name: str):
    open_clip = pytest.importorskip("open_clip")
    tokenizer = stand_in_tokenizer if "SigLIP" in name else None
    recipe = Recipe(epochs=1, batch_size=4, learning_rate=1e-3, ema_decay=0.5)
    results = run_method(
        RunDirectory(tmp_path / "run", settings=""),
        METHODS["r-adapter"],
        radapter.load(name, tokenizer=tokenizer),
        photographs,
        replace(recipe, settings=RAdapterSettings(layers_to_transform=[10, 11])),
        rule=AlphaRule(0.5),
    )
    assert results.row("r-adapter").trained_parameters == results_of_two_layers(name)
    # One model at a time: each takes up to 0.8 GB.
    adapted = radapter.load(name, tokenizer=tokenizer)
    PeftModel.from_pretrained(adapted.module, tmp_path / "run" / "adapter")
    pixels = torch.stack([adapted.preprocess(photographs.train.image(i)) for i in range(2)])
    tokens = adapted.tokenize(["a photo of a dog.", "a photo of a horse."])
    with torch.no_grad():
        expected = adapted.encode_image(pixels), adapted.encode_text(tokens)
    del adapted
    merge_run(
        tmp_path / "run",
        radapter.load(name, tokenizer=tokenizer),
        to=tmp_path / "merged",
        format="open_clip",
        alpha=None,
    )
    plain = open_clip.create_model(f"local-dir:{tmp_path / 'merged'}").eval()
    with torch.no_grad():
        found = plain.encode_image(pixels), plain.encode_text(tokens)
    for ours, theirs in zip(expected, found, strict=True):
        assert (ours - theirs).norm() / ours.norm() < 1e-5
    certificate = json.loads((tmp_path / "merged" / "certificate.json").read_text())
    assert certificate["max_relative_difference"] < 1e-5


def results_of_two_layers(name: str) -> int:
    """Two blocks, two sites each, in both towers: matrices and scales."""
    widths = (768, 768) if "SigLIP" in name else (768, 512)
    return sum(2 * 2 * (width**2 + 1) for width in widths)
