"""R-Adapter: linear adapters in both towers, three self-ensembles, MPM-NCE; and its variant with a trained head.

Source: Kim et al., "Efficient and versatile robust fine-tuning of zero-shot models", ECCV 2024. The variant is
ours: adapters only in the image tower, under a head that starts as the zero-shot head, interpolated by the same
alpha. The head repairs class names that the text tower understands badly.

`PARTS` changes one part at a time: the rows of the paper's ablation. `r-adapter:cross-entropy` is the exception:
cross-entropy needs fixed class weights, so it also freezes the text tower, and its head averages all templates
instead of one drawn caption per sample. Compare it with `r-adapter:image-tower`, which only freezes the text tower.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from peft import get_peft_model
from pydantic import Field

from radapter.adapter import RAdapterConfig
from radapter.adapter.config import TOWERS, DropKind
from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner, HeadLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


class RAdapterSettings(MethodSettings):
    """What users set of R-Adapter; the defaults are those of `RAdapterConfig`."""

    r: Annotated[int, Field(ge=1)] | None = Field(
        RAdapterConfig.r, description="rank; null is the full matrix"
    )
    drop: float = Field(
        RAdapterConfig.adapter_drop, ge=0, lt=1, description="probability of dropping an adapter for a sample"
    )
    drop_kind: DropKind = Field(
        RAdapterConfig.drop_kind,
        description=(
            "what is dropped: a sample's adapter, elements of it, or a sample's whole residual branch"
        ),
    )
    init_scale: float = Field(
        RAdapterConfig.init_scale, gt=0, description="initial value of the learned scale s"
    )
    layers_to_transform: list[int] | None = Field(
        None, description="indices of the blocks with adapters; null is all"
    )
    towers: list[Literal["image", "text"]] | None = Field(
        None, description="towers with adapters; null is both, and the image tower in segmentation"
    )

    def adapter(self) -> RAdapterConfig:
        """The configuration of its adapters for PEFT."""
        return RAdapterConfig(
            r=self.r,
            adapter_drop=self.drop,
            drop_kind=self.drop_kind,
            init_scale=self.init_scale,
            layers_to_transform=self.layers_to_transform,
            towers=TOWERS if self.towers is None else tuple(self.towers),
        )


# Ours: the adapters' 5e-4 times CLIP's logit scale of 100; a stored head is 100 times as long as a unit-norm one.
HEAD_RATE = 0.05


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains one adapter after each attention and FFN of the settings' towers. `head` is ignored."""
    assert isinstance(settings, RAdapterSettings)
    encoder.requires_grad_(False)
    adapters = get_peft_model(encoder.module, settings.adapter())
    return Built(ContrastiveLearner(encoder, loss), adapters)


def build_under_head(
    encoder: DualEncoder,
    *,
    head: LinearHead,
    loss: FeatureLoss,
    settings: MethodSettings,
    train_head: bool = True,
) -> Built:
    """Trains the adapters of the image tower and, unless `train_head` is False, the head."""
    adapters = build(encoder, head=head, loss=loss, settings=settings).adapters
    return Built(HeadLearner(encoder, head, loss, train_head=train_head), adapters)


METHOD = Method(
    name="r-adapter",
    summary="linear adapters in both towers, MPM-NCE",
    source="Kim et al. 2024",
    losses=("mpm-nce", "single-positive", "clip", "siglip"),
    learning_rate=5e-4,
    rate_source="R-Adapter's release",
    build=build,
    settings_type=RAdapterSettings,
)

WITH_HEAD = replace(
    METHOD,
    name="r-adapter+head",
    runs="r-adapter+head",
    summary="linear adapters in the image tower and head, cross-entropy",
    source="Kim et al. 2024 + head",
    losses=("cross-entropy",),
    head_learning_rate=HEAD_RATE,
    build=build_under_head,
    fixed={"towers": ["image"]},
    towers=("image",),
)


ANCHORED = replace(
    METHOD,
    name="r-adapter:anchored",
    runs="r-adapter:anchored",
    summary="as r-adapter, held on a broad vocabulary",
    source="Kim et al. 2024 + anchor",
    fixed_recipe={"anchor": 1.0},
)
"""Ours: `loss.anchor` with weight 1."""


def _changed(part: str, summary: str, fixed: Mapping[str, Any] | None = None, /, **recipe: Any) -> Method:
    own: dict[str, Any] = {"name": f"r-adapter:{part}", "runs": f"r-adapter:{part}", "part_of": METHOD.name}
    return replace(METHOD, summary=summary, fixed=fixed or {}, fixed_recipe=recipe, **own)


PARTS = (
    _changed("no-drop", "without adapter dropping", {"drop": 0.0}),
    _changed(
        "dropout", "dropout of the adapter's branch in place of adapter dropping", {"drop_kind": "dropout"}
    ),
    _changed("drop-path", "drop-path in place of adapter dropping", {"drop_kind": "drop-path"}),
    _changed("no-ema", "the last weights in place of their average", ema_decay=0.0),
    _changed("image-tower", "image tower alone, the text tower frozen, MPM-NCE", {"towers": ["image"]}),
    replace(
        WITH_HEAD,
        name="r-adapter:cross-entropy",
        summary="as image-tower, by cross-entropy under the fixed zero-shot head",
        source="Kim et al. 2024",
        build=partial(build_under_head, train_head=False),
        head_learning_rate=None,
        part_of=METHOD.name,
        runs="r-adapter:cross-entropy",
    ),
    _changed("margin-0", "MPM-NCE without its margin", margin=0.0),
    _changed("single-positive", "every pair its own class, margin kept", loss="single-positive"),
    _changed("smoothing-0", "MPM-NCE without label smoothing", label_smoothing=0.0),
    _changed("r-4", "rank 4", {"r": 4}),
    _changed("r-16", "rank 16", {"r": 16}),
    replace(METHOD, name="r-adapter:no-rescaling", summary="at alpha 1", alpha=1.0, part_of=METHOD.name),
)
