"""Greedy soup, literally: Wortsman et al. 2022, recipe 1, with the strict comparison of the released code."""

from collections.abc import Callable, Sequence


def greedy_soup(models: Sequence[float], accuracy: Callable[[float], float]) -> list[int]:
    """Which of the models, each one number, are in the soup; a soup is their mean."""
    numbered = sorted(enumerate(models), key=lambda pair: accuracy(pair[1]), reverse=True)
    ingredients: list[tuple[int, float]] = []
    for number, model in numbered:
        if not ingredients:
            ingredients = [(number, model)]
            continue
        old = sum(value for _, value in ingredients) / len(ingredients)
        new = (sum(value for _, value in ingredients) + model) / (len(ingredients) + 1)
        if accuracy(new) > accuracy(old):
            ingredients.append((number, model))
    return [number for number, _ in ingredients]
