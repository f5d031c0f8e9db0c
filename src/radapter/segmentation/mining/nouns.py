"""The visible nouns of a caption: the longest matches in a vocabulary, or the heads of spaCy's noun chunks.

A list of nouns has one noun per line; words after commas are synonyms ("couch, sofa"). A line that begins with ! is
a phrase that contains no noun ("! painting of", "! at the camera"); one that begins with # is a comment. Plurals are
generated.

If nouns follow each other ("a kitchen table"), the last is meant, unless the one before is a plural. Some nouns are
verbs too ("watches", "swing"). Right after a noun they count as verbs if subject and verb would agree ("a man
watches", "children swing"; but "a rope swing"), and after "who" or "to" always.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, final

from radapter.errors import ConfigError, import_extra
from radapter.given_files import read_text

BUILT_IN = "built-in"
SCHEME = "spacy:"
"""Prefix of a list of nouns that names a spaCy pipeline."""

_MAX_BYTES = 2**24  # of a file of nouns

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
_WORD = re.compile(r"'s\b|[^\W_]+|[^\w\s]")

VERBS = frozenset({
    "arm", "bat", "bear", "bike", "boat", "book", "bow", "box", "bubble", "button", "cart", "circle", "comb",
    "cross", "crowd", "dress", "drill", "drink", "drum", "duck", "eye", "face", "fan", "fence", "fish", "float",
    "fork", "glove", "grill", "hammer", "hand", "head", "hook", "hose", "iron", "kayak", "leaf", "light",
    "lock", "log", "mask", "mop", "nail", "paddle", "parachute", "park", "path", "pedal", "plant", "pool", "puzzle",
    "raft", "rake", "ram", "ring", "rock", "sail", "saw", "screw", "seat", "shadow", "shop", "shovel", "shower",
    "sign", "skateboard", "ski", "sled", "slide", "smoke", "snow", "snowball", "snowboard", "stage", "star",
    "step", "stick", "surfboard", "swing", "tail", "tape", "tie", "toast", "track", "trail", "train",
    "trumpet", "water", "wave", "wheel", "whip", "whistle",
})  # fmt: skip
"""Nouns that captions also use as verbs."""

_BEFORE_VERBS = frozenset({"who", "that", "which", "he", "she", "it", "they", "others", "to", "not"})


class Form(NamedTuple):
    """The meaning of a word or phrase."""

    noun: str | None  # None if the phrase contains no noun
    singular: str  # the phrase itself, or its singular
    is_plural: bool = False


class Vocabulary(NamedTuple):
    """Nouns and the phrases for them."""

    nouns: tuple[str, ...]  # distinct, in the order of their lists
    forms: Mapping[tuple[str, ...], Form]  # words of a phrase -> its meaning; with plurals and synonyms


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
        raise ConfigError(f"a list of nouns must hold one. {', '.join(lists)} has none. Write one per line.")
    forms = {words: Form(noun, " ".join(words)) for words, noun in named.items()}
    for words, noun in named.items():
        singular = " ".join(words)
        for plural in plurals(singular) if noun is not None else ():
            forms.setdefault(tuple(plural.split()), Form(noun, singular, is_plural=True))
    return Vocabulary(nouns, forms)


def plurals(noun: str) -> tuple[str, ...]:
    """The plurals of a lower-case singular noun, of its last word if there are several; uncertain ones in every
    form."""
    before, space, word = noun.rpartition(" ")
    if space:
        return tuple(before + space + form for form in plurals(word))
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCHANGED:
        return (word,)
    if word.endswith("man") and word not in _NOT_MEN:  # also "woman"
        return (word[:-2] + "en",)
    for ending in ("fish", "child", "person", "foot", "tooth", "mouse", "goose"):
        if word.endswith(ending):
            return tuple(word.removesuffix(ending) + form for form in _IRREGULAR[ending])
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return (word[:-1] + "ies",)
    if word.endswith("o"):
        return (word + "s", word + "es")
    if word.endswith(_HISSES):
        return (word + "es",)
    return (word + "s",)


NounFinder = Callable[[str], tuple[str, ...]]
"""Finds the nouns of a caption, each once, in the singular, in the order in which they first occur."""


@final
class VocabularyNouns:
    """Finds the nouns of a vocabulary; the longest of several matches at a place counts."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._forms = vocabulary.forms
        self._longest = max(map(len, vocabulary.forms), default=0)

    def __call__(self, caption: str) -> tuple[str, ...]:
        """The nouns of a caption, as `NounFinder`."""
        words = words_of(caption)
        kept: list[_Match] = []
        for match in self._matches(words):
            follows = bool(kept) and kept[-1].end == match.start
            if _is_verb(match, words, kept[-1] if follows else None):
                continue
            if follows and not kept[-1].form.is_plural:
                kept.pop()  # "kitchen" of "kitchen table"
            kept.append(match)
        return tuple(dict.fromkeys(match.form.noun for match in kept if match.form.noun is not None))

    def _matches(self, words: list[str]) -> "Iterator[_Match]":
        start = 0
        while start < len(words):
            for end in range(min(start + self._longest, len(words)), start, -1):
                form = self._forms.get(tuple(words[start:end]))
                if form is not None:
                    if form.noun is not None:
                        yield _Match(start, end, form)
                    start = end
                    break
            else:
                start += 1


