"""From class names to a classifier: prompts, their class embeddings and the zero-shot head.

Source: CLIP's prompt ensemble (Radford et al., ICML 2021): a class is the mean of its prompts' unit embeddings,
scaled back to unit norm. These rows times the logit scale are the weight of the zero-shot head, a `LinearHead`.
"""

import copy
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.errors import ConfigError, DataError, MissingExtraError, did_you_mean
from radapter.given_files import read_text
from radapter.losses.batch import linear_logits, widen
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes

SHORT_TEMPLATES = (
    "a photo of a {}.",
    "a picture of a {}.",
    "a close-up of a {}.",
    "a {} seen from afar.",
    "a drawing of a {}.",
    "a painting of a {}.",
    "a sketch of a {}.",
    "an image with a {} in the middle.",
)
"""Templates of several styles, so that none is preferred."""


class Head(nn.Module):
    """A classifier over image features of unit norm. Kinds of heads derive from it.

    `path` names the tensors that alpha moves, from those of `at_zero_shot` to its own; its others have one value.
    """

    path: ClassVar[tuple[str, ...]]

    changes_features: ClassVar[bool] = False  # whether its `encode` depends on what is trained

    def encode(self, encoder: DualEncoder, pixels: Tensor) -> Tensor:
        """The image features that it reads, (B, E), not normalised."""
        return encoder.encode_image(pixels)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, C), float32 or wider, of features (B, E) of unit norm."""
        raise NotImplementedError

    @classmethod
    def sized(cls, tensors: Mapping[str, Tensor], encoder: DualEncoder, classnames: Sequence[str]) -> Self:
        """A head whose tensors have the sizes of a stored one's and any values. `encoder` and `classnames` are those
        that it was trained with."""
        raise NotImplementedError

    def at_zero_shot(self) -> dict[str, Tensor]:
        """The tensors of `path` at alpha 0; asked for before training."""
        return {name: torch.zeros_like(self.get_buffer(name)) for name in self.path}

    def copied(self) -> Self:
        """A copy that is not trained."""
        return copy.deepcopy(self).requires_grad_(False)

    def prepared(self) -> "Head":
        """What classifies many images at the current weights."""
        return self

    def for_classes(self, classnames: Sequence[str], zero_shot: "LinearHead") -> "Head":
        """What classifies images of other classes, of which `zero_shot` is the zero-shot head."""
        return zero_shot


@final
class LinearHead(Head):
    """A linear classifier over image features of unit norm: logits = features @ weight.T + bias.

    Weight (C, E) and bias (C,) are copied; a bias of None is zero. `classnames` are those of the rows, if known, and
    `templates` the prompts that they stood in.

    Source: the classification head of Wortsman et al., CVPR 2022 (`src/models/zeroshot.py` and `modeling.py` of the
    released wise-ft): the zero-shot head is stored multiplied by the logit scale. Adam's steps do not depend on the
    scale of a gradient, so this fixes how fast training moves the head relative to its start.
    """

    path = ("weight", "bias")

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        classnames: Sequence[str] | None = None,
        templates: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.classnames = None if classnames is None else tuple(classnames)
        self.templates = tuple(templates)
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)

    @classmethod
    def zero_shot(
        cls,
        embeddings: Tensor,
        logit_scale: Tensor | float,
        classnames: Sequence[str] | None = None,
        templates: Sequence[str] = (),
    ) -> Self:
        """The head of class embeddings (C, E) of unit norm: embeddings times the logit scale, with no bias."""
        scale = widen(logit_scale.detach()) if isinstance(logit_scale, Tensor) else logit_scale
        return cls(embeddings * scale, classnames=classnames, templates=templates)

    @classmethod
    def sized(cls, tensors: Mapping[str, Tensor], encoder: DualEncoder, classnames: Sequence[str]) -> Self:
        """See `Head`."""
        return cls(tensors["bias"].new_zeros(tensors["bias"].numel(), encoder.embed_dim))

    def at_zero_shot(self) -> dict[str, Tensor]:
        """Its trained tensors at their start."""
        return {name: p.detach().clone() for name, p in self.named_parameters() if p.requires_grad}

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, C), float32 or wider, of features (B, E) of unit norm."""
        return linear_logits(features, self.weight, self.bias)


