"""Classification metrics by counting, one sample at a time."""

from math import exp, log


def top_k(logits, labels, k):
    hits = 0
    for row, label in zip(logits, labels, strict=True):
        order = sorted(range(len(row)), key=lambda c: (-row[c], c))
        hits += label in order[:k]
    return hits / len(labels)


def mean_per_class(logits, labels):
    accuracies = []
    for c in sorted(set(labels)):
        rows = [row for row, label in zip(logits, labels, strict=True) if label == c]
        accuracies.append(top_k(rows, [c] * len(rows), 1))
    return sum(accuracies) / len(accuracies)


def expected_calibration_error(logits, labels, bins):
    members = [[] for _ in range(bins)]
    for row, label in zip(logits, labels, strict=True):
        probabilities = _softmax(row)
        confidence = max(probabilities)
        correct = probabilities.index(confidence) == label
        b = sum(confidence >= edge / bins for edge in range(1, bins))
        members[b].append((confidence, correct))
    error = 0.0
    for bin_ in members:
        if bin_:
            accuracy = sum(correct for _, correct in bin_) / len(bin_)
            confidence = sum(c for c, _ in bin_) / len(bin_)
            error += len(bin_) / len(labels) * abs(accuracy - confidence)
    return error


def negative_log_likelihood(logits, labels):
    return -sum(log(_softmax(row)[label]) for row, label in zip(logits, labels, strict=True)) / len(labels)


def _softmax(row):
    largest = max(row)
    exponentials = [exp(value - largest) for value in row]
    return [value / sum(exponentials) for value in exponentials]
