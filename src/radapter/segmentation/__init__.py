"""Open-vocabulary segmentation in two stages: regions of an image, each classified by a CLIP.

Source: OVSeg (Liang et al., CVPR 2023).

proposals.py     a proposer's output; felzenszwalb.py finds regions without weights
transformers_masks.py  regions of MaskFormer and Mask2Former
mask_files.py    precomputed regions, and COCO's run lengths
crops.py         regions as a tower's input, all at once
mask_prompts.py  learned tokens for the background, and an encoder with them
classifier.py    class scores of regions, and all stages in one call
ensembles.py     joins the proposer's scores with the classifier's
pixels.py        a class for every pixel, and the regions of a label map
canvas.py        assembles an image from its tiles and writes its files; overlay.py draws it
training_regions.py, region_loader.py  regions to train on and to evaluate
mining/          regions with nouns to train on
"""

from radapter.segmentation.classifier import (
    RegionClassifier,
    Segmentation,
    class_head,
    listed_classes,
    names_of,
    segment,
)
from radapter.segmentation.crops import CropStyle, region_crops, tight_boxes
from radapter.segmentation.ensembles import ENSEMBLES, Ensemble, check_ensemble, combine
from radapter.segmentation.felzenszwalb import FelzenszwalbProposer
from radapter.segmentation.mask_files import MaskFile, mask_file_of
from radapter.segmentation.mask_prompts import MaskPrompts, PromptedEncoder
from radapter.segmentation.pixels import NOTHING, label_map, label_regions
from radapter.segmentation.proposals import MaskProposer, Proposals
from radapter.segmentation.transformers_masks import TransformersProposer

__all__ = [
    "ENSEMBLES", "NOTHING", "CropStyle", "Ensemble", "FelzenszwalbProposer", "MaskFile", "MaskPrompts",
    "MaskProposer", "PromptedEncoder", "Proposals", "RegionClassifier", "Segmentation", "TransformersProposer",
    "check_ensemble", "class_head", "combine", "label_map", "label_regions", "listed_classes", "mask_file_of",
    "names_of", "region_crops", "segment", "tight_boxes",
]  # fmt: skip
