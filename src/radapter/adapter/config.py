"""The configuration that PEFT saves as `adapter_config.json`.

The file holds what a user sets. The learned scalar s and the matrices live in the layers; alpha lives here, since
it belongs to the adapter and is saved with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from peft import PeftConfig
from peft.utils import PeftType

from radapter.errors import ConfigError, did_you_mean

TOWERS = ("image", "text")
DropKind = Literal["adapter", "dropout", "drop-path"]
DROP_KINDS: tuple[DropKind, ...] = get_args(DropKind)
SiteRule = Literal["outputs", "linears"]
SITE_RULES: tuple[SiteRule, ...] = get_args(SiteRule)


@dataclass
class RAdapterConfig(PeftConfig):  # type: ignore[misc]
    """Configuration of an R-Adapter for `peft.get_peft_model`.

    Source: Kim et al., ECCV 2024. `adapter_drop` is p, `alpha` the re-scaling coefficient, `init_scale` the first
    value of the learned scalar s.

    Args:
        r: Rank of the adapter matrix, at most the narrowest adapted tower's width; None is the full matrix.
        adapter_drop: Probability in [0, 1) that a training sample skips the adapter branch of a site.
        alpha: In [0, 1]; multiplies the branch in evaluation and when merging, never in training. 0 is the base
            model, 1 the fine-tuned one; `radapter.set_alpha` changes it.
        init_scale: First value of s, finite and not 0 (with s = 0 and a zero matrix nothing would ever train).
        init_weights: True starts as the base model, bitwise; False draws random adapters, for tests.
        target_modules: None finds the sites of the known families. Names, endings of names, or a regular expression,
            as in PEFT, select others: `nn.Linear` or `nn.MultiheadAttention`.
        exclude_modules: Sites to leave out, matched as `target_modules`.
        layers_to_transform: Numbers of the blocks to adapt, in every tower; None adapts all.
        modules_to_save: Further modules to train and save, by their name's ending (a head).
        towers: Which of "image" and "text" to adapt.
        drop_kind: What `adapter_drop` drops in training, the rest divided by 1 - p: "adapter" a sample's adapter
            branch; "dropout" elements of it; "drop-path" a sample's whole residual branch, pre-trained part too.
        sites: Where adapters are: "outputs", after the attention and the FFN of every block, as in the paper, or
            "linears", after every Linear of the blocks, which excludes `target_modules` and other kinds of dropping.
        r_hidden: Rank of the adapters after the FFN's hidden layer, for "linears"; None is r, 0 leaves them out.

    Raises:
        ConfigError: A value is out of range.
    """

    r: int | None = None
    adapter_drop: float = 0.2
    alpha: float = 1.0
    init_scale: float = 0.1
    init_weights: bool = True
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    modules_to_save: list[str] | None = None
    towers: tuple[str, ...] = TOWERS
    drop_kind: DropKind = "adapter"
    sites: SiteRule = "outputs"
    r_hidden: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # a member since tuner.py extended PEFT's enumeration, which importing radapter.adapter does
        self.peft_type = PeftType("RADAPTER")
        if self.r is not None and not _is_int(self.r, at_least=1):
            raise ConfigError(f"r must be None, for the full matrix, or an int >= 1. Got {self.r!r}.")
        if not _is_number(self.adapter_drop) or not 0.0 <= self.adapter_drop < 1.0:
            raise ConfigError(f"adapter_drop must be in [0, 1). Got {self.adapter_drop!r}. 0 turns it off.")
        if (kind := self.drop_kind) not in DROP_KINDS:
            hint = did_you_mean(str(kind), DROP_KINDS)
            raise ConfigError(f"drop_kind must be one of {', '.join(DROP_KINDS)}. Got {kind!r}.{hint}")
        self._check_sites()
        check_alpha(self.alpha)
        if not _is_number(self.init_scale) or not math.isfinite(self.init_scale) or self.init_scale == 0:
            raise ConfigError(f"init_scale must be finite and not 0. Got {self.init_scale!r}. Use 0.1.")
        self.target_modules = _patterns("target_modules", self.target_modules)
        self.exclude_modules = _patterns("exclude_modules", self.exclude_modules)
        if isinstance(self.modules_to_save, str):
            raise ConfigError(f"modules_to_save must be a list of names. Got {self.modules_to_save!r}.")
        self.towers = check_towers(self.towers)
        if self.layers_to_transform is not None:
            self.layers_to_transform = _layers(self.layers_to_transform)

    def rank_at(self, kind: str) -> int | None:
        """The rank at a site of this kind, None for the full matrix."""
        return self.r_hidden if kind == "hidden" and self.r_hidden is not None else self.r

    def _check_sites(self) -> None:
        if self.sites not in SITE_RULES:
            hint = did_you_mean(str(self.sites), SITE_RULES)
            raise ConfigError(f"sites must be one of {', '.join(SITE_RULES)}. Got {self.sites!r}.{hint}")
        if self.r_hidden is not None and not _is_int(self.r_hidden, at_least=0):
            raise ConfigError(
                f"r_hidden must be None, for r, or an int >= 0. Got {self.r_hidden!r}. 0 leaves these out."
            )
        if self.sites == "outputs" and self.r_hidden is not None:
            raise ConfigError(f"r_hidden must be None unless sites is 'linears'. Got {self.r_hidden!r}.")
        if self.sites == "linears" and self.target_modules is not None:
            raise ConfigError(
                f"target_modules must be None with sites 'linears'. Got {self.target_modules!r}."
            )
        if self.sites == "linears" and self.drop_kind != "adapter":
            raise ConfigError(f"drop_kind must be 'adapter' with sites 'linears'. Got {self.drop_kind!r}.")


def check_alpha(alpha: object) -> float:
    """`alpha` as a float. Raises ConfigError if it is outside [0, 1]."""
    if not _is_number(alpha) or not 0.0 <= alpha <= 1.0:  # type: ignore[operator]
        raise ConfigError(f"alpha must be in [0, 1]. Got {alpha!r}. 0 is the base model, 1 the tuned one.")
    return float(alpha)  # type: ignore[arg-type]


def check_towers(towers: Sequence[str]) -> tuple[str, ...]:
    """`towers` as a tuple. Raises ConfigError if it is empty, or holds something else than "image" and "text"."""
    names = (towers,) if isinstance(towers, str) else tuple(towers)
    for name in names:
        if name not in TOWERS:
            raise ConfigError(f"towers must be in {TOWERS}. Got {name!r}.{did_you_mean(str(name), TOWERS)}")
    if not names:
        raise ConfigError(f"towers must name at least one of {TOWERS}. Got {towers!r}.")
    return names


def _patterns(name: str, patterns: Any) -> list[str] | str | None:
    if patterns is None or isinstance(patterns, str):
        return patterns
    names = sorted(patterns) if isinstance(patterns, set | frozenset) else list(patterns)
    if not names:
        raise ConfigError(f"{name} must be None, a regular expression or names. Got {patterns!r}. Use None.")
    return names


def _layers(layers: Any) -> list[int]:
    numbers = [layers] if isinstance(layers, int) else list(layers)
    if not numbers or not all(_is_int(number, at_least=0) for number in numbers):
        raise ConfigError(f"layers_to_transform must hold ints >= 0. Got {layers!r}. None adapts all blocks.")
    return numbers


def _is_int(value: object, *, at_least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
