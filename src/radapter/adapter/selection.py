"""The sites that a configuration asks for: the found ones, or the user's, without the excluded ones.

Every conflict of a configuration with a model is found here, before the model is changed: a pattern that matches
nothing, a module that cannot carry an adapter or would ignore it, a rank above the width.
"""

import copy
import re
from collections.abc import Callable, Iterable

from peft.tuners.tuners_utils import BaseTunerLayer, _maybe_include_all_linear_layers
from torch import nn

from radapter.adapter.config import RAdapterConfig
from radapter.adapter.sites import (
    Site,
    Tower,
    base_of,
    candidate_sites,
    inert_reason,
    numbered_block,
    output_width,
    present_towers,
)
from radapter.errors import ConfigError, SiteError, did_you_mean


def select_sites(module: nn.Module, config: RAdapterConfig) -> list[Site]:
    """The sites that `config` adapts in `module`, at least one.

    Args:
        module: The module that PEFT wraps, adapted already or not.
        config: Its patterns, layers, towers and rank are read.

    Raises:
        SiteError: A pattern or layer number matches nothing, a module cannot carry an adapter, or a norm follows it.
        ConfigError: r exceeds the narrowest width.
    """
    names = [name for name, _ in module.named_modules()]
    _check_modules_to_save(names, config.modules_to_save)
    candidates = _candidates(module, config)
    candidates = _without_saved(candidates, config.modules_to_save)
    candidates = _without_excluded(candidates, config.exclude_modules)
    candidates = _in_layers(candidates, config.layers_to_transform)
    for site, obstacle in candidates:
        if obstacle:
            raise SiteError(obstacle)
        _check_carries(module, site.name)
    sites = [site for site, _ in candidates]
    if not sites:
        raise SiteError(
            f"exclude_modules, layers_to_transform and modules_to_save leave no adapter site in "
            f"{type(module).__name__!r}. Narrow them."
        )
    _check_rank(config.r, sites)
    return sites


def named_sites(module: nn.Module, names: Iterable[str], towers: tuple[str, ...]) -> list[Site]:
    """Sites at the modules `names` of `module`: of a known family, or made from the module alone.

    Modules of towers other than `towers` are left out.
    """
    return [site for site, _ in _named_candidates(module, names, towers)]


def _check_carries(module: nn.Module, name: str) -> None:
    """Raises SiteError if the submodule `name` cannot carry an adapter, or would ignore it."""
    target = module.get_submodule(name)
    reason = inert_reason(module, name)
    if reason:
        raise SiteError(f"an adapter at {name!r} would do nothing. {reason[0].upper()}{reason[1:]}.")
    if isinstance(target, BaseTunerLayer) and not _is_ours(target):
        raise SiteError(
            f"{name!r} carries an adapter of another kind, {type(target).__module__}.{type(target).__name__}. "
            "Merge or unload it first."
        )
    if output_width(base_of(target)) is None:
        raise SiteError(
            f"{name!r} must be an nn.Linear or nn.MultiheadAttention with a floating-point weight. "
            f"Got {type(base_of(target)).__name__}. Leave it out of target_modules."
        )


def _candidates(module: nn.Module, config: RAdapterConfig) -> list[tuple[Site, str]]:
    if config.target_modules is None:
        return candidate_sites(module, config.towers)
    patterns = config.target_modules
    if isinstance(patterns, str):
        # "all-linear" is PEFT's shorthand, expanded on a copy: the model and the configuration are not touched yet
        expanded = _maybe_include_all_linear_layers(copy.copy(config), module).target_modules
        patterns = expanded if isinstance(expanded, str) else sorted(expanded)
    # what lies inside an adapted module is the adapter's own
    inner = tuple(f"{name}." for name, part in module.named_modules() if isinstance(part, BaseTunerLayer))
    names = [name for name, _ in module.named_modules() if name and not name.startswith(inner)]
    matched = _matched("target_modules", patterns, names, of="module")
    return _named_candidates(module, matched, config.towers)