@final
class SpacyNouns:
    """Finds the heads of noun chunks, in the singular, of any vocabulary.

    Args:
        pipeline: A spaCy pipeline that tags, parses and lemmatises English, such as `spacy.load("en_core_web_sm")`.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    @classmethod
    def from_name(cls, name: str) -> "SpacyNouns":
        """Loads the pipeline of an installed package or a folder; nothing is downloaded. Raises ConfigError if there
        is no such pipeline, or it finds no noun chunks, and MissingExtraError if spaCy is not installed."""
        spacy = import_extra("spacy", "nouns by spaCy need spacy", extra="nouns")
        try:
            pipeline = spacy.load(name, exclude=["ner"])
        except OSError as error:
            remedy = f"Run python -m spacy download {name}."
            raise ConfigError(f"a spaCy pipeline must be installed. '{name}' is not. {remedy}") from error
        lacking = [part for part in ("parser", "lemmatizer") if part not in pipeline.pipe_names]
        if lacking:
            found = f"'{name}' lacks {' and '.join(lacking)}. Use en_core_web_sm."
            raise ConfigError(f"a spaCy pipeline must have a parser and a lemmatizer. {found}")
        return cls(pipeline)

    def __call__(self, caption: str) -> tuple[str, ...]:
        """The heads of a caption's noun chunks, each once, in lower case, without names and pronouns."""
        heads = (chunk.root for chunk in self._pipeline(caption).noun_chunks)
        return tuple(dict.fromkeys(head.lemma_.lower() for head in heads if head.pos_ == "NOUN"))


class _Match(NamedTuple):
    start: int
    end: int
    form: Form


def _is_verb(match: _Match, words: list[str], before: _Match | None) -> bool:
    if match.form.singular not in VERBS:
        return False
    if before is not None:
        return before.form.is_plural != match.form.is_plural
    return match.start > 0 and words[match.start - 1] in _BEFORE_VERBS


def _text(where: str) -> str:
    if where == BUILT_IN:
        return (resources.files(__package__) / "nouns.txt").read_text(encoding="utf-8")
    path = Path(where)
    if not path.is_file():
        wanted = f"'{BUILT_IN}', '{SCHEME}MODEL' or a text file with one noun per line"
        raise ConfigError(f"nouns must be {wanted}. '{where}' is not a file.")
    try:
        return read_text(path, limit=_MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        message = f"a list of nouns must be UTF-8 text. '{where}': {error}. Save it as UTF-8."
        raise ConfigError(message) from error


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
                found = f"'{origin}' line {number} has {line!r}"
                raise ConfigError(f"a noun must have a letter. {found}. Remove it.")
            if words in named:
                found = f"'{origin}' has {phrase!r} in lines {line_of[words]} and {number}"
                raise ConfigError(f"a list must name a noun once. {found}. Remove one.")
            named[words], line_of[words] = noun, number
    return named
