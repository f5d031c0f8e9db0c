"""Lists of nouns: the built-in one and the user's.

A file has one noun per line; words after commas are synonyms ("couch, sofa"). A line that begins with ! is a phrase
that holds no noun ("! painting of", "! at the camera"); one that begins with # is a comment. Plurals are generated.
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

BUILT_IN = "built-in"
MAX_BYTES = 2**24
"""Of a file of nouns."""

# Plurals are made from the singular: cutting words down would take the bus for a plural, and the grass too.
_IRREGULAR = {
    "person": ("people", "persons"), "child": ("children",), "man": ("men",), "woman": ("women",),
    "foot": ("feet",), "tooth": ("teeth",), "goose": ("geese",), "mouse": ("mice",), "louse": ("lice",),
    "ox": ("oxen",), "die": ("dice",), "knife": ("knives",), "wife": ("wives",), "life": ("lives",),
    "leaf": ("leaves",), "loaf": ("loaves",), "half": ("halves",), "calf": ("calves",), "wolf": ("wolves",),
    "shelf": ("shelves",), "elf": ("elves",), "thief": ("thieves",), "scarf": ("scarves", "scarfs"),
    "hoof": ("hooves", "hoofs"), "cactus": ("cacti", "cactuses"), "octopus": ("octopuses", "octopi"),
    "hippopotamus": ("hippopotamuses", "hippopotami"), "quiz": ("quizzes",),
    "passerby": ("passersby",), "fish": ("fish", "fishes"),
}  # fmt: skip
_UNCHANGED = frozenset({
    "sheep", "deer", "moose", "elk", "bison", "salmon", "trout", "shrimp", "squid", "aircraft", "reindeer", "carp",
})  # fmt: skip
_NOT_MEN = frozenset({"human", "german", "roman", "talisman", "ottoman", "shaman", "caiman"})
_HISSES = ("s", "x", "z", "ch", "sh")
_VOWELS = frozenset("aeiou")
_WORD = re.compile(r"'s\b|[^\W_]+|[^\w\s]")


@final
@dataclass(frozen=True, slots=True)
class Form:
    """The meaning of a word or phrase.

    noun: None if the phrase holds no noun. singular: the phrase itself, or its singular.
    """

    noun: str | None
    singular: str
    is_plural: bool = False


@final
@dataclass(frozen=True)
class Vocabulary:
    """Nouns and the phrases that stand for them.

    Attributes:
        nouns: Distinct, in the order of their lists.
        forms: Words of a phrase -> its meaning; plurals and synonyms included.
    """

    nouns: tuple[str, ...]
    forms: Mapping[tuple[str, ...], Form]

    @property
    def longest(self) -> int:
        """Number of words of the longest phrase."""
        return max(map(len, self.forms), default=0)


def words_of(text: str) -> list[str]:
    """Lower-case words and punctuation marks; a hyphen separates words and is dropped, 's is a word."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")  # noqa: RUF001
    return [word for word in _WORD.findall(plain) if word != "-"]


def vocabulary(lists: Sequence[str] = (BUILT_IN,)) -> Vocabulary:
    """Joins lists of nouns, each a path or "built-in". A later list wins if two give a word different nouns. Raises
    ConfigError if a file is missing, no text, empty, or repeats a noun."""
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


def plurals(noun: str) -> tuple[str, ...]:
    """The plurals of a lower-case singular noun, of its last word if there are several; uncertain ones in every
    form.
    """
    before, space, last = noun.rpartition(" ")
    return tuple(before + space + form for form in _plurals_of_word(last))


def _text(where: str) -> str:
    if where == BUILT_IN:
        return (resources.files(__package__) / "nouns.txt").read_text(encoding="utf-8")
    path = Path(where)
    if not path.is_file():
        raise ConfigError(
            f"nouns must be '{BUILT_IN}', 'spacy:MODEL' or a text file with one noun per line. "
            f"'{where}' is not a file."
        )
    try:
        return read_text(path, limit=MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"a list of nouns must be UTF-8 text. '{where}': {error}. Save it as UTF-8."
        ) from error


def _parsed(text: str, *, origin: str) -> dict[tuple[str, ...], str | None]:
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


def _plurals_of_word(word: str) -> tuple[str, ...]:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCHANGED:
        return (word,)
    if word.endswith("man") and word not in _NOT_MEN:  # also "woman"
        return (word[:-2] + "en",)
    for ending in ("fish", "child", "person", "foot", "tooth", "mouse", "goose"):
        if word.endswith(ending):
            return tuple(word.removesuffix(ending) + form for form in _IRREGULAR[ending])
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return (word[:-1] + "ies",)
    if word.endswith("o"):
        return (word + "s", word + "es")
    if word.endswith(_HISSES):
        return (word + "es",)
    return (word + "s",)
