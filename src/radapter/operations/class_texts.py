"""Checks whether a text tower tells the classes apart by their names, before training or evaluation."""

import logging
from collections.abc import Callable, Sequence

from radapter.errors import DataError, listed
from radapter.methods import Method
from radapter.models import DualEncoder
from radapter.models.reading import equal_texts, unknown_words
from radapter.operations.task import task_of
from radapter.tasks.suite import Suite
from radapter.zeroshot import prompts

_GROUPS, _NAMES = 3, 3  # shown of equal names

_log = logging.getLogger(__name__)


def check_suite_texts(suite: Suite, encoder: DualEncoder, methods: Sequence[Method]) -> None:
    """Check every list of class names that `methods` read on a suite.

    Raises:
        DataError: a method reads classes that the tower cannot tell apart, or there is only one class.
    """
    check = task_of(suite.task).check_texts
    if check is not None:
        check(suite, encoder, methods)


def check_texts(
    encoder: DualEncoder,
    classnames: Sequence[str],
    templates: Sequence[str],
    *,
    origin: str,
    remedy: str,
    refuse: bool = True,
    synonyms: Callable[[str], Sequence[str]] = lambda name: (name,),
) -> None:
    """Refuse names whose prompts have the same tokens, and warn of words that the tokenizer lacks.

    Args:
        encoder: with a text tower.
        classnames: C names.
        templates: prompts with one "{}" each.
        origin: name of the list in messages.
        remedy: what to do, with {name} for one of the classes.
        refuse: whether names that are read alike are an error instead of a warning.
        synonyms: splits an entry into names of the same class.

    Raises:
        DataError: names are read alike, and `refuse`.
    """
    texts = [
        [text for name in sorted(synonyms(entry)) for text in prompts(name, templates)]
        for entry in classnames
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
            "%s: %s. %s",
            encoder.name,
            len(unknown),
            len(classnames),
            origin,
            listed(named, _NAMES),
            remedy.format(name=next(iter(unknown))),
        )


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(f"'{name}'" for name in names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
