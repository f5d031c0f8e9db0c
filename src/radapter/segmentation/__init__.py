"""Open-vocabulary segmentation in two stages: regions of an image, each classified by a CLIP.

Source: OVSeg (Liang et al., CVPR 2023).

proposals.py     what a proposer gives
felzenszwalb.py  regions without weights; overlaps.py thins them out
oracle.py        ground-truth regions
crops.py         regions as a tower's input, all at once; resampling.py is the resizing
"""

from radapter.segmentation.crops import RegionCrops, region_crops, tight_boxes
from radapter.segmentation.felzenszwalb import FelzenszwalbProposer
from radapter.segmentation.oracle import OracleProposer, label_regions
from radapter.segmentation.overlaps import mask_iou
from radapter.segmentation.proposals import MaskProposer, Proposals

__all__ = [
    "FelzenszwalbProposer",
    "MaskProposer",
    "OracleProposer",
    "Proposals",
    "RegionCrops",
    "label_regions",
    "mask_iou",
    "region_crops",
    "tight_boxes",
]
