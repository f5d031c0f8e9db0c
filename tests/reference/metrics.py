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


def macro_f1(logits, labels):
    predicted = [max(range(len(row)), key=lambda c: (row[c], -c)) for row in logits]
    scores = []
    for c in sorted(set(labels)):
        pairs = list(zip(predicted, labels, strict=True))
        right = sum(p == c and y == c for p, y in pairs)
        wrong = sum(p == c and y != c for p, y in pairs)
        missed = sum(p != c and y == c for p, y in pairs)
        scores.append(2 * right / (2 * right + wrong + missed))
    return sum(scores) / len(scores)


def brier(logits, labels):
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        total += sum((p - (c == label)) ** 2 for c, p in enumerate(_softmax(row)))
    return total / len(labels)


def worst_group(logits, labels, groups):
    accuracies = []
    for group in set(groups):
        members = [i for i, g in enumerate(groups) if g == group]
        accuracies.append(top_k([logits[i] for i in members], [labels[i] for i in members], 1))
    return min(accuracies)


def _softmax(row):
    largest = max(row)
    exponentials = [exp(value - largest) for value in row]
    return [value / sum(exponentials) for value in exponentials]
