"""Open-vocabulary segmentation in two stages: regions of an image, each classified by a CLIP.

Source: OVSeg (Liang et al., CVPR 2023).

proposals.py     what a proposer gives
felzenszwalb.py  regions without weights; overlaps.py thins them out
oracle.py        ground-truth regions
transformers_masks.py  regions of MaskFormer and Mask2Former
mask_files.py    regions computed beforehand; run_lengths.py is COCO's way to write a mask
crops.py         regions as a tower's input, all at once; resampling.py is the resizing
class_names.py   classes with synonyms as a head
mask_prompts.py  learned tokens for the background; prompted.py is an encoder with them
classifier.py    what regions show
ensembles.py     the proposer's scores and the classifier's, joined
pixels.py        a class for every pixel
segmenting.py    the stages in one call
canvas.py        a picture put together from its tiles, and its files
mining/          regions with nouns to train on
overlay.py       a segmentation to look at; palette.py has the colours
"""

from radapter.segmentation.class_names import ClassHead, class_head, names_of
from radapter.segmentation.classifier import RegionClassifier, RegionScores
from radapter.segmentation.crops import RegionCrops, region_crops, tight_boxes
from radapter.segmentation.ensembles import ENSEMBLES, Ensemble, check_ensemble, combine
from radapter.segmentation.felzenszwalb import FelzenszwalbProposer
from radapter.segmentation.mask_files import MaskFile, mask_file_of
from radapter.segmentation.mask_prompts import MaskPrompts
from radapter.segmentation.oracle import OracleProposer, label_regions
from radapter.segmentation.overlaps import mask_iou
from radapter.segmentation.pixels import NOTHING, label_map
from radapter.segmentation.prompted import PromptedEncoder
from radapter.segmentation.proposals import MaskProposer, Proposals
from radapter.segmentation.segmenting import Segmentation, segment
from radapter.segmentation.transformers_masks import TransformersProposer

__all__ = [
    "ENSEMBLES",
    "NOTHING",
    "ClassHead",
    "Ensemble",
    "FelzenszwalbProposer",
    "MaskFile",
    "MaskPrompts",
    "MaskProposer",
    "OracleProposer",
    "PromptedEncoder",
    "Proposals",
    "RegionClassifier",
    "RegionCrops",
    "RegionScores",
    "Segmentation",
    "TransformersProposer",
    "check_ensemble",
    "class_head",
    "combine",
    "label_map",
    "label_regions",
    "mask_file_of",
    "mask_iou",
    "names_of",
    "region_crops",
    "segment",
    "tight_boxes",
]
