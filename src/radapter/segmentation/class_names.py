"""A zero-shot head of classes with synonyms: each entry is a class, its names separated by commas."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.errors import DataError
from radapter.models import DualEncoder
from radapter.zeroshot import check_classnames, class_embeddings, spoken

Synonyms = Literal["mean", "max"]


class ClassHead(NamedTuple):
    """Embeddings of C classes.

    embeddings: unit norm, (N, E), N = C if each class has one. classes: (N,), int64, ascending, the class of each.
    """

    embeddings: Tensor
    classes: Tensor

    def cosines(self, features: Tensor) -> Tensor:
        """The cosine of unit features (B, E) with each class, the largest of a class's embeddings: (B, C)."""
        single = features @ self.embeddings.T
        count = int(self.classes[-1]) + 1
        if count == single.shape[1]:
            return single
        index = self.classes.expand(len(features), -1)
        return single.new_zeros(len(features), count).scatter_reduce(
            1, index, single, "amax", include_self=False
        )


def names_of(entry: str) -> tuple[str, ...]:
    """The distinct names of a class: "car, automobile" gives two; underscores become spaces. Raises DataError if a
    name is empty."""
    names = [spoken(name) for name in entry.split(",")]
    if not all(names):
        raise DataError(f"class names must not be empty. '{entry}' holds an empty one. Look at its commas.")
    return tuple(dict.fromkeys(names))


def class_head(
    encoder: DualEncoder, classnames: Sequence[str], templates: Sequence[str], *, synonyms: Synonyms = "mean"
) -> ClassHead:
    """The zero-shot head of classes with synonyms; each name is averaged over the templates.

    Args:
        encoder: Encodes the names.
        classnames: C distinct entries, each a name or several separated by commas. Two classes may share a name.
        templates: Each with one "{}".
        synonyms: "mean": a class is the mean of its names, scaled to unit norm. "max": its cosine is the largest of
            its names'.

    Raises:
        DataError: There is no class, two are alike, or a name is empty.
        ConfigError: There is no template.
    """
    check_classnames(classnames)
    groups = [names_of(entry) for entry in classnames]
    names = list(dict.fromkeys(name for group in groups for name in group))
    embeddings = class_embeddings(encoder, names, templates)
    row_of = {name: row for row, name in enumerate(names)}
    rows = torch.tensor([row_of[name] for group in groups for name in group], device=embeddings.device)
    sizes = torch.tensor([len(group) for group in groups], device=embeddings.device)
    classes = torch.arange(len(groups), device=embeddings.device).repeat_interleave(sizes)
    if synonyms == "max" or len(rows) == len(groups):  # a mean of one is what it is, to the last bit
        return ClassHead(embeddings[rows], classes)
    sums = embeddings.new_zeros(len(groups), embeddings.shape[1]).index_add(0, classes, embeddings[rows])
    return ClassHead(F.normalize(sums, dim=-1), torch.arange(len(groups), device=embeddings.device))
