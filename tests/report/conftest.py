"""The content of results.json: a zero-shot model, full fine-tuning with WiSE-FT on its curve, R-Adapter."""

import copy

import pytest

ENDS = {"full": (0.80, 0.50, 0.12), "r-adapter": (0.75, 0.58, 0.08)}


def metrics(top1):
    return {
        "top1": top1,
        "top5": 1.0,
        "mean_per_class": top1,
        "ece": (1 - top1) / 5,
        "nll": 2 - top1,
        "n": 800,
    }


def point(method, alpha):
    """From (0.6, 0.6) along a bent line to the method's end."""
    id_end, ood_end, bend = ENDS[method]
    in_dist = 0.6 + (id_end - 0.6) * alpha
    shifted = 0.6 + (ood_end - 0.6) * alpha + bend * alpha * (1 - alpha)
    return {
        "method": method,
        "alpha": alpha,
        "id_val": metrics(in_dist),
        "id": {"photo": metrics(in_dist)},
        "ood": {"sketch": metrics(shifted + 0.05), "neon": metrics(shifted - 0.05)},
        "id_mean": in_dist,
        "ood_mean": shifted,
    }


def row(name, sweep, alpha, parameters, seconds):
    figures = {key: value for key, value in point(sweep, alpha).items() if key != "id_val"}
    return {
        **figures,
        "method": name,
        "alphas": [alpha],
        "selections": [None],
        "trained_parameters": parameters,
        "learning_rate": None,
        "forgetting": {},
        "seconds": seconds,
    }


RESULTS = {
    "schema": 3,
    "model": "world:tiny",
    "fingerprint": "f",
    "task": "classification",
    "seeds": [7],
    "selection": {"split": "id_val", "rule": "smallest alpha within one standard error", "n": 1400},
    "rows": [
        row("zero-shot", "full", 0.0, 0, 0.0),
        row("full", "full", 1.0, 860_000, 21.4),
        row("wise-ft", "full", 0.4, 860_000, 21.4),
        row("r-adapter", "r-adapter", 0.7, 20_453_376, 7300.0),
    ],
    "sweep": [point(method, step / 10) for method in ENDS for step in range(11)],
}


@pytest.fixture
def results():
    """A copy that a test may change."""
    return copy.deepcopy(RESULTS)
