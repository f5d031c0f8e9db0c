"""Model Stock and LiNeS, written out entry by entry on nested lists of numbers in float64."""

import math

Tensor = list[float]


def model_stock(base: Tensor, trainings: list[Tensor]) -> Tensor:
    moves = [[tuned - start for tuned, start in zip(training, base, strict=True)] for training in trainings]

    def cosine(a: Tensor, b: Tensor) -> float:
        norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
        return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0

    count = len(moves)
    pairs = [cosine(moves[i], moves[j]) for i in range(count) for j in range(i)]
    mean = sum(pairs) / len(pairs)
    ratio = count * mean / (1 + (count - 1) * mean) if mean > 0 else 0.0
    average = [sum(training[i] for training in trainings) / count for i in range(len(base))]
    return [
        min(1.0, ratio) * mean + (1 - min(1.0, ratio)) * start
        for mean, start in zip(average, base, strict=True)
    ]


def lines(base: Tensor, tuned: Tensor, alpha: float, number: int | None, count: int) -> Tensor:
    """number is the block's, from 1; None outside of the blocks."""
    scale = alpha if number is None else alpha + (1 - alpha) * (number - 1) / (count - 1)
    return [start + scale * (end - start) for start, end in zip(base, tuned, strict=True)]
