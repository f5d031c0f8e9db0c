"""The sites that a configuration asks for: the found ones, or the user's, without the excluded ones.

Every conflict of a configuration with a model is found here, before the model is changed: a pattern that matches
nothing, a module that cannot carry an adapter or would ignore it, a rank above the width.
"""

import copy
import re
from collections.abc import Iterable

from peft.tuners.tuners_utils import BaseTunerLayer, _maybe_include_all_linear_layers
from torch import nn

from radapter.adapter import sites as rules
from radapter.adapter.config import RAdapterConfig, SiteRule
from radapter.adapter.layer import RAdapterLayer
from radapter.adapter.sites import Site, Tower, base_of
from radapter.errors import ConfigError, SiteError, did_you_mean


def select_sites(module: nn.Module, config: RAdapterConfig) -> list[Site]:
    """The sites that `config` adapts in `module`, adapted already or not; at least one.

    Raises:
        SiteError: A pattern or layer number matches nothing, a module cannot carry an adapter, or a norm follows it.
        ConfigError: r exceeds the narrowest width.
    """
    saved = config.modules_to_save or ()
    names = [name for name, _ in module.named_modules() if name]
    for wanted in saved:
        if not any(name.endswith(wanted) for name in names):
            hint = did_you_mean(wanted, names)
            raise SiteError(f"modules_to_save must end a module's name. Got {wanted!r}.{hint}")
    inside_saved = [re.compile(rf"(^|.*\.){name}($|\..*)") for name in saved]
    sites = [
        site
        for site in _candidates(module, config)
        if not any(part.match(site.name) for part in inside_saved)
    ]
    if config.exclude_modules is not None:
        patterns = config.exclude_modules
        excluded = _matched("exclude_modules", patterns, [site.name for site in sites], of="site")
        sites = [site for site in sites if site.name not in excluded]
    sites = _in_layers(sites, config.layers_to_transform)
    for site in sites:
        if site.obstacle:
            raise SiteError(site.obstacle)
        _check_carries(module, site)
    if not sites:
        raise SiteError(
            "exclude_modules, layers_to_transform and modules_to_save leave no adapter site. Narrow them."
        )
    for option, of in (("r", False), ("r_hidden", True)):
        widths = [site.width for site in sites if (site.kind == "hidden") == of]
        rank = config.rank_at("hidden" if of else "other")
        if widths and rank is not None and rank > min(widths):
            raise ConfigError(
                f"{option} must be None or an int in [1, {min(widths)}], the narrowest adapted tower's width. "
                f"Got {rank}. Use {option}=None for the full matrix."
            )
    return sites


def named_sites(
    module: nn.Module, names: Iterable[str], towers: tuple[str, ...], rule: SiteRule = "outputs"
) -> list[Site]:
    """Sites at the modules `names` of these towers: of a known family, or derived from the module alone."""
    find = rules.candidate_sites if rule == "outputs" else rules.linear_sites
    try:
        known = {site.name: site for site in find(module)}
    except SiteError:
        known = {}  # an unknown family, which is what target_modules is for
    roots = [(name, tower) for name, _, tower in rules.present_towers(module)]
    sites = [known.get(name) or _own_site(module, name, roots, towers) for name in names]
    sites = [site for site in sites if site.tower in towers]
    if not sites:
        raise SiteError(f"target_modules matches no module of {towers} in {type(module).__name__!r}.")
    return sites


def _check_carries(module: nn.Module, site: Site) -> None:
    """Raises SiteError if the module of a site cannot carry an adapter, or would ignore it."""
    name = site.name
    target = module.get_submodule(name)
    if reason := rules.inert_reason(module, name):
        raise SiteError(f"an adapter at {name!r} would do nothing. {reason[0].upper()}{reason[1:]}.")
    if isinstance(target, BaseTunerLayer) and not isinstance(target, RAdapterLayer):
        kind = f"{type(target).__module__}.{type(target).__name__}"
        raise SiteError(f"{name!r} carries an adapter of another kind, {kind}. Merge or unload it first.")
    if rules.output_width(base_of(target)) is None and not site.parts:
        raise SiteError(
            f"{name!r} must be an nn.Linear or nn.MultiheadAttention with a floating-point weight. "
            f"Got {type(base_of(target)).__name__}. Leave it out of target_modules."
        )


def _candidates(module: nn.Module, config: RAdapterConfig) -> list[Site]:
    patterns = config.target_modules
    if config.sites == "linears":
        every = rules.linear_sites(module, config.towers)
        return [site for site in every if site.kind != "hidden" or config.r_hidden != 0]
    if patterns is None:
        return rules.candidate_sites(module, config.towers)
    if isinstance(patterns, str):
        # "all-linear" is PEFT's shorthand, expanded on a copy: the model and the configuration are not changed yet
        expanded = _maybe_include_all_linear_layers(copy.copy(config), module).target_modules
        patterns = expanded if isinstance(expanded, str) else sorted(expanded)
    # modules inside an adapted one are the adapter's own
    inner = tuple(f"{name}." for name, part in module.named_modules() if isinstance(part, BaseTunerLayer))
    names = [name for name, _ in module.named_modules() if name and not name.startswith(inner)]
    return named_sites(module, _matched("target_modules", patterns, names, of="module"), config.towers)


def _own_site(module: nn.Module, name: str, roots: list[tuple[str, Tower]], towers: tuple[str, ...]) -> Site:
    target = base_of(module.get_submodule(name))
    inside = [tower for root, tower in roots if not root or name == root or name.startswith(f"{root}.")]
    tower: Tower = inside[0] if inside else ("text" if towers == ("text",) else "image")
    width = rules.output_width(target) or 0
    site = Site(name, tower, "other", width, rules.sample_axis(target), rules.numbered_block(name))
    _check_carries(module, site)
    return site


def _in_layers(sites: list[Site], layers: list[int] | int | None) -> list[Site]:
    if layers is None:
        return sites
    wanted = [layers] if isinstance(layers, int) else layers
    present = sorted({site.block for site in sites if site.block is not None})
    for layer in wanted:
        if layer not in present:
            raise SiteError(f"layers_to_transform must name blocks among {present}. Got {layer}.")
    return [site for site in sites if site.block in wanted]


def _matched(option: str, patterns: list[str] | str, names: list[str], *, of: str) -> list[str]:
    """The names that a regular expression matches wholly, or that equal or end with one of a list of names."""
    is_regular = isinstance(patterns, str)
    found: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        compiled = re.compile(pattern if is_regular else rf"(.*\.)?{re.escape(pattern)}")
        hits = {name for name in names if compiled.fullmatch(name)}
        if not hits:
            none = f"{pattern!r} matches none of {len(names)}.{did_you_mean(pattern, names)}"
            raise SiteError(f"{option} must match at least one {of}. {none}")
        found |= hits
    return [name for name in names if name in found]