def templates(spec: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Returns the prompt templates of a setting, each with exactly one "{}" where the class name goes.

    `spec` is "short" (built in), "imagenet" (OpenAI's 80, through open_clip), a text file with one template per
    line, one template, or a list of them.

    Raises ConfigError if the name is unknown, the file is missing, there is no template, or one has not exactly one
    "{}", and MissingExtraError for "imagenet" without open_clip.
    """
    if spec == "short":
        return SHORT_TEMPLATES
    if spec == "imagenet":
        return _imagenet_templates()
    if isinstance(spec, str | os.PathLike):
        found = [spec] if isinstance(spec, str) and "{}" in spec else _template_file(Path(spec))
    else:
        found = list(spec)
    if not found:
        raise ConfigError(f"templates must hold at least one template. Got none from {spec!r}.")
    for template in found:
        if not isinstance(template, str) or template.count("{}") != 1:
            raise ConfigError(
                f"a template must have exactly one '{{}}', where the class name goes. Got {template!r}."
            )
    return tuple(found)


def normalised(text: str) -> str:
    """A text for comparison: NFKC, case folded, runs of white space replaced by one space, stripped."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def spoken(classname: str) -> str:
    """A class name for prompts: spaces for underscores, runs of white space replaced by one space."""
    return " ".join(classname.replace("_", " ").split())


def name_key(classname: str) -> str:
    """Equal for two spellings of one class name, such as "Bell_Pepper" and "bell  pepper"."""
    return normalised(spoken(classname))


def equal_names(classnames: Sequence[str]) -> list[list[str]]:
    """The groups of two or more names that are equal by `name_key`, in the order of their first."""
    groups: dict[str, list[str]] = {}
    for name in classnames:
        groups.setdefault(name_key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def spellings(group: Sequence[str]) -> str:
    """The distinct names of a group, quoted: "'Cat' and 'cat'"."""
    return " and ".join(repr(name) for name in dict.fromkeys(group))


def prompts(classname: str, templates: Sequence[str]) -> list[str]:
    """The class name in every template; braces in the name are kept."""
    return [template.replace("{}", classname) for template in templates]


@torch.no_grad()
def class_embeddings(
    encoder: DualEncoder,
    classnames: Sequence[str],
    templates: Sequence[str],
    *,
    batch_size: int = 256,
    processes: Processes = ALONE,
) -> Tensor:
    """Computes, for each class, the mean of its prompts' unit embeddings, scaled to unit norm.

        embedding_c = normalise(1/T sum_t normalise(g(template_t with classname_c)))

    They are (C, E), float32 or wider, on the encoder's device. The encoder computes in evaluation mode; equal
    prompts are encoded once, `batch_size` at a time. Processes take turns with the batches, and all receive the
    embeddings. Raises DataError if there is no class name, or some occur twice, and ConfigError if there is no
    template.
    """
    check_classnames(classnames)
    if not templates:
        raise ConfigError("templates must hold at least one template. Got none. Use templates('short').")
    classes_of: dict[str, list[int]] = {}
    for index, name in enumerate(classnames):
        for prompt in prompts(name, templates):
            classes_of.setdefault(prompt, []).append(index)
    sums: Tensor | None = None
    for chunk, found in unit_texts(encoder, list(classes_of), batch_size, processes):
        unit = found.to(device_of(encoder))
        if sums is None:
            sums = unit.new_zeros(len(classnames), unit.shape[1])
        pairs = [(row, c) for row, prompt in enumerate(chunk) for c in classes_of[prompt]]
        rows, classes = torch.tensor(pairs, device=unit.device).unbind(1)
        sums.index_add_(0, classes, unit[rows])
    assert sums is not None
    return F.normalize(sums, dim=-1)


@torch.no_grad()
def unit_texts(
    encoder: DualEncoder, texts: Sequence[str], batch_size: int, processes: Processes = ALONE
) -> Iterator[tuple[Sequence[str], Tensor]]:
    """Yields batches of texts with their unit-norm features, (B, E), in evaluation mode; processes take turns with
    the batches, and all receive the features."""

    def encode(chunk: Sequence[str]) -> Tensor:
        embeddings = encoder.encode_text(encoder.tokenize(list(chunk)).to(device_of(encoder)))
        return F.normalize(widen(embeddings), dim=-1)

    chunks = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    with evaluating(encoder):
        yield from zip(chunks, processes.in_turn(chunks, encode), strict=True)


def check_classnames(classnames: Sequence[str]) -> None:
    """Raises DataError if there is no class name or two are equal by `name_key`."""
    if not classnames:
        raise DataError("classnames must hold at least one name. Got none.")
    if repeated := equal_names(classnames):
        raise DataError(
            f"class names must differ. {len(repeated)} occur more than once: "
            f"{', '.join(map(spellings, repeated[:3]))}. Case, underscores and extra spaces do not count. Join "
            "these classes or give them distinct names."
        )


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Puts every submodule into evaluation mode while the block runs, and restores each one's mode."""
    training = [submodule for submodule in module.modules() if submodule.training]
    try:
        for submodule in training:
            submodule.training = False
        yield
    finally:
        for submodule in training:
            submodule.training = True


def device_of(encoder: nn.Module) -> torch.device:
    """The device of the encoder's parameters; the CPU if it has none."""
    return next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))


@final
class Classifier(nn.Module):
    """An encoder and a copy of the head that a method trains; without a head the zero-shot head classifies."""

    def __init__(self, encoder: DualEncoder, head: Head | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = None if head is None else head.copied()


def _imagenet_templates() -> tuple[str, ...]:
    try:
        from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES
    except ImportError as error:
        raise MissingExtraError(
            "templates 'imagenet' needs open_clip, which is not installed. Run pip install "
            "'radapter[open-clip]', or use templates 'short'."
        ) from error
    return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)


def _template_file(path: Path) -> list[str]:
    if not path.is_file():
        known = did_you_mean(str(path), ("short", "imagenet"))
        raise ConfigError(
            f"templates must be 'short', 'imagenet', a file or a list. '{path}' is neither name nor file.{known}"
        )
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"templates must be a UTF-8 text file. '{path}': {error}. Save it as UTF-8."
        ) from error
    return [line.strip() for line in lines if line.strip()]
