"""Losses over a batch of image and text features: one paper, one file.

Every loss takes unit-norm features and an exponentiated logit scale, computes in float32 or wider and returns
a scalar in nats: `mpm_nce` (the paper's; `mpm_nce_tiled` is the same without the B x B matrix), `clip_loss`,
`head_cross_entropy` (over a linear head) and `siglip_loss`.
"""

from radapter.losses.clip import clip_loss
from radapter.losses.cross_entropy import head_cross_entropy
from radapter.losses.mpm_nce import mpm_nce
from radapter.losses.siglip import siglip_loss
from radapter.losses.tiled import mpm_nce_tiled

__all__ = ["clip_loss", "head_cross_entropy", "mpm_nce", "mpm_nce_tiled", "siglip_loss"]
