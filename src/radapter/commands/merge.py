"""`radapter merge`: the plain checkpoint of a run."""

from pathlib import Path

from radapter.commands.building import absent_folder
from radapter.commands.terminal import next_steps, say
from radapter.config import load_config
from radapter.errors import ConfigError, RunError
from radapter.models import load
from radapter.models.export import CLASSES, CLASSIFIER
from radapter.protocol import CONFIG, alpha_to_merge, merge_run, read_about
from radapter.storage import check_writable, read_json

_LOADING = {
    "transformers": "AutoModel.from_pretrained('{to}')",
    "open_clip": "model, preprocess = open_clip.create_model_from_pretrained('local-dir:{to}')",
    "timm": "timm.create_model('local-dir:{to}')",
}


def merge(run: Path, *, to: Path, alpha: float | None = None, format: str | None = None) -> Path:
    """Writes the merged model in its own library's form, or in another's where the architecture exists there.

    Args:
        run: the folder of a finished run.
        to: a new folder.
        alpha: in [0, 1]; None for the run's chosen one.
        format: "transformers", "open_clip" or "timm"; None for the model's own library.

    Raises:
        InputError: no finished run, another base model, `to` exists, `alpha` is out of range, or the run's own is 0;
            nothing is written.
    """
    about = read_about(run)
    check_alpha(alpha)
    at = alpha_to_merge(run, about, alpha)
    if not absent_folder(to):
        raise RunError(f"--to must be a new folder. '{to}' exists. Give another.")
    check_writable(to.parent)
    config = load_config(run / CONFIG)
    encoder = load(config.model, allow_download=config.allow_download)
    merged = merge_run(run, encoder, to=to, format=format, alpha=at)
    difference = read_json(merged / "certificate.json")["max_relative_difference"]
    classifier = (
        f"; {CLASSIFIER} and {CLASSES} hold its classifier of {len(about['classnames'])} classes"
        if "classnames" in about
        else ""
    )
    say(
        f"Wrote {merged}: '{about['method']}' at alpha {at:g}, features equal to {difference:.1e}{classifier}."
    )
    next_steps(("load it", loading(to, format or encoder.library)))
    return merged


def loading(folder: str | Path, library: str) -> str:
    """The Python that loads a merged folder in its library."""
    return _LOADING[library].format(to=folder)


def check_alpha(alpha: float | None) -> None:
    """Raises ConfigError where alpha is given and out of range."""
    if alpha is not None and not 0 <= alpha <= 1:
        raise ConfigError(f"--alpha must be in [0, 1]. Got {alpha:g}.")
