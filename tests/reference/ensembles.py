"""Ensembles of proposer and CLIP, one region and one class at a time, as their releases write them."""

import math


def region(a, c, valid):
    return [[c_qk if ok else 0.0 for c_qk in row] for row, ok in zip(c, valid, strict=True)]


def ovseg(a, c, valid, weight):
    out = []
    for a_q, c_q, ok in zip(a, c, valid, strict=True):
        mapped_back = c_q if ok else [1.0] * len(c_q)
        out.append([x ** (1 - weight) * y**weight for x, y in zip(a_q, mapped_back, strict=True)])
    return out


def zsseg(a, c, valid, seen, weight):
    out = []
    for a_q, c_q, ok in zip(a, c, valid, strict=True):
        mapped_back = c_q if ok else [1.0] * len(c_q)
        out.append(
            [
                trained * x**weight * y ** (1 - weight) + (1 - trained) * x ** (1 - weight) * y**weight
                for x, y, trained in zip(a_q, mapped_back, seen, strict=True)
            ]
        )
    return out


def fcclip(a_logits, c, valid, seen, alpha, beta):
    """a_logits: with a last column for no object; log, softmax and void as fc-clip has them, without its 1e-8."""
    out = []
    for logits, c_q, ok in zip(a_logits, c, valid, strict=True):
        in_vocabulary = softmax(logits[:-1])
        void = softmax(logits)[-1]
        exponents = [(alpha if trained else beta) * ok for trained in seen]
        joined = [
            math.log(x ** (1 - e) * y**e) for x, y, e in zip(in_vocabulary, c_q, exponents, strict=True)
        ]
        out.append([p * (1 - void) for p in softmax(joined)])
    return out


def softmax(logits):
    powers = [math.exp(x - max(logits)) for x in logits]
    return [p / sum(powers) for p in powers]
