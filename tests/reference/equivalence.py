"""Target classes by the definition: the closure of "of one group" and "share a caption", as a matrix."""

import unicodedata


def related(captions: list[str], image_of_caption: list[int], groups: list[int]) -> list[list[bool]]:
    """(N, N): whether two images are in one class."""
    count = len(groups)
    texts = [set() for _ in range(count)]
    for caption, image in zip(captions, image_of_caption, strict=True):
        texts[image].add(" ".join(unicodedata.normalize("NFKC", caption).casefold().split()))
    same = [[groups[i] == groups[j] or bool(texts[i] & texts[j]) for j in range(count)] for i in range(count)]
    for middle in range(count):
        for i in range(count):
            for j in range(count):
                same[i][j] = same[i][j] or (same[i][middle] and same[middle][j])
    return same
