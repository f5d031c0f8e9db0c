"""The encoder that RUN|MODEL names, for commands that look at images with it."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from radapter.commands.terminal import say_aside
from radapter.config import CommonConfig, load_stored
from radapter.methods import find_method
from radapter.models import DualEncoder, fingerprint, load
from radapter.models.merging import adapted_copy, merge_in_place
from radapter.runs.directory import CONFIG
from radapter.runs.weights import ADAPTER, WEIGHTS, load_trained, read_about
from radapter.storage import sha256


@contextmanager
def encoder_of(what: str, *, allow_download: bool) -> Iterator[tuple[DualEncoder, str]]:
    """Return a run's encoder at its alpha, or a model's, and the fingerprint of its weights."""
    run = Path(what)
    if not (run / CONFIG).is_file():
        encoder = load(what, allow_download=allow_download)
        yield encoder.to(_device()), fingerprint(encoder)
        return
    about = read_about(run)
    if about["alpha"] == 0:
        say_aside(
            f"Alpha 0 was chosen for '{what}', so the zero-shot model is used. Run 'radapter sweep {what}' to see "
            "why."
        )
    config = config_of_run(run, allow_download=allow_download)
    encoder = load(config.model, allow_download=config.allow_download)
    trained = load_trained(run, encoder)
    encoder.to(_device())
    with trained.interpolation() as line, line.at(about["alpha"]):
        yield encoder, _identity(run, base=trained.base, alpha=about["alpha"])


def config_of_run(run: Path, overrides: Sequence[str] = (), *, allow_download: bool) -> CommonConfig:
    """Return a run's configuration; only the caller decides whether the hub may be asked."""
    return load_stored(run / CONFIG, overrides).model_copy(update={"allow_download": allow_download})


def merged_encoder_of(run: Path, *, allow_download: bool) -> DualEncoder:
    """Return a run's encoder at its alpha, with its adapters merged if they can be."""
    with encoder_of(str(run), allow_download=allow_download) as (encoder, _):
        plain = adapted_copy(encoder.module)
        about = read_about(run)
        if not find_method(about["method"], about["task"]).unmergeable:
            plain = merge_in_place(plain)
    return DualEncoder(encoder.name, plain, encoder.towers).to(_device())


def _identity(run: Path, *, base: str, alpha: float) -> str:
    # not of the merged weights, whose bits differ between machines
    files = [file for file in (run / WEIGHTS, *(run / ADAPTER).rglob("*.safetensors")) if file.is_file()]
    parts = [base, f"{alpha!r}", *map(sha256, sorted(files))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
