"""Open-vocabulary segmentation in two stages: regions of an image, each classified by a CLIP.

Source: OVSeg (Liang et al., CVPR 2023).

proposals.py     what a proposer gives
felzenszwalb.py  regions without weights; overlaps.py thins them out
oracle.py        ground-truth regions
crops.py         regions as a tower's input, all at once; resampling.py is the resizing
class_names.py   classes with synonyms as a head
mask_prompts.py  learned tokens for the background
classifier.py    what regions show
ensembles.py     the proposer's scores and the classifier's, joined
pixels.py        a class for every pixel
segmenting.py    the stages in one call
"""

from radapter.segmentation.class_names import ClassHead, class_head, names_of
from radapter.segmentation.classifier import RegionClassifier, RegionScores
from radapter.segmentation.crops import RegionCrops, region_crops, tight_boxes
from radapter.segmentation.ensembles import ENSEMBLES, Ensemble, combine
from radapter.segmentation.felzenszwalb import FelzenszwalbProposer
from radapter.segmentation.mask_prompts import MaskPrompts
from radapter.segmentation.oracle import OracleProposer, label_regions
from radapter.segmentation.overlaps import mask_iou
from radapter.segmentation.pixels import NOTHING, label_map
from radapter.segmentation.proposals import MaskProposer, Proposals
from radapter.segmentation.segmenting import Segmentation, segment

__all__ = [
    "ENSEMBLES",
    "NOTHING",
    "ClassHead",
    "Ensemble",
    "FelzenszwalbProposer",
    "MaskPrompts",
    "MaskProposer",
    "OracleProposer",
    "Proposals",
    "RegionClassifier",
    "RegionCrops",
    "RegionScores",
    "Segmentation",
    "class_head",
    "combine",
    "label_map",
    "label_regions",
    "mask_iou",
    "names_of",
    "region_crops",
    "segment",
    "tight_boxes",
]
