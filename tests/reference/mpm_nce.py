"""The losses term by term, in Python floats: one line per term of the paper's equation."""

from math import exp, log


def mpm_nce(x, y, labels, tau, delta, eps):
    """x: images, y: texts, lists of B lists of E floats; labels: list of B ints."""
    return (_one_direction(x, y, labels, tau, delta, eps) + _one_direction(y, x, labels, tau, delta, eps)) / 2


def siglip(x, y, labels, t, b):
    """-1/B sum_ij log 1 / (1 + exp(z_ij (-t x_i.y_j - b)))."""
    total = 0.0
    for i in range(len(x)):
        for j in range(len(y)):
            z = 1 if labels[i] == labels[j] else -1
            total -= log(1 / (1 + exp(z * (-t * _dot(x[i], y[j]) - b))))
    return total / len(x)


def head_cross_entropy(x, weight, bias, labels, eps):
    """Mean of -sum_c target_c log softmax_c (weight_c . x + bias_c), target (1 - eps) one-hot + eps / C."""
    total = 0.0
    for i in range(len(x)):
        normaliser = sum(exp(_dot(x[i], w) + b) for w, b in zip(weight, bias, strict=True))
        for c in range(len(weight)):
            target = (1 - eps) * (c == labels[i]) + eps / len(weight)
            total -= target * log(exp(_dot(x[i], weight[c]) + bias[c]) / normaliser)
    return total / len(x)


def _one_direction(queries, keys, labels, tau, delta, eps):
    B = len(queries)
    loss = 0.0
    for i in range(B):
        P = [j for j in range(B) if labels[j] == labels[i]]
        normaliser = 0.0
        for k in range(B):
            delta_ik = 0.0 if k in P else delta
            normaliser += exp((_dot(queries[i], keys[k]) + delta_ik) / tau)
        for j in range(B):
            y_ij = 1 if j in P else 0
            delta_ij = 0.0 if j in P else delta
            target = (1 - eps) * y_ij / len(P) + eps * (1 - y_ij) / (B - len(P)) if len(P) < B else 1 / B
            softmax_ij = exp((_dot(queries[i], keys[j]) + delta_ij) / tau) / normaliser
            loss -= target * log(softmax_ij)
    return loss / B


def _dot(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))
