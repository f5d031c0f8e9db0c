"""Captions of the scenes, clean or with the noise of the web.

    [a STYLE of] a [small | large] [COLOUR] NAME [and a [COLOUR] NAME] [on a COLOUR PATTERN background]

Each part in brackets is present at random, and only if it can be seen. Web-like noise replaces the name by a
synonym, a hypernym, a sibling, the class's look-alike, or any other class.
"""

from dataclasses import dataclass

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
    """Probabilities of the parts and of the noise of a caption.

    Attributes:
        style: Naming the style.
        colour: Naming an object's colour.
        size: Naming a size, if a single object is small or large.
        background: Naming the background.
        synonym: A synonym in place of the class name.
        hypernym: A broader word in place of the class name.
        sibling: The name of another class with the same hypernym.
        wrong: The name of any class.
        pair: The look-alike's name: classes 0 and 1, 2 and 3, ... are look-alikes.
        careless: "a" for "an", "the", and general words ("a picture of", "seen from afar").
    """

    style: float = 0.6
    colour: float = 0.5
    size: float = 0.25
    background: float = 0.4
    synonym: float = 0.0
    hypernym: float = 0.0
    sibling: float = 0.0
    wrong: float = 0.0
    pair: float = 0.0
    careless: float = 0.0


CLEAN = Rates()
FULL = Rates(style=1.0, colour=1.0, size=1.0, background=1.0)
WEB = Rates(synonym=0.35, hypernym=0.25, sibling=0.12, wrong=0.10, careless=0.3)

_NO_COLOUR = {STYLES.index("sketch"), STYLES.index("silhouette")}
_NO_BACKGROUND = {STYLES.index(name) for name in ("sketch", "silhouette", "neon")}
_FRAMES = ("a picture of", "an image of", "a close up of", "a drawing of", "an image with")
_ENDINGS = ("in the middle", "seen from afar")
_VOWELS = ("a", "e", "i", "o", "u")
_COLOUR_NAMES = tuple(COLOURS)


def captions(scenes: Scenes, rates: Rates = CLEAN, *, stream: str = "caption") -> list[str]:
    """One caption per scene, a pure function of the scene's seed and index, the rates and the stream.

    Args:
        scenes: N scenes.
        rates: Probabilities.
        stream: Captions of different streams are drawn independently.

    Returns:
        N captions without punctuation, at most 16 words.
    """
    unit = uniform(scenes.seed, scenes.index, stream, 20).tolist()
    noise = (rates.wrong, rates.pair, rates.sibling, rates.hypernym, rates.synonym)
    sizes = _size_words(scenes)
    written = []
    columns = (scenes.style, scenes.background, scenes.pattern, scenes.classes, scenes.colour)
    for row, (look, ground, pattern, classes, colours) in enumerate(
        zip(*(c.tolist() for c in columns), strict=True)
    ):
        u = unit[row]
        two = classes[1] >= 0
        words = [_name(classes[0], u[0:3], noise)]
        if look not in _NO_COLOUR and u[3] < rates.colour:
            words.insert(0, _COLOUR_NAMES[colours[0]])
        if sizes[row] and not two and u[4] < rates.size:
            words.insert(0, sizes[row])
        words.insert(0, _article(words[0], u[5], rates.careless))
        if u[6] < rates.style:
            words = ["a", *STYLE_PHRASES[STYLES[look]].split(), "of", *words]
        elif u[7] < 0.5 * rates.careless:
            words = [*_FRAMES[int(u[8] * len(_FRAMES))].split(), *words]
        if two:
            other = [_name(classes[1], u[9:12], noise)]
            if look not in _NO_COLOUR and u[12] < rates.colour:
                other.insert(0, _COLOUR_NAMES[colours[1]])
            words += ["and", _article(other[0], u[13], rates.careless), *other]
        if look not in _NO_BACKGROUND and u[14] < rates.background:
            place = [
                "on",
                _article(_COLOUR_NAMES[ground], u[15], rates.careless),
                _COLOUR_NAMES[ground],
                PATTERNS[pattern],
            ]
            words += [*place, "background"]
        elif u[16] < 0.2 * rates.careless and not two:
            words += _ENDINGS[int(u[17] * len(_ENDINGS))].split()
        written.append(" ".join(words))
    return written


def _name(label: int, unit: list[float], noise: tuple[float, ...]) -> str:
    wrong, pair, sibling, hypernym, synonym = noise
    name = CLASSES[label]
    if unit[0] < wrong:
        return CLASSES[int(unit[1] * len(CLASSES))]
    roll = (unit[0] - wrong) / (1 - wrong) if wrong < 1 else 0.0
    if roll < pair:
        return CLASSES[label ^ 1]
    if roll < pair + sibling:
        family = [other for other in CLASSES if HYPERNYMS[other] == HYPERNYMS[name] and other != name]
        return family[int(unit[1] * len(family))] if family else name
    if roll < pair + sibling + hypernym:
        return HYPERNYMS[name]
    return SYNONYMS[name] if unit[2] < synonym else name


def _article(word: str, unit: float, careless: float) -> str:
    if unit < 0.4 * careless:
        return "the"
    return "an" if word.startswith(_VOWELS) and unit < 1 - 0.6 * careless else "a"


def _size_words(scenes: Scenes) -> list[str]:
    scale = scenes.scale[:, 0]
    number = torch.where(scale < 0.5, 1, torch.where(scale > 0.7, 2, 0)).tolist()
    return [("", "small", "large")[n] for n in number]
