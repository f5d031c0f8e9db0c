"""Prompts in right English: "a photo of an apple.", "a photo of a unicycle."."""

_CONSONANT = ("uni", "use", "usu", "ute", "uku", "ura", "eu", "ewe", "one", "ufo")
"""Beginnings that are written with a vowel and spoken with a consonant."""
_SILENT = ("hour", "honor", "honour", "heir", "honest")
_LETTERS = frozenset({"atv", "suv", "x-ray", "mri", "lcd", "led", "sms", "mp3", "fm"})
"""Words of which the first letter is spelt: a vowel is heard."""


def prompt(noun: str, template: str) -> str:
    """A noun in a template, "a" before it made "an" where that is said.

    Args:
        noun: one or more words.
        template: has one "{}".
    """
    before, after = template.split("{}")
    words = before.split(" ")
    if len(words) > 1 and words[-1] == "" and words[-2].lower() in ("a", "an"):
        article = "an" if starts_with_vowel(noun) else "a"
        words[-2] = article.capitalize() if words[-2][0].isupper() else article
    return " ".join(words) + noun + after


def starts_with_vowel(noun: str) -> bool:
    """Whether the first sound of a noun, as it is spoken, is a vowel."""
    word = noun.lower().split()[0]
    if word in _LETTERS or word.startswith(_SILENT):
        return True
    return word[:1] in ("a", "e", "i", "o", "u") and not word.startswith(_CONSONANT)
