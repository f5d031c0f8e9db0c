"""The method: a linear adapter after every attention and FFN output, as a PEFT tuner.

Read in this order: `layer` (the algebra), `sites` (where), `selection` (which of them), `config`, `tuner` (PEFT),
`coins` (adapter dropping), `ensembles` (re-scaling and accumulation).
Importing this package registers the tuner with PEFT.
"""

from radapter.adapter import coins
from radapter.adapter.config import RAdapterConfig
from radapter.adapter.ensembles import Ema, auto_decay, has_alpha, set_alpha
from radapter.adapter.layer import RAdapterLayer, RescalableLayer, WrappingLayer, use_coins
from radapter.adapter.site_tuner import SiteTuner, hold_statistics
from radapter.adapter.sites import Site, block_names, find_sites
from radapter.adapter.tuner import RAdapterModel

__all__ = [
    "Ema", "RAdapterConfig", "RAdapterLayer", "RAdapterModel", "RescalableLayer", "Site", "SiteTuner",
    "WrappingLayer", "auto_decay", "block_names", "coins", "find_sites", "has_alpha", "hold_statistics",
    "set_alpha", "use_coins",
]  # fmt: skip
