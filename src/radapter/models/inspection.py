"""The structure of a model, and what an R-Adapter would train and merge, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from radapter.adapter import RAdapterConfig, Site
from radapter.adapter.config import TOWERS
from radapter.adapter.selection import select_sites
from radapter.adapter.sites import base_of
from radapter.errors import SiteError
from radapter.models.encoder import DualEncoder
from radapter.models.merging import base_parameters


@dataclass(frozen=True)
class TowerFacts:
    """One tower, "image" or "text"."""

    tower: str
    blocks: int  # residual blocks, each with an attention and an FFN site
    width: int  # D of the sites, the widest if they differ
    activation: str  # the FFNs', by class name, such as "GELU" or "QuickGELU"
    sites: int
    parameters: int  # embeddings and projection included
    trained_parameters: int  # of the adapters


@dataclass(frozen=True)
class Inspection:
    """A model and its possible adapters."""

    name: str
    library: str
    dtype: str
    embed_dim: int
    image_size: int
    context_length: int
    parameters: int
    rank: int | None  # None is full
    trained_parameters: int
    towers: tuple[TowerFacts, ...]
    sites: tuple[Site, ...]  # in the model's order
    merged_into: tuple[str, ...]  # the names of the tensors that merging changes


def inspect(encoder: DualEncoder, *, r: int | None = None, towers: Sequence[str] = TOWERS) -> Inspection:
    """Describes what an R-Adapter of rank `r`, None for full rank, would train in `towers`, and where it merges.

    Raises:
        SiteError: R-Adapter does not support the model: a tower has no site, or none with an exact merge.
        ConfigError: `r` is not in [1, narrowest width].
    """
    try:
        sites = select_sites(encoder.module, RAdapterConfig(r=r, towers=tuple(towers)))
    except SiteError as error:
        raise SiteError(f"R-Adapter does not support '{encoder.name}' as it is: {error}") from error
    parts = {"image": encoder.image_tower(), "text": encoder.text_tower()}
    facts = []
    for tower in dict.fromkeys(site.tower for site in sites):
        own = [site for site in sites if site.tower == tower]
        facts.append(
            TowerFacts(
                tower=tower,
                blocks=sum(site.kind == "attention" for site in own),
                width=max(site.width for site in own),
                activation=_activation(encoder.module, own),
                sites=len(own),
                parameters=sum(_size(part) for part in parts[tower]),
                # A (D x D), or B and C (D x r, r x D), and the scalar s
                trained_parameters=sum(site.width * (site.width if r is None else 2 * r) + 1 for site in own),
            )
        )
    dtype = next(p.dtype for p in encoder.module.parameters() if p.is_floating_point())
    sizes = ("embed_dim", "image_size", "context_length")
    return Inspection(
        **{name: getattr(encoder, name) for name in ("name", "library", *sizes)},
        dtype=str(dtype).removeprefix("torch."),
        parameters=_size(encoder.module),
        rank=r,
        trained_parameters=sum(tower.trained_parameters for tower in facts),
        towers=tuple(facts),
        sites=tuple(sites),
        merged_into=tuple(name for site in sites for name in _merged_tensors(encoder.module, site)),
    )


def _activation(module: nn.Module, sites: Sequence[Site]) -> str:
    ffns = [module.get_submodule(site.name.rpartition(".")[0]) for site in sites if site.kind == "ffn"]
    found = {}
    for part in (part for ffn in ffns for part in ffn.children()):
        if not isinstance(part, nn.Dropout | nn.Identity) and not any(True for _ in part.parameters()):
            name = type(part).__name__.removesuffix("Activation")
            found[f"{name} (tanh)" if getattr(part, "approximate", "none") == "tanh" else name] = True
    return ", ".join(found)


def _merged_tensors(module: nn.Module, site: Site) -> list[str]:
    """The weight and bias that the site's adapter is merged into, by name."""
    output, prefix = base_of(module.get_submodule(site.name)), site.name
    if isinstance(output, nn.MultiheadAttention):  # wrapped whole, its output matrix inside
        output, prefix = output.out_proj, f"{prefix}.out_proj"
    return [f"{prefix}.{kind}" for kind in ("weight", "bias") if getattr(output, kind) is not None]


def _size(part: nn.Module | nn.Parameter) -> int:
    if isinstance(part, nn.Parameter):
        return part.numel()
    return sum(parameter.numel() for _, parameter in base_parameters(part))
