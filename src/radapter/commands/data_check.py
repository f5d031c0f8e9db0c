"""`radapter data check`: what a data set holds, whether a run would take it, and how run.yaml would name it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from radapter.commands.evaluate import parsed
from radapter.data.labelled.folder import FolderSource
from radapter.data.labelled.layouts import LAYOUTS
from radapter.data.masks.layouts import LAYOUTS as MASK_LAYOUTS
from radapter.data.paths import place
from radapter.data.shards import read_shards
from radapter.data.shards.exporting import LABELLED
from radapter.data.shards.stream import open_labelled_stream, open_pair_stream
from radapter.data.source import Source, keys_of, kind_of
from radapter.errors import ConfigError, did_you_mean
from radapter.operations.task import Spec, task_of
from radapter.task_list import DEFAULT_TASK, TASKS


def data_check(
    source: str,
    settings: Sequence[str] = (),
    *,
    task: str | None = None,
    layout: str | None = None,
    whole: bool = False,
    allow_download: bool = False,
) -> object:
    """Open a source as a run would, print what it holds, and return it. All shards of a stream are listed.

    Raises:
        InputError: the source cannot be opened, or more images cannot be read than a run accepts.
    """
    given = _spec(source, settings, layout, task)
    stream = given if "stream" in given else None
    spec = given if stream is None else _listed(stream)
    found = task or task_of_source(spec)
    with advising(task if found == DEFAULT_TASK else found):
        return task_of(found).check_data(spec, stream=stream, whole=whole, allow_download=allow_download)


@contextmanager
def advising(task: str | None) -> Iterator[None]:
    """A block that opens a source as labelled images; its errors propose the option if no task was given."""
    try:
        yield
    except ConfigError as error:
        if task is None:
            error.add_note("For image-text pairs give --task retrieval.")
        raise


def spec_of_path(path: str) -> Spec:
    """Return the mapping of a path, without a task: the first task that recognises it, else a folder of classes."""
    kinds = [
        kind_of(place(path), task.sources) for task in map(task_of, TASKS) if task.path_source is not None
    ]
    kind: type[Source] = next((kind for kind in kinds if kind is not None), FolderSource)
    return {kind.key(): path}


def task_of_source(spec: Spec) -> str:
    """Return the task of a mapping: one with a key that no other task has, or that recognises the mapping.

    Raises:
        DataError: a table is missing or cannot be read.
    """
    for name in TASKS:
        task = task_of(name)
        others = [kind for other in TASKS for kind in task_of(other).sources if kind not in task.sources]
        if name != DEFAULT_TASK and (
            (keys_of(task.sources) - keys_of(others)) & spec.keys() or task.recognises(spec)
        ):
            return name
    return DEFAULT_TASK


def _listed(stream: Spec) -> Spec:
    """The shards of a stream, as a source that is listed when it is opened.

    Raises:
        InputError: a run would refuse the stream, or its shards hold something else.
    """
    folder = stream["stream"]
    if not isinstance(folder, str):
        raise ConfigError(f"stream must be a folder of shards. Got {folder!r}. Give its path.")
    about = read_shards(place(folder)).about
    if about.get("kind") == LABELLED:
        open_labelled_stream(stream)
        return {"shards": folder}
    open_pair_stream(stream, join=about.get("join_captions", True))
    return {"webdataset": f"{folder}/*.tar"}


def _spec(source: str, settings: Sequence[str], layout: str | None, task: str | None) -> Spec:
    value = parsed(source)
    path_source = None if task is None else task_of(task).path_source
    if isinstance(value, dict):
        if layout is not None:
            raise ConfigError(f"--layout is for a path. Got it beside the mapping {source}. Leave it out.")
        spec: Spec = dict(value)
    elif layout is not None:
        known = {**LAYOUTS, **MASK_LAYOUTS}
        if layout not in known:
            raise ConfigError(
                f"layout must be one of {', '.join(known)}. Got {layout!r}.{did_you_mean(layout, known)}"
            )
        spec = {"layout": layout, "path": source}
    elif task is None:
        spec = spec_of_path(source)
    elif path_source is None:
        raise ConfigError(
            f"{task} needs a mapping such as '{task_of(task).example}', or a path with --layout. Got '{source}'."
        )
    else:
        spec = path_source(source).given()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"settings must be key=value, such as split=val. Got '{setting}'.")
        spec[key] = parsed(text)
    return spec
