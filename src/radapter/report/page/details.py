"""What a page shows of single images and classes: plain data, from the answers that the evaluation kept.

A task's entry names its function: `classified`, `retrieved` or `segmented`. Each compares the zero-shot model with
the page's first method at its chosen alpha, at the first seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor

from radapter.evaluation.metrics import CALIBRATION_BINS
from radapter.report.cells import at_alpha
from radapter.runs.results import Results
from radapter.tasks.suite import Role

_WORDS: dict[Role, str] = {"id": "in distribution", "ood": "out of distribution"}
_SHOWN = 8  # images of a gallery of classification: four galleries
_QUERIES = 5  # of a gallery of retrieval, with two images each: four galleries
_DRAWN = 2  # images of a segmented set, with five pictures each
_SETS = 4
_CLASSES = 24
"""Classes above which the confusion matrix shows those with most errors."""


class Shot(NamedTuple):
    """One image of a set, by its number; with labels, (h, w), its label map is drawn over it."""

    role: str
    name: str
    number: int
    text: str
    labels: Tensor | None = None


class Example(NamedTuple):
    """Images that belong together, and lines of text below them; `caption` is a text of the first image's set."""

    shots: Sequence[Shot]
    lines: Sequence[str]
    caption: int | None = None


class Gallery(NamedTuple):
    """A title, a note and examples; an empty gallery is left out."""

    title: str
    note: str
    examples: Sequence[Example]


Rows = list[dict[str, Any]]


@dataclass
class Details:
    """Rows of the charts that show classes, and galleries.

    of: such as "r-adapter at alpha 0.3, seed 0". score: what `classes` compares. reliability: model, confidence,
    accuracy, images. confusion: model, truth, predicted, share, images. classes: name, gain, before, after. recalls:
    direction, cutoff, sets, alpha, recall.
    """

    of: str
    score: str = "Accuracy"
    reliability: Rows = field(default_factory=list)
    confusion: Rows = field(default_factory=list)
    classes: Rows = field(default_factory=list)
    recalls: Rows = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)


class Answered(NamedTuple):
    """The answers of the first method, its alpha, the class names of its training, and all results."""

    results: Results
    method: str
    alpha: float
    answers: Mapping[str, Tensor]
    classnames: Sequence[str]

    @property
    def of(self) -> str:
        """The model in words."""
        is_chosen = self.alpha in self.results.row(self.method).alphas
        why = "" if is_chosen else " (alpha 0, the zero-shot model, was chosen)"
        return f"{self.method} at alpha {self.alpha:.2g}{why}, seed {self.results.seed}"

    def sets(self, role: Role, kind: str) -> "list[SetAnswers]":
        """The sets of a role with answers of a kind at both alphas."""
        return [
            SetAnswers(role, name, self.answers)
            for name in self.results.sets(role)
            if all(f"{alpha:g}/{role}/{name}/{kind}" in self.answers for alpha in (0.0, self.alpha))
        ]


class SetAnswers(NamedTuple):
    """The answers on one set."""

    role: Role
    name: str
    answers: Mapping[str, Tensor]

    def truth(self, of: str) -> Tensor:
        """What does not depend on the weights."""
        return self.answers[f"{self.role}/{self.name}/{of}"]

    def at(self, alpha: float, of: str) -> Tensor:
        """What the model at an alpha answered."""
        return self.answers[f"{alpha:g}/{self.role}/{self.name}/{of}"]


Describe = Callable[[Answered], Details]


def classified(answered: Answered) -> Details:
    """Reliability, confusion and classes on the ID sets; images newly right and newly wrong on ID and OOD sets."""
    details, names, alpha = Details(answered.of), answered.classnames, answered.alpha
    found = answered.sets("id", "class")
    if found and names:
        labels = torch.cat([of.truth("label") for of in found]).long()
        predictions: dict[str, Tensor] = {}
        for model, at in {"zero-shot": 0.0, answered.method: alpha}.items():
            predictions[model] = torch.cat([of.at(at, "class") for of in found]).long()
            probability = torch.cat([of.at(at, "probability") for of in found])
            details.reliability += _reliability(model, predictions[model] == labels, probability)
        details.confusion = _confusion(predictions, labels, names)
        details.classes = _classes(predictions["zero-shot"], predictions[answered.method], labels, names)
    for role, words in _WORDS.items():
        for is_right, title in ((True, "Newly right"), (False, "Newly wrong")):
            changed = [_changed(of, alpha, names, right=is_right) for of in answered.sets(role, "class")]
            total = sum(count for count, _ in changed)
            shown = list(islice(_in_turn([examples for _, examples in changed]), _SHOWN))
            note = f"{len(shown)} of {total:,}, those with the largest probability of each set in turn."
            details.galleries.append(Gallery(f"{title} {words}", note, shown))
    return details


