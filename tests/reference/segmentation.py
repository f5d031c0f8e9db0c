"""Segmentation metrics by sets of pixels, one class at a time, and boundaries by looking around every pixel."""

from math import nan, sqrt


def counted_pixels(truth, ignore):
    return {(y, x) for y, row in enumerate(truth) for x, label in enumerate(row) if label != ignore}


def class_iou(pairs, classes, ignore, convention):
    """IoU of each class over (prediction, truth) pairs of nested lists; nan where it does not count."""
    found = []
    for c in range(classes):
        intersection = union = present = guessed = 0
        for prediction, truth in pairs:
            counted = counted_pixels(truth, ignore)
            true = {(y, x) for y, x in counted if truth[y][x] == c}
            predicted = {(y, x) for y, x in counted if prediction[y][x] == c}
            intersection += len(true & predicted)
            union += len(true | predicted)
            present += len(true)
            guessed += len(predicted)
        counts = present > 0 if convention == "detectron2" else present + guessed > 0
        found.append(intersection / union if counts else nan)
    return found


def mean(values):
    kept = [value for value in values if value == value]
    return sum(kept) / len(kept)


def accuracies(pairs, classes, ignore):
    """Share of each class's pixels found, frequency of each class, and share of all found."""
    size, right = [0] * classes, [0] * classes
    for prediction, truth in pairs:
        for y, x in counted_pixels(truth, ignore):
            size[truth[y][x]] += 1
            right[truth[y][x]] += prediction[y][x] == truth[y][x]
    shares = [r / s if s else nan for r, s in zip(right, size, strict=True)]
    return shares, [s / sum(size) for s in size], sum(right) / sum(size)


def rim(mask, distance):
    """mask minus `distance` erosions by a 3 x 3 square, outside the image being no mask; sets of pixels."""
    eroded = mask
    for _ in range(distance):
        eroded = {
            (y, x) for y, x in eroded if all((y + v, x + h) in eroded for v in (-1, 0, 1) for h in (-1, 0, 1))
        }
    return mask - eroded


def class_boundary_iou(pairs, classes, ignore, ratio):
    found = []
    for c in range(classes):
        intersection = union = present = 0
        for prediction, truth in pairs:
            height, width = len(truth), len(truth[0])
            distance = max(1, round(ratio * sqrt(height**2 + width**2)))
            pixels = {(y, x) for y in range(height) for x in range(width)}
            counted = counted_pixels(truth, ignore)
            true = rim({(y, x) for y, x in pixels if truth[y][x] == c}, distance) & counted
            predicted = rim({(y, x) for y, x in pixels if prediction[y][x] == c}, distance) & counted
            intersection += len(true & predicted)
            union += len(true | predicted)
            present += len(true)
        found.append(intersection / union if present else nan)
    return found
