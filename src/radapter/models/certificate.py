"""Proof of an exported folder: its library alone loads it and gives the same features for a fixed batch."""

import math
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from radapter.errors import ExportError, ModelError
from radapter.manifests import MANIFEST, check, check_recorded, compared, hashes_of
from radapter.models.encoder import Batch, Features, Towers
from radapter.storage import read_json, sha256

CERTIFICATE = "certificate.json"
TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-2}
SAMPLES, SEED = 4, 0
_PACKAGES = (
    *("torch", "transformers", "open_clip_torch", "timm", "peft", "safetensors", "onnx", "onnxruntime"),
    "radapter",
)


def dtype_of(module: nn.Module) -> torch.dtype:
    """The dtype of the weights. Raises ModelError if no tolerance is known for it."""
    dtype = next(p.dtype for p in module.parameters() if p.is_floating_point())
    if dtype not in TOLERANCES:
        raise ModelError(f"dtype of the weights must be in {', '.join(map(str, TOLERANCES))}. Got {dtype}.")
    return dtype


def fixed_batch(towers: Towers, dtype: torch.dtype) -> Batch:
    """Images of normal noise, and token ids of random words up to an end-of-text id; the same in every call."""
    generator = torch.Generator().manual_seed(SEED)
    size = towers.image_size
    pixels = torch.randn(SAMPLES, 3, size, size, generator=generator).to(dtype)
    if not towers.context_length:
        return pixels, None
    shape = (SAMPLES, towers.context_length)
    words = torch.randint(1, max(2, towers.vocab_size - 1), shape, generator=generator)
    words[words == towers.eos_id] = 1 if towers.eos_id != 1 else 0
    place = torch.arange(towers.context_length)
    end = torch.linspace(2, towers.context_length - 1, SAMPLES).long()[:, None]
    return pixels, words.masked_fill(place == end, towers.eos_id).masked_fill(place > end, 0)


@torch.no_grad()
def features_of(module: nn.Module, towers: Towers, batch: Batch) -> Features:
    """The features of a module in memory."""
    pixels, tokens = batch
    features = {"image": towers.encode_image(module, pixels)}
    if tokens is not None:
        features["text"] = towers.encode_text(module, tokens)
    return features


def certify(before: Features, after: Features, dtype: torch.dtype, *, tolerance: float) -> dict[str, float]:
    """The difference per tower. Raises ExportError if one is above the tolerance."""
    differences = {tower: _relative_difference(before[tower], after[tower]) for tower in before}
    worst = max(differences.values())
    if math.isinf(worst):
        raise ExportError(
            "features of the exported model must be finite. Look for NaN in the weights of base model and run."
        )
    if not worst <= tolerance:
        found = f"{worst:.2g} ({', '.join(f'{t} {d:.2g}' for t, d in differences.items())})"
        raise ExportError(
            f"features of the exported folder must equal those in memory to {tolerance:g} in {dtype}. They differ "
            f"by {found}. Nothing was written. Export in float32, or into the model's own library."
        )
    return differences


def content(
    folder: Path,
    differences: dict[str, float],
    dtype: torch.dtype,
    facts: dict[str, Any],
    *,
    tolerance: float,
) -> dict[str, Any]:
    """The content of `certificate.json`."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "schema": 1,
        **facts,
        "dtype": str(dtype).removeprefix("torch."),
        "max_relative_difference": max(differences.values()),
        "differences": differences,
        "tolerance": tolerance,
        "measured_on": {"samples": SAMPLES, "seed": SEED, "device": "cpu", "arithmetic": "float32 or wider"},
        "versions": versions,
        "sha256": {str(file.relative_to(folder)): sha256(file) for file in files},
    }


def check_certified(folder: Path) -> None:
    """Raises DamagedError if a folder of `export` differs from its manifest or, if older, its certificate."""
    file = folder / CERTIFICATE
    if (folder / MANIFEST).is_file() and file.is_file():
        check_recorded(folder)
    elif file.is_file():
        check(compared(folder, hashes_of(read_json(file), file), CERTIFICATE), file)


def _relative_difference(before: Tensor, after: Tensor) -> float:
    """max_b |after_b - before_b| / |before_b| over the rows of (B, E) features; infinite if one is not finite."""
    gap = (after.double() - before.double()).norm(dim=-1) / before.double().norm(dim=-1)
    return float(gap.max()) if bool(torch.isfinite(gap).all()) else float("inf")
