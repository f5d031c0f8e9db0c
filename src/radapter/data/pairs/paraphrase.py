"""Captions in other words, by a small fixed table, for an out-of-distribution test set.

Rules, in this order:
1. The text becomes lower case without a final full stop.
2. The last clause of place, from the last of PLACES on, moves to the front if it has two to eight words, three or
   more words precede it, and none of its words is in JOINTS or ends in "ing".
3. Words and phrases of SYNONYMS are replaced, the longest first, each once.
4. The first "a" or "an" becomes "the".
5. "a" and "an" agree with the first letter of the next word.

    A black dog is running after a white dog in the snow .
    in the snow, the black hound is running after a white hound

The result is deterministic and may sound stiff.
"""

import re

PLACES = frozenset({
    "in", "on", "at", "near", "beside", "behind", "under", "below", "beneath", "by", "outside", "inside", "through",
    "across", "along", "against", "between", "next",
})  # fmt: skip
JOINTS = frozenset({"and", "or", "while", "as", "is", "are", "was", "were", "who", "that", "which"})
SYNONYMS = {
    "in front of": "before", "next to": "beside", "on top of": "atop", "looking at": "watching",
    "a group of": "several", "a couple of": "two", "is wearing": "has on", "are wearing": "have on",
    "swimming pool": "pool", "close up": "detail",
    "man": "gentleman", "men": "gentlemen", "woman": "lady", "women": "ladies", "boy": "lad", "boys": "lads",
    "girl": "lass", "girls": "lasses", "child": "kid", "children": "kids", "people": "persons", "baby": "infant",
    "dog": "hound", "dogs": "hounds", "horse": "steed", "bicycle": "bike", "bike": "bicycle", "car": "automobile",
    "street": "road", "road": "street", "ocean": "sea", "sea": "ocean", "rock": "stone", "rocks": "stones",
    "grass": "lawn", "forest": "woods", "hill": "slope", "photo": "photograph", "picture": "image",
    "image": "picture", "cup": "mug", "bottle": "flask", "house": "home", "flower": "blossom",
    "umbrella": "parasol", "small": "little", "little": "small", "large": "big", "big": "large", "young": "youthful",
    "happy": "glad", "gray": "grey", "grey": "gray",
    "jumping": "leaping", "jumps": "leaps", "holding": "carrying", "holds": "carries", "sitting": "seated",
    "near": "close to", "under": "beneath", "above": "over", "wearing": "dressed in",
}  # fmt: skip
"""Word or phrase -> its replacement; some pairs swap."""

_LONGEST = max(len(phrase.split()) for phrase in SYNONYMS)
_VOWELS = ("a", "e", "i", "o", "u")


def paraphrase(caption: str) -> str:
    """An English caption in other words, in one line; other languages only become lower case."""
    words = re.sub(r"[\s.]+$", "", caption.lower()).split()
    if not words:
        return " ".join(caption.lower().split())
    return " ".join(_agreeing(_definite(_replaced(_place_first(words)))))


def _place_first(words: list[str]) -> list[str]:
    begin = max((i for i, word in enumerate(words) if word in PLACES), default=0)
    clause, before = words[begin:], words[:begin]
    holds_more = any(word in JOINTS or word.endswith("ing") for word in clause)
    if len(before) < 3 or not 2 <= len(clause) <= 8 or holds_more:
        return words
    clause = [*clause[:-1], clause[-1].rstrip(",") + ","]
    return [*clause, *" ".join(before).rstrip(" ,").split()]


def _replaced(words: list[str]) -> list[str]:
    replaced: list[str] = []
    place = 0
    while place < len(words):
        for length in range(_LONGEST, 0, -1):
            taken = words[place : place + length]
            core, ending = _without_ending(" ".join(taken))
            if len(taken) == length and core in SYNONYMS:
                replaced += (SYNONYMS[core] + ending).split()
                place += length
                break
        else:
            replaced.append(words[place])
            place += 1
    return replaced


def _definite(words: list[str]) -> list[str]:
    first = next((place for place, word in enumerate(words) if word in ("a", "an")), None)
    return [("the" if place == first else word) for place, word in enumerate(words)]


def _agreeing(words: list[str]) -> list[str]:
    followed = zip(words, [*words[1:], ""], strict=True)
    return [
        ("an" if after.startswith(_VOWELS) else "a") if word in ("a", "an") and after else word
        for word, after in followed
    ]


def _without_ending(text: str) -> tuple[str, str]:
    core = text.rstrip(",;:!?")
    return core, text[len(core) :]
