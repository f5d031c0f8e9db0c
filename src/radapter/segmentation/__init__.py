"""Open-vocabulary segmentation in two stages: regions of an image, each classified by a CLIP (Liang et al., CVPR 2023)."""

from radapter.segmentation.proposals import MaskProposer, Proposals

__all__ = ["MaskProposer", "Proposals"]
