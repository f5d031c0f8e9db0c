"""Pseudo-values and the alpha of `alpha: auto`, literally."""

from math import sqrt


def pseudo_values(figure, images):
    """n S - (n - 1) S_without_i of every image; `figure` maps a list of images to a number."""
    n = len(images)
    return [n * figure(images) - (n - 1) * figure(images[:i] + images[i + 1 :]) for i in range(n)]


def paired_error(first, second):
    """The standard error of the mean difference of two lists."""
    n = len(first)
    differences = [a - b for a, b in zip(first, second, strict=True)]
    middle = sum(differences) / n
    return sqrt(sum((each - middle) ** 2 for each in differences) / (n - 1) / n)


def smallest_within(scores, values):
    """The smallest alpha within one paired error of the best; alpha -> score, alpha -> pseudo-values."""
    best = min(alpha for alpha in scores if scores[alpha] == max(scores.values()))
    return min(
        alpha
        for alpha in scores
        if scores[best] - scores[alpha] <= paired_error(values[best], values[alpha]) + 1e-6
    )
