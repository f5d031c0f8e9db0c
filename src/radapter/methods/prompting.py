"""Learned vectors in prompts: tokens with places for them, and the text tower that reads them.

A negative id is a place: -1 for the first vector of a context, -2 for the second, and so on. The text tower's
embedding of tokens gives the vectors there. Everything else of the tower runs as it is, whatever library it comes
from. Towers that pool at the largest id never pool at a place.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NamedTuple, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.errors import ConfigError, ModelError
from radapter.losses.batch import widen
from radapter.methods.method import EncodedOnce, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import device_of, spoken

Position = Literal["end", "middle", "front"]
"""Where the class name stands: after the vectors, between two halves of them, or before them."""
WORDS = "a photo of a"  # whose embeddings start learned vectors, in the releases
STD = 0.02  # of vectors that start at random, in CoOp's release


class ContextSettings(EncodedOnce):
    """What users set of a learned context."""

    context: Annotated[int, Field(ge=1)] | str = Field(
        WORDS, description="words whose embeddings start the learned vectors, or a number of random vectors"
    )


@final
class Borrowed:
    """A module that belongs to another one: no part of its holder, and not copied with it."""

    def __init__(self, encoder: DualEncoder) -> None:
        self.encoder = encoder

    def __deepcopy__(self, memo: dict[int, Any]) -> "Borrowed":
        return Borrowed(memo.get(id(self.encoder), self.encoder))


class Prompts(NamedTuple):
    """Texts with places for vectors."""

    tokens: Tensor  # (C, L), with -1 to -M at the places
    first: int  # the position of the first place

    @classmethod
    def after_words(
        cls, encoder: DualEncoder, classnames: Sequence[str], vectors: int, words: str
    ) -> "Prompts":
        """Prompts "WORDS NAME." whose first words are places; more vectors than words take the place of all.

        Raises ConfigError as `prompt_tokens`.
        """
        ids, begin, end = _parts(encoder, words)
        count = len(ids) - begin - end
        kept = [] if vectors > count else ids[begin + vectors : len(ids) - end]
        return cls(prompt_tokens(encoder, classnames, vectors, kept=kept), begin)


def token_embedding(encoder: DualEncoder) -> nn.Embedding:
    """The text tower's embedding of tokens. Raises ModelError if there is none, or more than one."""
    parts = [part for part in encoder.text_tower() if isinstance(part, nn.Module)]
    found = [
        module
        for part in parts
        for module in part.modules()
        if isinstance(module, nn.Embedding) and module.num_embeddings == encoder.towers.vocab_size
    ]
    if len(found) != 1:
        raise ModelError(
            f"learned prompts need a text tower with one embedding of tokens. '{encoder.name}' has {len(found)}. "
            "Use another method."
        )
    return found[0]


def starting_context(encoder: DualEncoder, context: int | str) -> Tensor:
    """The vectors (M, D) before training: the embeddings of words, or a number of random ones."""
    embedding = token_embedding(encoder)
    if isinstance(context, int):
        return torch.empty(context, embedding.embedding_dim).normal_(std=STD).to(embedding.weight)
    ids, begin, end = _parts(encoder, context)
    return embedding.weight.detach()[ids[begin : len(ids) - end]].clone()


def check_context(encoder: DualEncoder, context: int | str) -> None:
    """Raises ConfigError if the context leaves no place for a class name, and ModelError as `token_embedding`."""
    vectors = len(starting_context(encoder, context))
    _check_length(encoder, "x", vectors)


def check_settings(encoder: DualEncoder, settings: MethodSettings) -> None:
    """Raises as `check_context`."""
    assert isinstance(settings, ContextSettings)
    check_context(encoder, settings.context)


def prompt_tokens(
    encoder: DualEncoder,
    classnames: Sequence[str],
    vectors: int,
    position: Position = "end",
    *,
    kept: Sequence[int] = (),
) -> Tensor:
    """Token ids (C, L) of "CONTEXT NAME.", with -1 to -M at the places of M vectors; underscores become spaces. The
    ids `kept` follow the places as they are.

    Raises ConfigError if a name does not fit the text tower beside the vectors.
    """
    padding = int(encoder.tokenize([""])[0, -1])
    rows = torch.full((len(classnames), encoder.context_length), padding)
    places = [*(-1 - number for number in range(vectors)), *kept]
    vectors = len(places)
    for row, classname in zip(rows, map(spoken, classnames), strict=True):
        ids, begin, end = _check_length(encoder, classname, vectors)
        name_end = len(_parts(encoder, classname)[0]) - end
        name, rest = ids[begin:name_end], ids[name_end : len(ids) - end]
        before = {"end": vectors, "middle": vectors // 2, "front": 0}[position]
        body = [*places[:before], *name, *places[before:], *rest]
        whole = [*ids[:begin], *body, *ids[len(ids) - end :]]
        row[: len(whole)] = torch.tensor(whole)
    return rows


def prompt_features(encoder: DualEncoder, tokens: Tensor, context: Tensor) -> Tensor:
    """Text features (N, E) of unit norm, float32 or wider, of ids (N, L) with places for the vectors of `context`,
    (M, D), or (N, M, D) for vectors of each row's own."""
    with _reads(token_embedding(encoder), context):
        return F.normalize(widen(encoder.encode_text(tokens.to(device_of(encoder)))), dim=-1)


@contextmanager
def _reads(embedding: nn.Embedding, context: Tensor) -> Iterator[None]:
    """A block in which the embedding gives the vectors of `context` at places."""
    asked: list[Tensor] = []

    def without_places(module: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        asked.append(arguments[0])
        return (arguments[0].clamp(min=0),)

    def with_vectors(module: nn.Module, arguments: tuple[Tensor], embedded: Tensor) -> Tensor:
        ids = asked.pop()
        numbers = (-ids - 1).clamp(min=0)[..., None].expand_as(embedded)  # (N, L, D)
        of_rows = context.expand(len(ids), *context.shape[-2:]).to(embedded)  # (N, M, D)
        return torch.where(ids[..., None] < 0, of_rows.gather(1, numbers), embedded)

    hooks = (
        embedding.register_forward_pre_hook(without_places),
        embedding.register_forward_hook(with_vectors),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_length(encoder: DualEncoder, classname: str, vectors: int) -> tuple[list[int], int, int]:
    """The `_parts` of "NAME." if they fit beside the vectors."""
    (count,) = encoder.token_counts([f"{classname}."])
    if count + vectors > encoder.context_length:
        raise ConfigError(
            f"a prompt must have at most {encoder.context_length} tokens, the context length of '{encoder.name}'. "
            f"'{classname}' with {vectors} learned vectors has {count + vectors}. Give fewer in method.context, or "
            "shorten the name."
        )
    return _parts(encoder, f"{classname}.")


def _parts(encoder: DualEncoder, text: str) -> tuple[list[int], int, int]:
    """A text's ids without padding, and how many of them stand before and after its words."""
    row, empty = encoder.tokenize([text, ""]).tolist()
    counts = encoder.token_counts([text, ""])
    ids, around = row[: counts[0]], empty[: counts[1]]
    begin = next(
        (place for place, (one, other) in enumerate(zip(ids, around, strict=False)) if one != other), 0
    )
    return ids, begin, len(around) - begin
