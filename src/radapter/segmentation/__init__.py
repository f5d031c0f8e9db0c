"""Open-vocabulary segmentation in two stages: regions of an image, each classified by a CLIP.

Source: OVSeg (Liang et al., CVPR 2023).

proposals.py     the output of a proposer
felzenszwalb.py  regions without weights; overlaps.py removes near copies
transformers_masks.py  regions of MaskFormer and Mask2Former
mask_files.py    precomputed regions; run_lengths.py reads and writes COCO's masks
crops.py         regions as a tower's input, all at once; resampling.py has the resizing
class_names.py   a head of classes with synonyms
mask_prompts.py  learned tokens for the background; prompted.py is an encoder with them
classifier.py    class scores of regions
ensembles.py     joins the proposer's scores with the classifier's
pixels.py        a class for every pixel, and the regions of a label map
segmenting.py    all stages in one call
canvas.py        assembles a picture from its tiles and writes its files
mining/          regions with nouns to train on
overlay.py       draws a segmentation; palette.py has the colours
"""

from radapter.segmentation.class_names import class_head, names_of
from radapter.segmentation.classifier import RegionClassifier
from radapter.segmentation.crops import CropStyle, region_crops, tight_boxes
from radapter.segmentation.ensembles import ENSEMBLES, Ensemble, check_ensemble, combine
from radapter.segmentation.felzenszwalb import FelzenszwalbProposer
from radapter.segmentation.mask_files import MaskFile, mask_file_of
from radapter.segmentation.mask_prompts import MaskPrompts
from radapter.segmentation.pixels import NOTHING, label_map, label_regions
from radapter.segmentation.prompted import PromptedEncoder
from radapter.segmentation.proposals import MaskProposer, Proposals
from radapter.segmentation.segmenting import Segmentation, segment
from radapter.segmentation.transformers_masks import TransformersProposer

__all__ = [
    "ENSEMBLES",
    "NOTHING",
    "CropStyle",
    "Ensemble",
    "FelzenszwalbProposer",
    "MaskFile",
    "MaskPrompts",
    "MaskProposer",
    "PromptedEncoder",
    "Proposals",
    "RegionClassifier",
    "Segmentation",
    "TransformersProposer",
    "check_ensemble",
    "class_head",
    "combine",
    "label_map",
    "label_regions",
    "mask_file_of",
    "names_of",
    "region_crops",
    "segment",
    "tight_boxes",
]
