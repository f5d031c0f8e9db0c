"""A run's model at any alpha, for the requests of several threads.

One set of weights serves all requests, which lock them while they use them. They move only when alpha changes.
Features, class embeddings and label maps of the last requests are kept.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import final

import torch
from torch import Tensor, nn

from radapter.errors import DataError, listed
from radapter.evaluation import AlphaPath, Interpolation
from radapter.evaluation.calibration import probabilities as calibrated
from radapter.evaluation.calibration import temperature_at
from radapter.evaluation.features import encode_images, encode_texts
from radapter.evaluation.measures import class_logits
from radapter.models import DualEncoder
from radapter.models.reading import equal_texts, unknown_words
from radapter.runs.weights import Trained
from radapter.segmentation import CropStyle, MaskProposer, Proposals, RegionClassifier, segment
from radapter.serve.uploads import Upload
from radapter.zeroshot import (
    Head,
    LinearHead,
    check_classnames,
    class_embeddings,
    device_of,
    name_key,
    prompts,
    spellings,
)

MAX_TEXTS = 20_000
"""Prompts of one request: class names times templates."""
_KEPT = 64  # answers of each kind

Names = tuple[str, ...]


@final
class Blend:
    """A trained method between zero-shot and fine-tuned.

    Args:
        trained: What `load_trained` returned.
        line: Its `interpolation`, which must be open as long as this object is used.
        alpha: The run's own.
        classnames: Those that the run was trained on; empty if it has none.
        templates: Prompts with one "{}" each.
        temperatures: Alpha -> the temperature of the run's classes on ID validation; empty if none was fitted.
    """

    def __init__(
        self,
        trained: Trained,
        line: AlphaPath,
        *,
        alpha: float,
        classnames: Sequence[str],
        templates: Sequence[str],
        temperatures: Mapping[float, float],
    ) -> None:
        self.encoder: DualEncoder = trained.classifier.encoder
        self.alpha = alpha
        self.classnames, self.templates = tuple(classnames), tuple(templates)
        self._trained_head, self._line = trained.classifier.head, line
        self._temperatures = temperatures
        self._moves_texts = _moves_texts(self.encoder, line)
        self._lock, self._moved = threading.Lock(), ExitStack()
        self._at: float | None = None
        self._features = lru_cache(_KEPT)(self._encoded)
        self._heads = lru_cache(_KEPT)(self._head)
        self._region_classifiers = lru_cache(_KEPT)(self._region_classifier)
        self._label_maps = lru_cache(_KEPT)(self._labels)
        self._regions = lru_cache(_KEPT)(lambda upload, proposer: proposer(upload.small))

    @contextmanager
    def at(self, alpha: float) -> Iterator[DualEncoder]:
        """The encoder at `alpha`, for this thread alone while the block runs."""
        with self._lock:
            if alpha != self._at:
                self._at = None  # if a step below raises
                self._moved.close()
                self._moved.enter_context(self._line.at(alpha))
                self._at = alpha
            yield self.encoder

    def close(self) -> None:
        """Gives the module its weights back."""
        with self._lock:
            self._at = None
            self._moved.close()

    def check_names(
        self, names: Sequence[str], *, synonyms: Callable[[str], Sequence[str]] = lambda name: (name,)
    ) -> list[str]:
        """Checks typed class names; `synonyms` splits one into names of the same class.

        Returns:
            The names with words that the text tower does not know.

        Raises:
            DataError: There are fewer than two names or too many, or the text tower reads two alike.
        """
        check_classnames(names)
        if len(names) < 2:
            raise DataError(
                f"there must be at least two class names. Got only {names[0]!r}. Add another one."
            )
        texts = [
            [text for name in sorted(synonyms(entry)) for text in prompts(name, self.templates)]
            for entry in names
        ]
        if (count := sum(map(len, texts))) > MAX_TEXTS:
            raise DataError(
                f"class names times templates must be at most {MAX_TEXTS:,}. Got {count:,}. Type fewer names."
            )
        with self._lock:
            alike, unknown = equal_texts(self.encoder, texts), unknown_words(self.encoder, names)
        if alike:
            group = [names[place] for place in alike[0]]
            lacking = " Its vocabulary lacks a word of them." if unknown.keys() & set(group) else ""
            raise DataError(
                f"class names must differ to the text tower. It reads {spellings(group)} alike.{lacking} "
                "Type other names."
            )
        return list(unknown)

    def has_head_for(self, names: Sequence[str]) -> bool:
        """Whether the run's own trained head classifies these names: all are among its classes."""
        return self._trained_head is not None and set(map(name_key, names)) <= set(
            map(name_key, self.classnames)
        )

    def probabilities(self, upload: Upload, names: Names, alpha: float) -> Tensor:
        """The probability of each of C classes, (C,); only typed classes compete.

        Those of the run's own classes are calibrated, as `radapter predict` does.
        """
        has_head = self.has_head_for(names)
        with self.at(alpha):
            logits = self._logits(upload, self.classnames if has_head else names, alpha)
        if has_head:
            place = {name_key(name): number for number, name in enumerate(self.classnames)}
            logits = logits[[place[name_key(name)] for name in names]]
        are_own = {*map(name_key, names)} == {*map(name_key, self.classnames)}
        known = temperature_at(self._temperatures, alpha) if are_own else None
        return calibrated(logits, 1.0 if known is None else known)

    def text_features(self, text: str) -> Tensor:
        """The features of a text at the run's own alpha, (1, E), of unit norm."""
        with self.at(self.alpha) as encoder:
            return encode_texts(encoder, [text])

    def labels(
        self, upload: Upload, names: Names, alpha: float, *, proposer: MaskProposer, style: CropStyle
    ) -> Tensor:
        """The class of each pixel of `upload.small`, (H, W); -1 outside of regions.

        Raises DataError if the proposer finds no region.
        """
        regions: Proposals = self._regions(upload, proposer)
        if not len(regions):
            raise DataError("an image must have a region. None was found in this one. Upload another.")
        with self.at(alpha):
            return self._label_maps(upload, names, alpha, proposer, style)

    def _encoded(self, upload: Upload, alpha: float) -> Tensor:
        return encode_images(self.encoder, [upload.pixels[None]]).float()

    @torch.no_grad()
    def _logits(self, upload: Upload, names: Names, alpha: float) -> Tensor:
        """The logits (C,) of the run's classes or of others, float32 or wider, on the CPU."""
        has_own = self._trained_head is not None or self._moves_texts
        head = self._heads(names, alpha if has_own else 0.0)
        if head.changes_features:
            return class_logits(self.encoder, head, upload.pixels[None])[0].cpu()
        logits: Tensor = head(self._features(upload, alpha).to(device_of(self.encoder)))
        return logits[0].cpu()

    def _head(self, names: Names, alpha: float) -> Head:
        trained = self._trained_head
        if trained is not None and names == self.classnames:
            return trained.prepared()
        embeddings = class_embeddings(self.encoder, names, self.templates)
        zero_shot = LinearHead.zero_shot(embeddings, self.encoder.logit_scale, names, self.templates)
        return zero_shot if trained is None else trained.for_classes(names, zero_shot).prepared()

    def _region_classifier(self, names: Names, style: CropStyle, alpha: float) -> RegionClassifier:
        return RegionClassifier(self.encoder, names, self.templates, style=style)

    def _labels(
        self, upload: Upload, names: Names, alpha: float, proposer: MaskProposer, style: CropStyle
    ) -> Tensor:
        classifier = self._region_classifiers(names, style, alpha if self._moves_texts else 0.0)
        (found,) = segment([upload.small], [self._regions(upload, proposer)], classifier)
        return found.labels


def unknown_note(names: Sequence[str]) -> str:
    """A sentence about names that the text tower does not know, with a leading space; empty for none."""
    return (
        f" The text tower does not know a word of {listed([repr(name) for name in names])}." if names else ""
    )


def _moves_texts(encoder: DualEncoder, line: AlphaPath) -> bool:
    """Whether the text tower or the logit scale differs between the two ends of the line."""
    if not isinstance(line, Interpolation):
        return True  # adapters that are scaled may be in both towers
    parts = [*encoder.text_tower(), getattr(encoder.module, "logit_scale", None)]
    own = {
        id(tensor)
        for part in parts
        for tensor in ([*part.parameters(), *part.buffers()] if isinstance(part, nn.Module) else [part])
    }
    tensors = (line.module.named_parameters, line.module.named_buffers)
    live = {name: tensor for named in tensors for name, tensor in named(remove_duplicate=False)}
    return any(id(live[name]) in own for name in line.names)
