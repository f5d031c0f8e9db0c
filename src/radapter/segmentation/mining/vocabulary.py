"""Lists of nouns: the built-in one and the user's.

A file has one noun a line; words after commas are other words for it ("couch, sofa"). A line that begins with ! is a
phrase that holds no noun ("! painting of", "! at the camera"); one that begins with # is a remark. Plurals are made.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import final

from radapter.errors import ConfigError
from radapter.given_files import read_text
from radapter.segmentation.mining.plurals import plurals

BUILT_IN = "built-in"
MAX_BYTES = 2**24
"""Of a file of nouns."""

_WORD = re.compile(r"'s\b|[^\W_]+|[^\w\s]")


@final
@dataclass(frozen=True, slots=True)
class Form:
    """What a word or phrase stands for.

    noun: None where the phrase holds no noun. singular: the phrase itself, or of what it is the plural.
    """

    noun: str | None
    singular: str
    is_plural: bool = False


@final
@dataclass(frozen=True)
class Vocabulary:
    """Nouns and the phrases that stand for them.

    Attributes:
        nouns: distinct, in the order of their lists.
        forms: words of a phrase -> what it stands for; plurals and other words included.
    """

    nouns: tuple[str, ...]
    forms: Mapping[tuple[str, ...], Form]

    @property
    def longest(self) -> int:
        """Words of the longest phrase."""
        return max(map(len, self.forms), default=0)


def words_of(text: str) -> list[str]:
    """Lower-case words and punctuation marks; a hyphen parts words and is dropped, 's stands for itself.

    Raises nothing; of a text without a word the answer is empty or marks alone.
    """
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")  # noqa: RUF001
    return [word for word in _WORD.findall(plain) if word != "-"]


def vocabulary(lists: Sequence[str] = (BUILT_IN,)) -> Vocabulary:
    """Joins lists of nouns. A word that a later list gives another noun belongs to that one.

    Args:
        lists: paths, or "built-in".

    Raises:
        ConfigError: a file is missing, no text, empty, or says something twice.
    """
    named: dict[tuple[str, ...], str | None] = {}
    for each in lists:
        named |= _parsed(_text(each), origin=each)
    nouns = tuple(dict.fromkeys(noun for noun in named.values() if noun is not None))
    if not nouns:
        raise ConfigError(f"a list of nouns must hold one. {', '.join(lists)} holds none. Write one a line.")
    forms = {words: Form(noun, " ".join(words)) for words, noun in named.items()}
    for words, noun in named.items():
        singular = " ".join(words)
        for plural in plurals(singular) if noun is not None else ():
            forms.setdefault(tuple(plural.split()), Form(noun, singular, is_plural=True))
    return Vocabulary(nouns, forms)


def _text(where: str) -> str:
    if where == BUILT_IN:
        return (resources.files(__package__) / "nouns.txt").read_text(encoding="utf-8")
    path = Path(where)
    if not path.is_file():
        raise ConfigError(
            f"nouns must be '{BUILT_IN}', 'spacy:MODEL' or a text file with a noun a line. '{where}' is none."
        )
    try:
        return read_text(path, limit=MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"a list of nouns must be UTF-8 text. '{where}': {error}. Save it as UTF-8."
        ) from error


def _parsed(text: str, *, origin: str) -> dict[tuple[str, ...], str | None]:
    """Words of each phrase -> its noun, None where it holds none."""
    named: dict[tuple[str, ...], str | None] = {}
    line_of: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        empty = line.lstrip().startswith("!")
        phrases = [phrase.strip() for phrase in line.lstrip().removeprefix("!").split(",")]
        noun = None if empty else " ".join(phrases[0].lower().split())
        for phrase in phrases:
            words = tuple(words_of(phrase))
            if not any(word[0].isalnum() for word in words):
                raise ConfigError(
                    f"a noun must have a letter. '{origin}' line {number} has {line!r}. Remove it."
                )
            if words in named:
                raise ConfigError(
                    f"a list must name a noun once. '{origin}' has {phrase!r} in lines {line_of[words]} and "
                    f"{number}. Remove one."
                )
            named[words], line_of[words] = noun, number
    return named
