"""Ranks in image-text retrieval by sorting whole lists, one query at a time, in Python's integers."""

import functools
from statistics import mean


def score(query, item):
    """A cosine in units of 2^-52, after both are rounded to multiples of 2^-26."""
    return sum(a * b for a, b in zip(_rounded(tuple(query)), _rounded(tuple(item)), strict=True))


@functools.cache
def _rounded(vector):
    return [round(a * 2**26) for a in vector]


def ranked(query, items, right):
    """All items, best first; of equal ones the wrong first."""
    return sorted(range(len(items)), key=lambda item: (-score(query, items[item]), item in right))


def text_to_image(images, texts, image_of_text):
    return [
        1 + ranked(text, images, {own}).index(own) for text, own in zip(texts, image_of_text, strict=True)
    ]


def image_to_text(images, texts, image_of_text):
    ranks = []
    for number, image in enumerate(images):
        right = {text for text, own in enumerate(image_of_text) if own == number}
        order = ranked(image, texts, right)
        ranks.append(1 + min(order.index(text) for text in right))
    return ranks


def of_the_best(queries, items, right_of):
    """right_of: for each query the set of its positives; where the first of them stands, the others left out."""
    ranks = []
    for query, right in zip(queries, right_of, strict=True):
        one_by_one = []
        for item in right:
            among = [other for other in range(len(items)) if other == item or other not in right]
            order = ranked(query, [items[other] for other in among], {among.index(item)})
            one_by_one.append(1 + order.index(among.index(item)))
        ranks.append(min(one_by_one))
    return ranks


def map_at_r(queries, items, right_of):
    """right_of: for each query the set of its positives."""
    values = []
    for query, right in zip(queries, right_of, strict=True):
        order = ranked(query, items, right)
        precisions = []
        for k in range(1, len(right) + 1):
            hits = sum(item in right for item in order[:k])
            precisions.append(hits / k if order[k - 1] in right else 0)
        values.append(sum(precisions) / len(right))
    return mean(values)