def retrieved(answered: Answered) -> Details:
    """Recall at every alpha in both directions, and the queries that gained and lost most ranks."""
    details, results = Details(answered.of), answered.results
    for point in results.sweep:
        if point.method != answered.method:
            continue
        for role, words in _WORDS.items():
            for direction, title in (("t2i", "text to image"), ("i2t", "image to text")):
                for cutoff in (1, 5, 10):
                    recall = point.average(role, f"{direction}_r{cutoff}")
                    if recall is not None:
                        row = {"direction": title, "cutoff": f"R@{cutoff}", "sets": words}
                        details.recalls.append(row | {"alpha": point.alpha, "recall": recall})
    for role, words in _WORDS.items():
        best, worst = [], []
        for of in answered.sets(role, "text_rank"):
            ranks = [of.at(alpha, "text_rank").long() for alpha in (0.0, answered.alpha)]
            asked = _Asked(of, of.at(answered.alpha, "first_image"), ranks)
            # ties: the order of the set
            best.append(asked.examples(torch.argsort(ranks[1] - ranks[0], stable=True)))
            worst.append(asked.examples(torch.argsort(-ranks[1], stable=True)))
        note = "Left the query's image, right the image that ranks first now."
        for title, found in ((f"Best queries {words}", best), (f"Worst queries {words}", worst)):
            rule = "Most ranks gained over zero-shot" if found is best else "Largest ranks"
            shown = list(islice(_in_turn(found), _QUERIES))
            details.galleries.append(Gallery(title, f"{rule}, of each set in turn. {note}", shown))
    return details


class _Asked(NamedTuple):
    """The text queries of a set: what ranks first, and the ranks of the right image before and after."""

    of: SetAnswers
    first: Tensor
    ranks: Sequence[Tensor]

    def examples(self, order: Tensor) -> list[Example]:
        """The first queries in an order, one of each image."""
        first: dict[int, int] = {}
        images = self.of.truth("image_of_text")
        for n in order.tolist():
            first.setdefault(int(images[n]), n)
            if len(first) == _QUERIES:
                break
        return [self._example(n) for n in first.values()]

    def _example(self, n: int) -> Example:
        of = self.of
        own, first, text = (
            int(numbers[n]) for numbers in (of.truth("image_of_text"), self.first, of.truth("text"))
        )
        shots = [Shot(of.role, of.name, own, "its image"), Shot(of.role, of.name, first, "first now")]
        before, now = (int(rank[n]) for rank in self.ranks)
        return Example(shots, [f"rank {before:,} before, {now:,} now", of.name], caption=text)


def segmented(answered: Answered) -> Details:
    """IoU of each class before and after, on the ID sets, and label maps of some images of each set."""
    details = Details(answered.of, score="IoU")
    zero_shot = answered.results.rows[0]
    row = at_alpha(answered.results, answered.results.row(answered.method), answered.alpha) or zero_shot
    iou = "iou/"
    for metric in sorted({metric for of in row.id.values() for metric in of if metric.startswith(iou)}):
        before, after = zero_shot.average("id", metric), row.average("id", metric)
        if before is not None and after is not None:
            details.classes.append(_class(metric.removeprefix(iou), before, after))
    details.classes.sort(key=lambda of: -of["gain"])
    examples = []
    for role in _WORDS:
        for name in answered.results.sets(role)[:_SETS]:
            numbers = sorted(
                int(key.split("/")[2])
                for key in answered.answers
                if key.startswith(f"{role}/{name}/") and key.endswith("/truth")
            )
            examples += [
                example
                for number in numbers[:_DRAWN]
                if (example := _rows_of_maps(answered, role, name, number)) is not None
            ]
    note = "Evenly spread over each set, chosen before the evaluation. The oracle gives proposals their true class."
    details.galleries.append(
        Gallery("Image, truth, before, after and oracle", note, examples[: _SETS * _DRAWN])
    )
    return details


