"""Full-size towers with random weights, each once: adapted, exported and reloaded by open_clip alone."""

from pathlib import Path

import peft
import pytest
import torch

from radapter import RAdapterConfig
from radapter.models import export, fingerprint, inspect, load
from radapter.storage import read_json

pytestmark = pytest.mark.slow


def letters(texts: list[str]) -> torch.Tensor:
    """The stand-in for SigLIP's tokenizer, whose files are on the hub: one id per letter, 1 at the end and after."""
    rows = [[2 + ord(letter) for letter in text[:63]] for text in texts]
    return torch.tensor([row + [1] * (64 - len(row)) for row in rows])


@pytest.mark.parametrize(
    ("name", "trained", "format"),
    [
        ("open_clip:ViT-B-32", 20_447_280, "transformers"),
        ("open_clip:ViT-B-16-SigLIP", 28_311_600, "open_clip"),
    ],
)
def test_a_full_size_model_adapts_and_exports(name: str, trained: int, format: str, tmp_path: Path) -> None:
    encoder = load(name, tokenizer=letters if "SigLIP" in name else None)
    assert encoder.tokenize(["a photo of a dog"]).shape == (1, encoder.context_length)
    assert inspect(encoder).trained_parameters == trained
    before = fingerprint(encoder)
    peft.get_peft_model(encoder.module, RAdapterConfig(init_weights=False)).eval()
    assert fingerprint(encoder) == before
    folder = export(encoder, to=tmp_path / "merged", format=format, alpha=0.5)
    assert read_json(folder / "certificate.json")["max_relative_difference"] <= 1e-5
