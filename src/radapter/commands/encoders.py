"""The encoder that RUN|MODEL names, for commands that look at images with it."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from radapter.commands.terminal import say_aside
from radapter.evaluation import AlphaPath
from radapter.inference.opening import device_named
from radapter.methods import why_unmergeable
from radapter.models import DualEncoder, fingerprint, load
from radapter.models.merging import adapted_copy, merge_in_place
from radapter.operations.evaluating import config_of_run
from radapter.runs.directory import CONFIG
from radapter.runs.weights import ADAPTER, WEIGHTS, Trained, load_trained, read_about
from radapter.search.sheet import printable
from radapter.storage import sha256


@contextmanager
def encoder_of(what: str, *, allow_download: bool) -> Iterator[tuple[DualEncoder, str]]:
    """Return a run's encoder at its alpha, or a model's, and the fingerprint of its weights."""
    run = Path(what)
    if not (run / CONFIG).is_file():
        encoder = load(what, allow_download=allow_download)
        yield encoder.to(device_named()), fingerprint(encoder)
        return
    about = read_about(run)
    if about["alpha"] == 0:
        report_alpha_zero(what)
    with weights_of_run(run, allow_download=allow_download) as (trained, line), line.at(about["alpha"]):
        yield trained.classifier.encoder, identity(run, base=trained.base, alpha=about["alpha"])


@contextmanager
def weights_of_run(run: Path, *, allow_download: bool) -> Iterator[tuple[Trained, AlphaPath]]:
    """Return the training of a run, on the device, and the line between its weights before and after."""
    config = config_of_run(run, allow_download=allow_download)
    encoder = load(config.model, allow_download=config.allow_download)
    trained = load_trained(run, encoder)
    encoder.to(device_named())
    with trained.interpolation() as line:
        yield trained, line


def merged_encoder_of(run: Path, *, allow_download: bool) -> DualEncoder:
    """Return a run's encoder at its alpha, with its adapters merged if they can be."""
    with encoder_of(str(run), allow_download=allow_download) as (encoder, _):
        plain = adapted_copy(encoder.module)
        about = read_about(run)
        if not why_unmergeable(about["method"], about["task"]):
            plain = merge_in_place(plain)
    return DualEncoder(encoder.name, plain, encoder.towers).to(device_named())


def report_alpha_zero(what: str) -> None:
    """Print that a run's own alpha is the zero-shot model."""
    say_aside(
        f"Alpha 0 was chosen for '{what}', so the zero-shot model is used. Run 'radapter sweep {what}' to see why."
    )


def warn_of_long_texts(encoder: DualEncoder, texts: Sequence[str]) -> None:
    """Print the texts that the text tower cuts."""
    for text, tokens in zip(texts, encoder.token_counts(texts), strict=True):
        if tokens > encoder.context_length:
            say_aside(
                f"a text should have at most {encoder.context_length} tokens, the text tower's context. "
                f"'{printable(text[:80])}...' has {tokens}, and its end is cut. Shorten it."
            )


def identity(run: Path, *, base: str, alpha: float) -> str:
    """Return a name of a run's weights at an alpha, for features that are kept."""
    # not of the merged weights, whose bits differ between machines
    files = [file for file in (run / WEIGHTS, *(run / ADAPTER).rglob("*.safetensors")) if file.is_file()]
    parts = [base, f"{alpha!r}", *map(sha256, sorted(files))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
