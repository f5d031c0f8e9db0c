"""Whether a text tower can tell the classes apart by their names, before anything is trained on them or measured."""

import logging
from collections.abc import Callable, Sequence

import torch

from radapter.commands.terminal import say
from radapter.data import ClassificationSet, PairedMaskDataset
from radapter.errors import DataError
from radapter.methods import Method
from radapter.models import DualEncoder
from radapter.models.reading import equal_texts, unknown_words
from radapter.segmentation import names_of
from radapter.tasks.classification import ClassificationSuite
from radapter.tasks.retrieval import RetrievalSuite
from radapter.tasks.segmentation import SegmentationSuite
from radapter.tasks.suite import ROLES
from radapter.zeroshot import prompts, spoken

RENAME = (
    "Rename them in every set, such as data: {{rename: {{'{name}': a name that the model knows}}}}, or use method: "
    "r-adapter+head, which trains a head."
)
"""What to do in a training of classification; `name` is a class that is concerned."""
HARMLESS = "Nothing needs to change: every method of this run trains a head, which tells these classes apart."
"""What to do where names are read alike and no trained method relies on them."""
OTHER_CLASSES = "Give the source names that the model tells apart: classes: [...]."
"""What to do about the class names of masked images."""
OTHER_NOUNS = "Mine the regions with this model, which leaves such nouns out, or use another model."
"""What to do about the nouns of regions."""

_GROUPS, _NAMES = 3, 3  # shown of equal names

_log = logging.getLogger(__name__)


def check_suite_texts(
    suite: ClassificationSuite | RetrievalSuite | SegmentationSuite,
    encoder: DualEncoder,
    methods: Sequence[Method],
) -> None:
    """Checks every list of class names that a run reads.

    Names that the tower reads as the same tokens are an error where a method relies on them, and a warning where all
    train a head; words that the tokenizer lacks are a warning. Retrieval has no class names.

    Args:
        suite: opened.
        encoder: has a text tower.
        methods: what is run on the suite.

    Raises:
        DataError: a method reads classes that the tower cannot tell apart, or there is one class alone.
    """
    if isinstance(suite, RetrievalSuite):
        return
    if isinstance(suite, SegmentationSuite):
        if not isinstance(suite.train, PairedMaskDataset):
            nouns = suite.train.nouns
            trained = [names_of(nouns[place])[0] for place in torch.unique(suite.train.labels).tolist()]
            check_texts(encoder, trained, suite.templates, origin="data.train", remedy=OTHER_NOUNS)
        names_and_set = {data.classnames: data.name for data in suite.sets(*ROLES).values()}
        for names, origin in names_and_set.items():
            check_texts(encoder, names, suite.templates, origin=origin, remedy=OTHER_CLASSES, parted=names_of)
        return
    if len(suite.classnames) < 2:
        raise DataError(
            f"a classification must have two classes or more. data.train has one: '{suite.classnames[0]}'. Add the "
            "images of others, such as a class of what else there may be."
        )
    for note in dict.fromkeys(note for data in _opened(suite) for note in data.notes):
        _log.info("%s", note)
    # zero-shot is the row that all methods are compared with: it may stand beside those that train a head
    relying = [method for method in methods if not method.trains_head and method.build is not None]
    refuse = bool(relying) or not any(method.trains_head for method in methods)
    check_texts(
        encoder,
        suite.classnames,
        suite.templates,
        origin="data.train",
        remedy=RENAME if refuse else HARMLESS,
        refuse=refuse,
    )
    for name, other in suite.transfer.items():
        check_texts(
            encoder, other.data.classnames, other.templates, origin=f"data.transfer.{name}", remedy=RENAME
        )


def _opened(suite: ClassificationSuite) -> list[ClassificationSet]:
    """Every set of images that is listed when it is opened."""
    train = [suite.train] if isinstance(suite.train, ClassificationSet) else []
    return [*train, *suite.sets(*ROLES).values()]


def check_texts(
    encoder: DualEncoder,
    classnames: Sequence[str],
    templates: Sequence[str],
    *,
    origin: str,
    remedy: str,
    refuse: bool = True,
    parted: Callable[[str], Sequence[str]] = lambda name: (name,),
) -> None:
    """Refuses names that a text tower reads alike, and warns of words that it does not know.

    Args:
        encoder: has a text tower.
        classnames: C names.
        templates: prompts with one "{}" each.
        origin: what messages call the list.
        remedy: what to do, with {name} for a class that is concerned.
        refuse: whether names that are read alike are an error; they are a warning otherwise.
        parted: gives the synonyms that a name holds.

    Raises:
        DataError: names are read alike, and `refuse`.
    """
    texts = [
        [text for name in sorted(parted(entry)) for text in prompts(name, templates)] for entry in classnames
    ]
    groups = equal_texts(encoder, texts)
    unknown = unknown_words(encoder, classnames)
    if groups:
        shown = "; ".join(_shown([classnames[place] for place in group]) for group in groups[:_GROUPS])
        more = " ..." if len(groups) > _GROUPS else ""
        because = f" Its vocabulary lacks the words of {len(unknown)} of them." if unknown else ""
        message = (
            f"class names must differ to the text tower. '{encoder.name}' reads {sum(map(len, groups))} of the "
            f"{len(classnames)} names of {origin} like another one: {shown}{more}.{because} "
            f"{remedy.format(name=classnames[groups[0][0]])}"
        )
        if refuse:
            raise DataError(message)
        _log.warning("%s", message)
    elif unknown:
        named = [f"'{name}' ({', '.join(words)})" for name, words in unknown.items()]
        _log.warning(
            "class names should have words that the model knows. '%s' does not know those of %d of the %d names of "
            "%s: %s%s. %s",
            encoder.name,
            len(unknown),
            len(classnames),
            origin,
            ", ".join(named[:_NAMES]),
            " ..." if len(named) > _NAMES else "",
            remedy.format(name=next(iter(unknown))),
        )


def report_spelling(given_names: Sequence[str]) -> None:
    """Prints which names of a source are spelt otherwise in prompts."""
    changed = [name for name in given_names if "_" in name]
    if changed:
        shown = ", ".join(f"{name} -> '{spoken(name)}'" for name in changed[:_NAMES])
        say(
            f"Underscores in class names become spaces in prompts: {shown}{' ...' if len(changed) > _NAMES else ''} "
            f"({len(changed):,} of {len(given_names):,})."
        )


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(f"'{name}'" for name in names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