def _named_candidates(
    module: nn.Module, names: Iterable[str], towers: tuple[str, ...]
) -> list[tuple[Site, str]]:
    try:
        known = {site.name: (site, obstacle) for site, obstacle in candidate_sites(module)}
    except SiteError:
        known = {}  # an unknown family, which is what target_modules is for
    roots = [(name, tower) for name, _, tower in present_towers(module)]
    candidates = []
    for name in names:
        site, obstacle = known.get(name) or (_site_from_module(module, name, roots, towers), "")
        if site.tower in towers:
            candidates.append((site, obstacle))
    if not candidates:
        raise SiteError(
            f"target_modules matches no module of the towers {towers} in {type(module).__name__!r}."
        )
    return candidates


def _site_from_module(
    module: nn.Module, name: str, roots: list[tuple[str, Tower]], towers: tuple[str, ...]
) -> Site:
    _check_carries(module, name)
    target = base_of(module.get_submodule(name))
    width = output_width(target)
    assert width is not None
    inside = [tower for root, tower in roots if not root or name == root or name.startswith(f"{root}.")]
    tower: Tower = inside[0] if inside else ("text" if towers == ("text",) else "image")
    axis = 1 if isinstance(target, nn.MultiheadAttention) and not target.batch_first else 0
    return Site(name, tower, "other", width, axis, numbered_block(name))


def _without_excluded(
    candidates: list[tuple[Site, str]], patterns: list[str] | str | None
) -> list[tuple[Site, str]]:
    if patterns is None:
        return candidates
    excluded = set(_matched("exclude_modules", patterns, [site.name for site, _ in candidates], of="site"))
    return [candidate for candidate in candidates if candidate[0].name not in excluded]


def _without_saved(candidates: list[tuple[Site, str]], saved: list[str] | None) -> list[tuple[Site, str]]:
    if not saved:
        return candidates
    inside = [re.compile(rf"(^|.*\.){name}($|\..*)") for name in saved]
    return [
        candidate for candidate in candidates if not any(part.match(candidate[0].name) for part in inside)
    ]


def _in_layers(candidates: list[tuple[Site, str]], layers: list[int] | int | None) -> list[tuple[Site, str]]:
    if layers is None:
        return candidates
    wanted = [layers] if isinstance(layers, int) else layers
    present = sorted({site.block for site, _ in candidates if site.block is not None})
    for layer in wanted:
        if layer not in present:
            raise SiteError(f"layers_to_transform must name blocks among {present}. Got {layer}.")
    return [candidate for candidate in candidates if candidate[0].block in wanted]


def _check_modules_to_save(names: list[str], saved: list[str] | None) -> None:
    for wanted in saved or ():
        if not any(name.endswith(wanted) for name in names if name):
            raise SiteError(
                f"modules_to_save must end a module's name. Got {wanted!r}.{did_you_mean(wanted, names)}"
            )


def _check_rank(rank: int | None, sites: list[Site]) -> None:
    narrowest = min(site.width for site in sites)
    if rank is not None and rank > narrowest:
        raise ConfigError(
            f"r must be None or an int in [1, {narrowest}], the narrowest adapted tower's width. Got {rank}. "
            "Use r=None for the full matrix."
        )


def _matched(option: str, patterns: list[str] | str, names: list[str], *, of: str) -> list[str]:
    each = [patterns] if isinstance(patterns, str) else patterns
    found: set[str] = set()
    for pattern in each:
        matches = _matcher(pattern, regular=isinstance(patterns, str))
        hits = [name for name in names if matches(name)]
        if not hits:
            raise SiteError(
                f"{option} must match at least one {of}. {pattern!r} matches none of {len(names)}."
                f"{did_you_mean(pattern, names)}"
            )
        found.update(hits)
    return [name for name in names if name in found]


def _matcher(pattern: str, *, regular: bool) -> Callable[[str], bool]:
    if regular:
        compiled = re.compile(pattern)
        return lambda name: compiled.fullmatch(name) is not None
    return lambda name: name == pattern or name.endswith(f".{pattern}")


def _is_ours(layer: BaseTunerLayer) -> bool:
    from radapter.adapter.layer import RAdapterLayer  # layer.py imports sites.py

    return isinstance(layer, RAdapterLayer)
