"""R-Adapter with adapters that start at random values, so that each of them has a gradient and an effect."""

from dataclasses import replace

from radapter.adapter import RAdapterConfig
from radapter.methods import RAdapterSettings


class RandomStart(RAdapterSettings):
    """Settings whose adapters are not zero at the start."""

    def adapter(self) -> RAdapterConfig:
        return replace(super().adapter(), init_weights=False)