def _rows_of_maps(answered: Answered, role: Role, name: str, number: int) -> Example | None:
    start, alpha = f"{role}/{name}", answered.alpha
    keys = {
        "truth": f"{start}/{number}/truth",
        "zero-shot": f"0/{start}/{number}/labels",
        f"{answered.method}": f"{alpha:g}/{start}/{number}/labels",
        "oracle": f"{start}/{number}/oracle",
    }
    if not all(key in answered.answers for key in keys.values()):
        return None
    shots = [Shot(role, name, number, "image")]
    shots += [Shot(role, name, number, text, answered.answers[key]) for text, key in keys.items()]
    return Example(shots, [name])


def _reliability(model: str, is_right: Tensor, probability: Tensor) -> Rows:
    bins = (probability * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
    rows = []
    for number in torch.unique(bins).tolist():
        inside = bins == number
        confidence, accuracy = float(probability[inside].mean()), float(is_right[inside].float().mean())
        images = int(inside.sum())
        rows.append({"model": model, "confidence": confidence, "accuracy": accuracy, "images": images})
    return rows


def _confusion(models: Mapping[str, Tensor], labels: Tensor, names: Sequence[str]) -> Rows:
    count = len(names)
    matrices = {
        model: torch.bincount(labels * count + predicted, minlength=count**2).view(count, count)
        for model, predicted in models.items()
    }
    wrong = sum((matrix - torch.diag(matrix.diag())) for matrix in matrices.values())
    assert isinstance(wrong, Tensor)
    seen = (wrong.sum(0) + wrong.sum(1) + torch.bincount(labels, minlength=count)) > 0
    errors = torch.where(seen, wrong.sum(0) + wrong.sum(1), -1)
    kept = sorted(torch.argsort(-errors, stable=True)[: min(_CLASSES, int(seen.sum()))].tolist())
    return [
        {
            "model": model,
            "truth": names[truth],
            "predicted": names[predicted],
            "images": int(matrix[truth, predicted]),
            "share": int(matrix[truth, predicted]) / max(1, int(matrix[truth].sum())),
        }
        for model, matrix in matrices.items()
        for truth in kept
        for predicted in kept
    ]


def _classes(before: Tensor, after: Tensor, labels: Tensor, names: Sequence[str]) -> Rows:
    rows = []
    for label in torch.unique(labels).tolist():
        own = labels == label
        old, new = (float((predicted[own] == label).float().mean()) for predicted in (before, after))
        rows.append(_class(names[label], old, new))
    return sorted(rows, key=lambda row: -row["gain"])


def _class(name: str, before: float, after: float) -> dict[str, Any]:
    return {"name": name, "gain": after - before, "before": before, "after": after}


def _changed(of: SetAnswers, alpha: float, names: Sequence[str], *, right: bool) -> tuple[int, list[Example]]:
    """How many images of a set are newly right or newly wrong, and the first of them."""
    labels, before, now = of.truth("label"), of.at(0.0, "class"), of.at(alpha, "class")
    changed = (before != labels) & (now == labels) if right else (before == labels) & (now != labels)
    probability = {at: of.at(at, "probability") for at in (0.0, alpha)}
    places = changed.nonzero().flatten()
    order = places[torch.argsort(-probability[alpha][places], stable=True)][:_SHOWN]

    def named(label: Tensor) -> str:
        return names[int(label)] if int(label) < len(names) else f"class {int(label)}"

    examples = []
    for n in order.tolist():
        lines = [
            f"truth: {named(labels[n])}",
            f"zero-shot: {named(before[n])} {float(probability[0.0][n]):.0%}",
            f"now: {named(now[n])} {float(probability[alpha][n]):.0%}",
            of.name,
        ]
        shot = Shot(of.role, of.name, int(of.truth("image")[n]), f"{named(labels[n])}, of {of.name}")
        examples.append(Example([shot], lines))
    return len(places), examples


def _in_turn(groups: Sequence[Sequence[Example]]) -> Iterator[Example]:
    return (example for example in chain.from_iterable(zip_longest(*groups)) if example is not None)
