"""Captions of the scenes, clean or with the noise of the web.

    [a STYLE of] a [small | large] [COLOUR] NAME [and a [COLOUR] NAME] [on a COLOUR PATTERN background]

Each part in brackets is present at random, and only if it is visible. Web-like noise replaces the name with a
synonym, a hypernym, a sibling, the class's look-alike, or any other class.
"""

from dataclasses import dataclass
from typing import Any

import torch

from radapter.hashing import uniform
from radapter.world.scenes import CLASSES, COLOURS, PATTERNS, STYLES, Scenes

STYLE_PHRASES = {
    "photo": "photo", "cartoon": "cartoon", "sketch": "sketch", "painting": "painting",
    "silhouette": "silhouette", "pixel": "pixel image", "neon": "neon sign",
}  # fmt: skip
SYNONYMS = {
    "star": "pentagram", "sun": "sunshine", "heart": "love", "drop": "droplet", "fish": "carp",
    "rocket": "spaceship", "house": "home", "castle": "fortress", "tree": "timber", "mushroom": "toadstool",
    "cup": "mug", "bottle": "flask", "key": "latchkey", "hammer": "mallet", "moon": "crescent", "cloud": "puff",
    "car": "automobile", "boat": "sailboat", "umbrella": "parasol", "flower": "blossom",
}  # fmt: skip
HYPERNYMS = {
    "star": "shape", "sun": "sky", "heart": "shape", "drop": "shape", "fish": "animal", "rocket": "vehicle",
    "house": "building", "castle": "building", "tree": "plant", "mushroom": "plant", "cup": "container",
    "bottle": "container", "key": "tool", "hammer": "tool", "moon": "sky", "cloud": "sky", "car": "vehicle",
    "boat": "vehicle", "umbrella": "tool", "flower": "plant",
}  # fmt: skip


@dataclass(frozen=True)
class Rates:
    """Probabilities of the parts of a caption, and of noise in place of the class name."""

    style: float = 0.6
    colour: float = 0.5  # of an object
    size: float = 0.25  # if a single object is small or large
    background: float = 0.4
    synonym: float = 0.0
    hypernym: float = 0.0  # a broader word
    sibling: float = 0.0  # another class with the same hypernym
    wrong: float = 0.0  # any class
    pair: float = 0.0  # the look-alike: classes 0 and 1, 2 and 3, ... are look-alikes
    careless: float = 0.0  # "a" for "an", "the", and general words ("a picture of", "seen from afar")


CLEAN = Rates()
FULL = Rates(style=1.0, colour=1.0, size=1.0, background=1.0)
WEB = Rates(synonym=0.35, hypernym=0.25, sibling=0.12, wrong=0.10, careless=0.3)

_NO_COLOUR = ("sketch", "silhouette")
_NO_BACKGROUND = ("sketch", "silhouette", "neon")
_FRAMES = ("a picture of", "an image of", "a close up of", "a drawing of", "an image with")
_ENDINGS = ("in the middle", "seen from afar")
_SIZES = ("", "small", "large")
_VOWELS = tuple("aeiou")
_COLOUR_NAMES = tuple(COLOURS)


def captions(scenes: Scenes, rates: Rates = CLEAN, *, stream: str = "caption") -> list[str]:
    """One caption per scene, without punctuation, at most 16 words: a pure function of the scene's seed and index,
    the rates and the stream. Captions of different streams are drawn independently."""
    unit = uniform(scenes.seed, scenes.index, stream, 20)
    scale = scenes.scale[:, 0]
    size = torch.where(scale < 0.5, 1, torch.where(scale > 0.7, 2, 0))
    columns = (unit, scenes.style, size, scenes.background, scenes.pattern, scenes.classes, scenes.colour)
    return [_caption(rates, row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _caption(rates: Rates, scene: tuple[Any, ...]) -> str:
    u, style, size, background, pattern, (first, second), colours = scene
    look, ground = STYLES[style], _COLOUR_NAMES[background]
    words = [_name(first, u[0:3], rates)]
    if look not in _NO_COLOUR and u[3] < rates.colour:
        words.insert(0, _COLOUR_NAMES[colours[0]])
    if size and second < 0 and u[4] < rates.size:
        words.insert(0, _SIZES[size])
    words.insert(0, _article(words[0], u[5], rates))
    if u[6] < rates.style:
        words = ["a", STYLE_PHRASES[look], "of", *words]
    elif u[7] < 0.5 * rates.careless:
        words.insert(0, _FRAMES[int(u[8] * len(_FRAMES))])
    if second >= 0:
        other = [_name(second, u[9:12], rates)]
        if look not in _NO_COLOUR and u[12] < rates.colour:
            other.insert(0, _COLOUR_NAMES[colours[1]])
        words += ["and", _article(other[0], u[13], rates), *other]
    if look not in _NO_BACKGROUND and u[14] < rates.background:
        words += ["on", _article(ground, u[15], rates), ground, PATTERNS[pattern], "background"]
    elif u[16] < 0.2 * rates.careless and second < 0:
        words.append(_ENDINGS[int(u[17] * len(_ENDINGS))])
    return " ".join(words)


def _name(label: int, unit: list[float], rates: Rates) -> str:
    name, wrong = CLASSES[label], rates.wrong
    if unit[0] < wrong:
        return CLASSES[int(unit[1] * len(CLASSES))]
    roll = (unit[0] - wrong) / (1 - wrong) if wrong < 1 else 0.0
    if roll < rates.pair:
        return CLASSES[label ^ 1]
    if roll < rates.pair + rates.sibling:
        family = [other for other in CLASSES if HYPERNYMS[other] == HYPERNYMS[name] and other != name]
        return family[int(unit[1] * len(family))] if family else name
    if roll < rates.pair + rates.sibling + rates.hypernym:
        return HYPERNYMS[name]
    return SYNONYMS[name] if unit[2] < rates.synonym else name


def _article(word: str, unit: float, rates: Rates) -> str:
    if unit < 0.4 * rates.careless:
        return "the"
    return "an" if word.startswith(_VOWELS) and unit < 1 - 0.6 * rates.careless else "a"
