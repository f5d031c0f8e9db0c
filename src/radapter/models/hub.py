"""Files from the Hugging Face hub: its local cache always, the network only if the user allows it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors as hub_errors

from radapter.errors import ModelError

ALLOWING = (
    "Allow downloads by allow_download: true in run.yaml, --allow-download on the command line or "
    "allow_download=True in Python"
)
_SMALL_FILES = ("*.json", "*.txt", "*.model")
_SUBFOLDERS = "*/*"
_ABSENT = (hub_errors.HfHubHTTPError, hub_errors.HFValidationError, OSError, ValueError)


@contextmanager
def offline() -> Iterator[None]:
    """A block in which the hub's client, which other libraries call, makes no request."""
    was_offline = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = was_offline


def folder_of(
    repository: str, weights: Callable[[Path], Sequence[Sequence[str]]], *, allow_download: bool
) -> Path:
    """The folder of a model on the hub, cached or, if allowed, downloaded. Raises ModelError if it is not there.

    `weights` maps a folder with the configuration to groups of patterns of weights files; only the first group of
    which the repository has a file is downloaded.
    """
    folder = _snapshot(repository, _SMALL_FILES, allow_download)
    for patterns in weights(folder) if allow_download else ():
        folder = _snapshot(repository, (*_SMALL_FILES, *patterns), allow_download)
        if any(file for pattern in patterns for file in folder.glob(pattern)):
            break
    return folder


def file_of(repository: str, names: Sequence[str], *, allow_download: bool) -> Path:
    """The first of `names` that a hub repository has. Raises ModelError if none is cached or can be downloaded."""
    failure: Exception | None = None
    for name in names:
        # The hub's own hf_hub_download asks the network who calls it, even when told to use local files only.
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
        if allow_download:
            try:
                return Path(huggingface_hub.hf_hub_download(repository, name))
            except _ABSENT as error:
                failure = error
                if isinstance(error, hub_errors.LocalEntryNotFoundError):
                    break  # the hub was not reached: another name would wait as long
    raise _missing(repository, f" for {' or '.join(names)}", allow_download, failure) from failure


def _snapshot(repository: str, patterns: Sequence[str], allow_download: bool) -> Path:
    try:
        found = huggingface_hub.snapshot_download(
            repository,
            allow_patterns=list(patterns),
            ignore_patterns=[_SUBFOLDERS],
            local_files_only=not allow_download,
        )
        return Path(found)
    except _ABSENT as error:
        raise _missing(repository, "", allow_download, error) from error


def _missing(repository: str, files: str, allow_download: bool, error: Exception | None) -> ModelError:
    if allow_download:
        return ModelError(f"'{repository}' cannot be downloaded: {error}. Check name and network.")
    return ModelError(
        f"'{repository}' must be in the local hub cache{files}, because downloads are not allowed. {ALLOWING}, or "
        "download it once with 'hf download' and try again."
    )
