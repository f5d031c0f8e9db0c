"""Model cards of what radapter wrote, and its upload to the Hugging Face Hub.

A card is a README.md, which no manifest records: users edit it. `push` uploads the manifest, the files that it
lists, and the card. It is the only function here that uses the network.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from peft.utils import CONFIG_NAME

from radapter.config import CommonConfig, load_stored
from radapter.data.columns import HubKeys
from radapter.errors import ConfigError, ModelError, RAdapterError, RunError
from radapter.manifests import MANIFEST, check_recorded, recorded
from radapter.methods import why_unmergeable
from radapter.models.certificate import CERTIFICATE
from radapter.models.export import CLASSES
from radapter.models.loading import hub_repository
from radapter.report.card import PEFT, RUN, Subject, model_card
from radapter.runs.adapters import read_adapter_config
from radapter.runs.directory import CONFIG
from radapter.runs.results import Results
from radapter.runs.weights import ADAPTER, HEAD, TRAINED, read_about
from radapter.storage import read_json, write_text

CARD = "README.md"
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True)
class Pushed:
    """What `push` uploaded: the addresses of repository and commit, and each file with its size in bytes."""

    repository: str
    commit: str
    files: dict[str, int]


def write_adapter_card(run: Path) -> None:
    """Writes the model card of a finished run's `adapter/`; does nothing for methods without adapters."""
    if (run / ADAPTER).is_dir():
        subject = _of_run(run, read_about(run), form=PEFT)
        write_text(run / ADAPTER / CARD, model_card(subject, Results.read_if_known(run)))


def write_merged_card(
    merged: Path, run: Path, *, results: Results | None, about: Mapping[str, Any], library: str
) -> None:
    """Writes the model card of a merged folder.

    `run` is the folder of its weights, `about` the facts about them, `results` those of the run or comparison, and
    `library` that of the base model.
    """
    facts = read_json(merged / CERTIFICATE)
    subject = _of_run(run, about, form=facts["format"], alpha=facts["alpha"], library=library)
    write_text(merged / CARD, model_card(subject, results))


def files_to_push(folder: Path) -> dict[str, Path]:
    """Name in the repository -> file: what the manifest of `folder` lists, the manifest, and the model card.

    Of a run, also those of `adapter/`. A card that is missing is written. Raises RunError if `folder` is no run,
    adapter or merged model, and DamagedError if a file is missing or differs from the manifest.
    """
    _write_missing_card(folder)
    found: dict[str, Path] = {}
    for part in (folder, folder / ADAPTER):
        if (part / MANIFEST).is_file():
            check_recorded(part)
            names = [*recorded(part), MANIFEST, *([CARD] if (part / CARD).is_file() else [])]
            found |= {(part / name).relative_to(folder).as_posix(): part / name for name in names}
    return dict(sorted(found.items()))


def push(folder: Path, repo_id: str, *, private: bool = False, api: HfApi | None = None) -> Pushed:
    """Uploads a run, its adapters or a merged model to the Hub in one commit, and creates the repository.

    Args:
        folder: A run directory, its `adapter/`, or a merged directory; `files_to_push` lists what is uploaded.
        repo_id: OWNER/NAME.
        private: Creates a private repository.
        api: None uses the endpoint and the token of huggingface_hub's own configuration.

    Raises:
        ConfigError: `repo_id` is not OWNER/NAME.
        RunError, DamagedError: As `files_to_push`; nothing is uploaded.
        ModelError: The Hub cannot be reached or refuses, or `private` is set and the repository is public.
    """
    check_repository(repo_id)
    files = files_to_push(folder)
    api = api or HfApi()
    with _one_sentence(repo_id):
        repository = api.create_repo(repo_id, private=private, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise ModelError(f"'{repo_id}' exists and is public. Nothing was uploaded. Leave --private out.")
        operations = [CommitOperationAdd(name, file) for name, file in files.items()]
        commit = api.create_commit(repo_id, operations, commit_message="Upload with radapter")
    sizes = {name: file.stat().st_size for name, file in files.items()}
    return Pushed(str(repository), str(commit.commit_url), sizes)


def check_repository(repo_id: str) -> None:
    """Raises ConfigError unless a name has the form OWNER/NAME."""
    if not _REPOSITORY.fullmatch(repo_id):
        raise ConfigError(f"repository must be OWNER/NAME, got '{repo_id}'. Give your user name as OWNER.")


def _write_missing_card(folder: Path) -> None:
    if (folder / CARD).is_file() and _is_known(folder):
        return
    if (folder / CERTIFICATE).is_file():
        subject, results = _of_merged(folder), None
    elif (folder / TRAINED).is_file():
        subject, results = _of_run(folder, read_about(folder), form=RUN), Results.read_if_known(folder)
    elif (folder / CONFIG_NAME).is_file() and (folder.parent / TRAINED).is_file():
        subject, results = (
            _of_run(folder.parent, read_about(folder.parent), form=PEFT),
            Results.read_if_known(folder.parent),
        )
    else:
        raise RunError(
            f"push needs a finished run, its directory {ADAPTER}, or a merged model. '{folder}' is none. Merge a "
            "comparison first: radapter merge COMPARISON --method METHOD --out merged"
        )
    write_text(folder / CARD, model_card(subject, results))


def _is_known(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CERTIFICATE, TRAINED, CONFIG_NAME))


