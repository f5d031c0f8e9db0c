"""Classifies and embeds images with a run, a merged directory or a model, beside the zero-shot model.

Images are loaded, preprocessed and classified by the functions of the evaluation, so a prediction is the argmax that
`radapter evaluate` counts. A probability is softmax(logits / temperature); see `radapter.evaluation.calibration`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from torch import Tensor

from radapter.adapter.config import check_alpha
from radapter.data import Batch, ClassificationSet, EvalLoader
from radapter.data.source import DEFAULT, Reading
from radapter.data.splits import Progress
from radapter.errors import ConfigError
from radapter.evaluation.calibration import probabilities, temperature_at
from radapter.evaluation.features import encode_images, encode_texts
from radapter.evaluation.measures import class_logits
from radapter.evaluation.metrics import check_finite
from radapter.evaluation.sweep import CACHE_MIB, blocks
from radapter.inference.embeddings import Embeddings
from radapter.inference.images import ImagesLike, OpenedImages, open_images
from radapter.inference.predictions import Prediction, Predictions, Ranked
from radapter.inference.weights import OpenedWeights
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead, class_embeddings, evaluating, name_key, spoken
from radapter.zeroshot import templates as templates_of

WORKERS = min(4, os.cpu_count() or 1)
"""Threads that decode images by default."""


@final
class Predictor:
    """Classifies and embeds images; `open_predictor` opens one.

    Attributes:
        classnames: the classes that `predict` chooses from; None if there are none.
        templates: their prompts.
        alpha: at which the weights are; None for a model.
        temperature: by which the logits are divided; 1 if they are not calibrated.
        notes: sentences for the user, such as why probabilities are not calibrated.
    """

    def __init__(
        self,
        weights: OpenedWeights,
        *,
        alpha: float | None,
        classnames: Sequence[str] | None = None,
        templates: Sequence[str] | None = None,
        raw: bool = False,
    ) -> None:
        if alpha is not None:
            check_alpha(alpha)
        self._weights, self._raw = weights, raw
        self._given = classnames, templates
        self.alpha = alpha
        own = weights.classnames
        has_own_names = own is not None and (
            classnames is None or {*map(name_key, classnames)} == {*map(name_key, own)}
        )
        # A run's head goes with its classes alone; other templates make another head for a merged directory.
        self._is_own = has_own_names and (templates is None or (weights.is_run and weights.head is not None))
        if not has_own_names and classnames is not None and weights.is_run and weights.head is not None:
            raise ConfigError(
                f"classes must be those of '{weights.name}', which trained a head for its {len(own or ())}. Got "
                f"{len(classnames)} others. Leave them out, or use a run of a method without a head."
            )
        names = own if has_own_names else classnames
        self.classnames = None if names is None else tuple(map(spoken, names))
        self.templates = tuple(templates or weights.templates or templates_of("short"))
        self.temperature, self.notes = self._calibration()
        self._heads: dict[bool, Head] = {}  # by whether of the model before training

    @property
    def encoder(self) -> DualEncoder:
        """The encoder; its weights are at `alpha` only while `predict` and `embed` run."""
        return self._weights.encoder

    @property
    def is_run(self) -> bool:
        """Whether `at` can give another alpha."""
        return self._weights.is_run

    def at(self, alpha: float) -> "Predictor":
        """The same run at another alpha; the weights in memory are shared. Raises ConfigError for a model."""
        if not self.is_run:
            raise ConfigError(f"alpha is for a run. '{self._weights.name}' is a model. Leave it out.")
        classnames, templates = self._given
        found = Predictor(
            self._weights, alpha=alpha, classnames=classnames, templates=templates, raw=self._raw
        )
        found._heads |= {is_before: head for is_before, head in self._heads.items() if is_before}
        return found

    def among(self, classnames: Sequence[str], templates: Sequence[str] | None = None) -> "Predictor":
        """The same weights with other classes, and prompts for them. Raises ConfigError if a head was trained."""
        return Predictor(
            self._weights, alpha=self.alpha, classnames=classnames, templates=templates, raw=self._raw
        )

    def predict(
        self,
        images: ImagesLike | OpenedImages,
        *,
        top: int = 5,
        batch_size: int = 64,
        workers: int = WORKERS,
        reading: Reading = DEFAULT,
        progress: Progress | None = None,
    ) -> Predictions:
        """Classifies images; the results do not depend on `batch_size` and `workers`.

        Args:
            images: what `open_images` takes, or returned.
            top: the number of classes in `Prediction.top`.
            batch_size: images at a time.
            workers: threads that decode images; 0 decodes in the calling thread.
            reading: for `open_images`.
            progress: called with (images done, all).

        Raises:
            ConfigError: `top` or `batch_size` is below 1, or there are no classes.
            DataError: the images are missing, or more than `reading.max_bad` of them are unreadable.
        """
        if top < 1:
            raise ConfigError(f"top must be >= 1, got {top}.")
        if self.classnames is None:
            raise ConfigError(
                f"predictions need class names. '{self._weights.name}' has none of its own. Give classes, such as "
                "--classes 'cat, dog' or classnames=['cat', 'dog']."
            )
        opened = self._opened(images, reading)
        columns = self._columns(opened)
        names = [self.classnames[column] for column in columns.tolist()]
        before = self._weights.base()
        is_before = before is self.encoder and not (self.is_run and self.alpha)
        loader = self._loader(opened, batch_size, workers)
        rows: dict[int, Prediction] = {}
        for block in blocks(loader, CACHE_MIB if self.is_run else 0):
            logits = self._logits(block, columns, self.encoder, is_before=False)
            earlier = logits if is_before else None
            if before is not None and not is_before:
                earlier = self._logits(block, columns, before, is_before=True)
            indices = torch.cat([batch.indices for batch in block]).tolist()
            paths = [opened.paths[index] for index in indices]
            for index, row in zip(indices, self._rows(paths, names, logits, earlier, top), strict=True):
                rows[index] = row
            if progress is not None:
                progress(len(rows) + len(loader.bad), len(opened))
        for index, error in loader.bad.messages.items():
            rows[index] = Prediction(opened.paths[index], error=error)
        in_order = tuple(rows[index] for index in range(len(opened)))
        return Predictions(in_order, self.classnames, self.alpha, self.temperature, self.notes)

    def embed(
        self,
        images: ImagesLike | OpenedImages | None = None,
        texts: Sequence[str] | None = None,
        *,
        batch_size: int = 64,
        workers: int = WORKERS,
        reading: Reading = DEFAULT,
        progress: Progress | None = None,
    ) -> Embeddings:
        """Encodes images, texts, or both, at the predictor's alpha; texts are encoded as they are.

        Arguments are those of `predict`. Raises ConfigError if there is nothing to encode, or the run's head reads
        image features of its own, and DataError as `predict`.
        """
        if images is None and not texts:
            raise ConfigError("embeddings need images or texts. Got neither. Give at least one.")
        if images is not None and self._weights.head is not None and self._weights.head.changes_features:
            raise ConfigError(
                f"image features of '{self._weights.name}' belong to its classes: its method learned tokens of the "
                "image tower beside the plain ones. Use 'radapter predict', or embed with its base model."
            )
        texts = tuple(texts or ())
        none = torch.empty(0, self.encoder.embed_dim)
        of_images, indices, opened, errors = [none], list[int](), None, dict[str, str]()
        if images is not None:
            opened = self._opened(images, reading)
            loader = self._loader(opened, batch_size, workers)
            for block in blocks(loader, CACHE_MIB if self.is_run else 0):
                with self._weights_at(self.alpha):
                    found = encode_images(self.encoder, [batch.pixels for batch in block])
                of_images.append(found)
                indices += torch.cat([batch.indices for batch in block]).tolist()
                if progress is not None:
                    progress(len(indices) + len(loader.bad), len(opened))
            errors = {opened.paths[index]: error for index, error in sorted(loader.bad.messages.items())}
        of_texts = none
        if texts:
            with self._weights_at(self.alpha):
                of_texts = encode_texts(self.encoder, texts)
        labels = None if opened is None else opened.labels
        return Embeddings(
            np.ascontiguousarray(torch.cat(of_images).float().numpy()),
            np.ascontiguousarray(of_texts.float().numpy()),
            () if opened is None else tuple(opened.paths[index] for index in indices),
            tuple(None if labels is None else labels[index] for index in indices),
            texts,
            errors,
            self._weights.name,
            self.alpha,
        )

    def _calibration(self) -> tuple[float, tuple[str, ...]]:
        if self._raw or self.classnames is None or self._weights.alpha is None:
            return 1.0, ()
        if not self._is_own:
            why = "the temperature of ID validation is for the run's own classes and templates"
        else:
            found = temperature_at(self._weights.temperatures, self.alpha or 0.0)
            if found not in (None, 1.0):
                return found, ()
            why = (
                f"'{self._weights.name}' has no temperature. It had no ID validation, was right on all of its "
                "images, or was made by an older radapter"
            )
        return 1.0, (f"Probabilities are not calibrated: {why}.",)

    @contextmanager
    def _weights_at(self, alpha: float | None) -> Iterator[None]:
        with self._weights.lock, self._weights.at(alpha or 0.0):
            yield

    def _opened(self, images: ImagesLike | OpenedImages, reading: Reading) -> OpenedImages:
        if isinstance(images, OpenedImages):
            return images
        return open_images(images, classnames=self.classnames, reading=reading)

    def _loader(self, opened: OpenedImages, batch_size: int, workers: int) -> EvalLoader:
        return EvalLoader(
            opened.data,
            self.encoder.preprocess,
            batch_size=batch_size,
            max_bad=opened.reading.max_bad,
            workers=workers,
        )

    def _columns(self, opened: OpenedImages) -> Tensor:
        """The classes that an image can have, ascending: a source may show only some, as ImageNet-R does."""
        assert self.classnames is not None
        everything, data = torch.arange(len(self.classnames)), opened.data
        if not isinstance(data, ClassificationSet) or data.candidates is None:
            return everything
        is_same = [*map(name_key, data.classnames)] == [*map(name_key, self.classnames)]
        return torch.unique(data.candidates) if is_same else everything

    @torch.no_grad()
    def _logits(
        self, block: Sequence[Batch], columns: Tensor, encoder: DualEncoder, *, is_before: bool
    ) -> Tensor:
        """(N, K), float32 or wider, on the CPU."""
        with self._weights_at(0.0 if is_before else self.alpha), evaluating(encoder):
            head = self._head(encoder, is_before=is_before)
            found = [class_logits(encoder, head, batch.pixels).cpu() for batch in block]
        logits = torch.cat(found)[:, columns]
        check_finite(logits)
        return logits

    def _head(self, encoder: DualEncoder, *, is_before: bool) -> Head:
        own = self._weights.head
        if is_before not in self._heads and self._is_own and not is_before and own is not None:
            self._heads[False] = own.prepared()
        if is_before not in self._heads:
            assert self.classnames is not None
            embeddings = class_embeddings(encoder, self.classnames, self.templates)
            self._heads[is_before] = LinearHead.zero_shot(embeddings, encoder.logit_scale)
        return self._heads[is_before]

    def _rows(
        self,
        paths: Sequence[str],
        names: Sequence[str],
        logits: Tensor,
        earlier: Tensor | None,
        top: int,
    ) -> Iterator[Prediction]:
        # stable: of equal logits the first class counts, as for argmax
        order = logits.sort(dim=1, descending=True, stable=True).indices[:, :top]
        shares = probabilities(logits, self.temperature).gather(1, order)
        then = [None] * len(paths) if earlier is None else earlier.argmax(1).tolist()
        for path, ranked, of_row, first in zip(paths, order.tolist(), shares.tolist(), then, strict=True):
            best = tuple(Ranked(names[column], share) for column, share in zip(ranked, of_row, strict=True))
            zero_shot = None if first is None else names[first]
            differs = None if first is None else first != ranked[0]
            yield Prediction(path, *best[0], best, zero_shot, differs)
