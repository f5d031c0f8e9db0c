"""SPD: full fine-tuning whose optimizer projects selected tensors towards their start.

Source: Tian et al., "Rethinking weight decay for robust fine-tuning of foundation models", NeurIPS 2024. The
optimizer is `training.selective_projection`, AdamW's. lambda is `strength`; its default of 1 is ours, since the
release has no training script and no value for CLIP. The paper chooses it on ID validation. Everything else is
`full`'s: image tower and head, both of which have a start, by cross-entropy.
"""

from dataclasses import replace

from pydantic import Field

from radapter.methods import full
from radapter.methods.method import MethodSettings


class SpdSettings(MethodSettings):
    """What users set of SPD."""

    strength: float = Field(
        default=1.0,
        gt=0,
        description="lambda; 1 undoes the growth of a selected tensor's distance from its start",
    )

    @property
    def projection(self) -> float:
        """The strength of the projection towards the starting weights after each step."""
        return self.strength


METHOD = replace(
    full.WISE_FT,
    name="spd",
    runs="spd",
    summary="as full, projected towards the start",
    source="Tian et al. 2024",
    rate_source="WiSE-FT's release: SPD has none for CLIP",
    settings_type=SpdSettings,
)