def _of_merged(folder: Path) -> Subject:
    """From the certificate alone: the run is not at hand, so there are no results."""
    facts = read_json(folder / CERTIFICATE)
    return Subject(
        form=facts["format"],
        base=facts["model"],
        repository=hub_repository(facts["model"]),
        library=facts["format"],
        method=facts.get("method", "radapter"),
        alpha=1.0 if facts["alpha"] is None else facts["alpha"],
        task=facts.get("task", "classification"),
        fingerprint=facts.get("base_fingerprint", "unknown"),
        has_adapters=False,
        classnames=read_json(folder / CLASSES) if (folder / CLASSES).is_file() else None,
        templates=facts.get("templates"),
    )


def _of_run(
    run: Path, about: Mapping[str, Any], *, form: str, alpha: float | None = None, library: str | None = None
) -> Subject:
    base, adapters = about["model"], (run / ADAPTER).is_dir()
    if library is None and adapters:
        mapping = read_adapter_config(run / ADAPTER).auto_mapping or {}
        library = mapping.get("parent_library", "").partition(".")[0]
    config = load_stored(run / CONFIG) if (run / CONFIG).is_file() else None
    return Subject(
        form=form,
        base=base,
        repository=hub_repository(base),
        library=library or base.partition(":")[0],
        method=about["method"],
        alpha=about["alpha"] if alpha is None else alpha,
        task=about["task"],
        fingerprint=about["fingerprint"],
        has_adapters=adapters,
        datasets=[] if config is None else list(_hub_datasets(config)),
        classnames=about.get("classnames"),
        templates=None if (run / HEAD).is_file() else about.get("templates"),
        unmergeable=why_unmergeable(about["method"], about["task"]),
    )


def _hub_datasets(config: CommonConfig) -> Iterator[str]:
    """The data sets of the hub that a run was trained on."""
    trained = config.data.train
    for source in trained if isinstance(trained, list) else [trained]:
        if isinstance(source, HubKeys) and not Path(source.hub).expanduser().exists():
            yield source.hub


@contextmanager
def _one_sentence(repo_id: str) -> Iterator[None]:
    """Raises ModelError for everything that the Hub's client raises."""
    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"'{repo_id}' is no name of a repository: {error}") from error
    except HfHubHTTPError as error:
        status = None if error.response is None else error.response.status_code
        if status in (401, 403):
            why = "the token is missing or may not write there. Log in with 'hf auth login', or set HF_TOKEN"
        else:
            why = " ".join((error.server_message or str(error)).split())[:300].rstrip(".")
        raise ModelError(f"'{repo_id}' was not uploaded: {why}.") from error
    except OfflineModeIsEnabled as error:
        raise ModelError(f"'{repo_id}' was not uploaded: HF_HUB_OFFLINE is set. Unset it.") from error
    except RAdapterError:
        raise
    except Exception as error:  # what httpx, hf_xet and the client itself raise
        cause = error.__cause__ or error  # the client wraps what one file's upload raised
        why = " ".join(str(cause).split())[:300].rstrip(".")
        raise ModelError(
            f"'{repo_id}' was not uploaded: {type(cause).__name__}: {why}. Check the network and try again."
        ) from error
