"""English plurals of nouns that can be seen, made from the singular: no word is ever cut down to one.

Cutting would take the bus for a plural and the grass too; making finds both forms of every noun in a list.
"""

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
_UNCHANGED = frozenset(
    {
        "sheep",
        "deer",
        "moose",
        "elk",
        "bison",
        "salmon",
        "trout",
        "shrimp",
        "squid",
        "aircraft",
        "reindeer",
        "carp",
    }
)
_NOT_MEN = frozenset({"human", "german", "roman", "talisman", "ottoman", "shaman", "caiman"})
_HISSES = ("s", "x", "z", "ch", "sh")
_VOWELS = frozenset("aeiou")


def plurals(noun: str) -> tuple[str, ...]:
    """The plurals of a noun, of several words the last one's; what is uncertain is given in every form.

    Args:
        noun: in lower case, in the singular; of a noun that has only a plural ("jeans") the answer is no word.
    """
    before, space, last = noun.rpartition(" ")
    return tuple(before + space + form for form in _of_word(last))


def _of_word(word: str) -> tuple[str, ...]:
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
