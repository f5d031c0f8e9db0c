"""Four published ways to join the proposer's own scores of a region with CLIP's scores of its crop.

With a the proposer's probabilities and c CLIP's, for each region and class:

    region  c; a region without a pixel is ignored. OVSeg without its ensemble.
    ovseg   a^(1-w) c^w. Liang et al., CVPR 2023; `open_vocab_seg/ovseg_model.py` of facebookresearch/ov-seg.
    zsseg   as ovseg for classes the proposer was not trained on; a^w c^(1-w) for the others. Xu et al., ECCV 2022;
            `mask_former/zero_shot_mask_former_model.py` of MendelXu/zsseg.baseline, the basis of ov-seg's.
    fcclip  a^(1-w) c^w with one w for classes the proposer was trained on and a larger one for the others, scaled
            to the sum of a: the rest up to 1 is "no object". Yu et al., NeurIPS 2023; `fcclip/fcclip.py` of
            bytedance/fc-clip, after ODISE.

A region without a pixel has no crop: c counts as 1, as in the releases; fcclip then leaves a unchanged
(`ensemble_on_valid_mask`).
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from radapter.errors import ConfigError, did_you_mean

Ensemble = Literal["region", "ovseg", "zsseg", "fcclip"]
ENSEMBLES: tuple[Ensemble, ...] = get_args(Ensemble)

WEIGHT = 0.7
"""Of CLIP: `CLIP_ENSEMBLE_WEIGHT` in ov-seg's `ovseg_R101c_vitB_bs32_120k.yaml`; zsseg across data sets: 0.5."""
SEEN_WEIGHT, UNSEEN_WEIGHT = 0.4, 0.8
"""Of CLIP in fcclip: `GEOMETRIC_ENSEMBLE_ALPHA` and `_BETA` of fc-clip's configuration."""


def combine(
    proposal_scores: Tensor | None,
    region_scores: Tensor,
    weight: float | tuple[float, float] | None = None,
    mode: Ensemble = "ovseg",
    *,
    valid: Tensor | None = None,
    seen: Tensor | None = None,
) -> Tensor:
    """One score for each region and class, (Q, C), in [0, 1].

    Args:
        proposal_scores: a, (Q, C), in [0, 1]; not read in mode "region".
        region_scores: c, (Q, C), in [0, 1].
        weight: CLIP's, in [0, 1]; for fcclip one for seen and one for unseen classes. None for the published one;
            "region" takes none.
        mode: One of ENSEMBLES.
        valid: (Q,), bool, which regions have a pixel; None for all.
        seen: (C,), bool, the classes that the proposer was trained on, for zsseg and fcclip.

    Raises:
        ConfigError: The mode is unknown, or an argument is missing, out of range or not used by the mode.
        ValueError: Shapes differ.
    """
    check_ensemble(mode, weight)
    queries, classes = region_scores.shape
    has_crop = torch.ones(queries, dtype=torch.bool, device=region_scores.device) if valid is None else valid
    if has_crop.shape != (queries,):
        raise ValueError(f"valid must be ({queries},), as region_scores. Got {tuple(has_crop.shape)}.")
    _check_seen(mode, seen, classes)
    if mode == "region":
        return region_scores * has_crop[:, None]
    if proposal_scores is None:
        raise ConfigError(f"ensemble '{mode}' needs the proposer's own class scores, got none. Use 'region'.")
    if (given := tuple(proposal_scores.shape)) != (queries, classes):
        raise ValueError(f"proposal_scores must be {(queries, classes)}, as region_scores. Got {given}.")
    crop = torch.where(has_crop[:, None], region_scores, 1)
    first, second = _weights(mode, weight)
    share = torch.full((classes,), second, dtype=crop.dtype, device=crop.device)
    if seen is not None:
        share = torch.where(seen, first, share)
    if mode != "fcclip":
        return proposal_scores ** (1 - share) * crop**share
    total = proposal_scores.sum(1, keepdim=True)
    own = proposal_scores / total.clamp(min=torch.finfo(total.dtype).tiny)
    joined = own ** (1 - share * has_crop[:, None]) * crop**share
    return joined * total / joined.sum(1, keepdim=True).clamp(min=torch.finfo(total.dtype).tiny)


def check_ensemble(mode: Ensemble, weight: float | tuple[float, float] | None) -> None:
    """Raises ConfigError if an ensemble is unknown or its weight is of the wrong kind or out of range."""
    if mode not in ENSEMBLES:
        known = did_you_mean(mode, ENSEMBLES)
        raise ConfigError(f"ensemble must be one of {', '.join(ENSEMBLES)}. Got '{mode}'.{known}")
    if mode != "region":
        _weights(mode, weight)
    elif weight is not None:
        raise ConfigError(f"ensemble 'region' takes no weight. Got {weight}. Leave it out.")


def _weights(mode: Ensemble, weight: float | tuple[float, float] | None) -> tuple[float, float]:
    if mode == "fcclip":
        pair = (SEEN_WEIGHT, UNSEEN_WEIGHT) if weight is None else weight
        if not isinstance(pair, tuple):
            raise ConfigError(f"weight of 'fcclip' must be two, of seen and unseen classes. Got {weight}.")
        first, second = pair
    elif isinstance(weight, tuple):
        raise ConfigError(f"weight of '{mode}' must be one number. Got {weight}.")
    else:
        second = WEIGHT if weight is None else weight
        first = 1 - second if mode == "zsseg" else second
    if not (0 <= first <= 1 and 0 <= second <= 1):
        raise ConfigError(f"weight must be in [0, 1]. Got {weight}.")
    return first, second


def _check_seen(mode: Ensemble, seen: Tensor | None, classes: int) -> None:
    if mode not in ("zsseg", "fcclip"):
        if seen is not None:
            raise ConfigError(f"ensemble '{mode}' does not use seen. Leave it out.")
    elif seen is None:
        raise ConfigError(f"ensemble '{mode}' needs seen, the classes that the proposer was trained on.")
    elif seen.shape != (classes,):
        raise ValueError(f"seen must be ({classes},), one value per class. Got {tuple(seen.shape)}.")
