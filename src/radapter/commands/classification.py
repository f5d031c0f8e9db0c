"""The entry of classification in the list of tasks, and its checks of class names and merged classifiers."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from radapter.commands.label_check import label_check
from radapter.config.classification import RunConfig, classification_suite, reopened_set
from radapter.data import ClassificationSet, open_classification
from radapter.data.labelled.kinds import LABELLED, labelled_source
from radapter.errors import ConfigError, DataError
from radapter.evaluation import Headline
from radapter.methods import Method
from radapter.models import DualEncoder
from radapter.operations.class_texts import check_texts
from radapter.operations.task import Asked, Opened, Task
from radapter.report.metrics import Shown
from radapter.report.page.details import classified
from radapter.runs.merging import FolderClassifier, folder_classifier
from radapter.runs.weights import HEAD
from radapter.tasks.classification import ClassificationSuite
from radapter.tasks.suite import ROLES
from radapter.zeroshot import name_key

_RENAME = (
    "Rename them in every set, such as data: {{rename: {{'{name}': a name that the model knows}}}}, or use method: "
    "r-adapter+head, which trains a head."
)
_HARMLESS = (
    "Nothing needs to change: every method of this run trains a head, which tells these classes apart."
)
_OTHER_NAMES = (
    "Give other names with --classnames, and labels: {{'{name}': OTHER NAME}} beside the source, or evaluate a run "
    "of a method that trains a head, such as r-adapter+head."
)

_log = logging.getLogger(__name__)


def _check_texts(suite: ClassificationSuite, encoder: DualEncoder, methods: Sequence[Method]) -> None:
    """Names that are read alike are an error if a method relies on them, and a warning if all train a head."""
    if len(suite.classnames) < 2:
        raise DataError(
            f"a classification must have two classes or more. data.train has one: '{suite.classnames[0]}'. Add the "
            "images of others, such as a class of what else there may be."
        )
    train = [suite.train] if isinstance(suite.train, ClassificationSet) else []
    for note in dict.fromkeys(note for data in (*train, *suite.sets(*ROLES).values()) for note in data.notes):
        _log.info("%s", note)
    # zero-shot is the row that all methods are compared with: it may be compared with those that train a head
    relying = [method for method in methods if not method.trains_head and method.build is not None]
    refuse = bool(relying) or not any(method.trains_head for method in methods)
    remedy = _RENAME if refuse else _HARMLESS
    check_texts(encoder, suite.classnames, suite.templates, origin="data.train", remedy=remedy, refuse=refuse)
    for name, other in suite.transfer.items():
        origin = f"data.transfer.{name}"
        check_texts(encoder, other.data.classnames, other.templates, origin=origin, remedy=_RENAME)


def _tested(asked: Asked) -> Opened:
    """A run keeps its classes. A merged folder's classifier is used if the data have its classes."""
    folder, names = Path(asked.what), asked.classnames
    has_head = asked.config is not None and (folder / HEAD).is_file()
    classifier = folder_classifier(folder, asked.encoder.embed_dim) if asked.config is None else None
    note = None
    if asked.config is not None:
        suite = _labelled(asked, names or asked.about.get("classnames"))
        if has_head and [*map(name_key, suite.classnames)] != [*map(name_key, asked.about["classnames"])]:
            raise ConfigError(
                f"--classnames must be those of '{folder}', whose method '{asked.about['method']}' trained a head "
                f"for them. Got {len(suite.classnames)} others. Leave it out, or evaluate a run of a method without "
                "a head."
            )
    elif classifier is None:
        suite = _labelled(asked, names)
    else:
        suite, misfit = _under(classifier, asked)
        if misfit is None:
            return Opened(suite, classifier.head)
        note = f"The classifier of '{asked.what}' is not used, but a zero-shot head: {misfit}"
    check_texts(
        asked.encoder,
        suite.classnames,
        suite.templates,
        origin=next(iter(suite.id_test.values())).name,
        remedy=_OTHER_NAMES,
        refuse=not has_head,
    )
    return Opened(suite, note=note)


def _labelled(asked: Asked, names: Sequence[str] | None) -> ClassificationSuite:
    """Labelled images with these class names, or those of the first source."""
    sets: dict[str, ClassificationSet] = {}
    for name, spec in asked.sources.items():
        sets[name] = open_classification(spec, classnames=names, name=name, reading=asked.reading)
        names = sets[name].classnames
    assert names is not None
    return ClassificationSuite(
        train=None, id_val=None, id_test=sets, ood={}, classnames=tuple(names), templates=asked.prompts
    )


def _under(classifier: FolderClassifier, asked: Asked) -> tuple[ClassificationSuite, str | None]:
    """Labelled images with the classes of a classifier; or with others, and why."""
    names, own = asked.classnames, classifier.classnames
    if asked.templates is not None:
        misfit = "--templates is given."
    elif names is not None and {*map(name_key, names)} != {*map(name_key, own)}:
        misfit = f"--classnames gives {len(names)} names that are not its {len(own)}."
    else:
        try:
            return _labelled(asked, own), None
        except DataError as error:
            misfit = str(error)
    return _labelled(asked, names), misfit


_METRICS: Mapping[str, Shown] = {
    "top1": Shown("Top-1 accuracy in %"),
    "top5": Shown("Top-5 accuracy in %"),
    "mean_per_class": Shown("Mean per-class accuracy in %"),
    "macro_f1": Shown("Macro F1 in %"),
    "worst_group": Shown("Worst-group accuracy in %"),
    "agreement": Shown("Agreement with zero-shot in %"),
    "ece": Shown("Expected calibration error in %", lower_is_better=True),
    "brier": Shown("Brier score in %", lower_is_better=True),
    "nll": Shown("Negative log-likelihood in nats", 1.0, 2, lower_is_better=True),
}
TASK = Task(
    config=RunConfig,
    suite=classification_suite,
    headline=Headline("top1", "top-1", 1.0, "nll", 0.5),
    sources=LABELLED,
    path_source=labelled_source,
    example="path/to/images",
    run_yaml=Path(__file__).with_suffix(".yaml"),
    tested=_tested,
    options=("--classnames", "--templates"),
    check_texts=_check_texts,
    check_data=label_check,
    metrics=_METRICS,
    describe=classified,
    reopened=reopened_set,
)
