"""R-Adapter at every Linear of the blocks: queries, keys, values, attention output, and both layers of the FFN.

Ours, after Kim et al., ECCV 2024, whose adapters follow the attention output and the FFN output alone. Each Linear
y = u W^T + b of width D has an adapter, and each is merged into it exactly:

    z = y + alpha s y A        W' = (I + alpha s A)^T W,  b' = (I + alpha s A)^T b

A block of width d has 5 d x d adapters (q, k, v, output, FFN output) and one after the FFN's hidden layer. That one
is 4d x 4d at full rank, so 21 d^2 + 6 parameters in all, where the paper's sites have 2 d^2 + 2. `r_hidden` gives it
a rank, 5 d^2 + 8 d r_hidden + 6, or leaves it out, 5 d^2 + 5.

An attention with one matrix for queries, keys and values has three d x d adapters there, dropped together.
"""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from radapter.adapter import RAdapterConfig
from radapter.methods import r_adapter
from radapter.methods.r_adapter import RAdapterSettings


class AllLinearSettings(RAdapterSettings):
    """What users set of it."""

    r_hidden: Annotated[int, Field(ge=0)] | None = Field(
        None, description="rank after the FFN's hidden layer; null is that of r, and 0 is no adapter there"
    )

    def adapter(self) -> RAdapterConfig:
        """The configuration of its adapters for PEFT."""
        return replace(super().adapter(), sites="linears", r_hidden=self.r_hidden)


METHOD = replace(
    r_adapter.METHOD,
    name="r-adapter:all-linear",
    runs="r-adapter:all-linear",
    summary="linear adapters after every Linear, MPM-NCE",
    source="ours, after Kim et al. 2024",
    settings_type=AllLinearSettings,
    fixed={"drop_kind": "adapter"},
)
