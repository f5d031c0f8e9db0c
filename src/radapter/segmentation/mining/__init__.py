"""Regions with nouns, for training a mask-adapted CLIP: mined from captioned images, or cut from masked ones.

Source: OVSeg (Liang et al., CVPR 2023), section 3.2, which mines them with a CLIP and a proposer.

vocabulary.py  lists of nouns (nouns.txt is the built-in one) and their plurals
nouns.py       finds the nouns of a caption, by a vocabulary or by spaCy
captions.py    the nouns of a data set, and their prompts
matching.py    which region shows which noun, and how clearly
regions.py     from an image and its nouns to matched regions
datasets.py    mines a captioned data set, or cuts a masked one
writing.py     writes regions into shards; sheet.py shows them
"""

from radapter.segmentation.mining.captions import named_nouns, readable_nouns
from radapter.segmentation.mining.datasets import cut_masks, measured_floors, mine_pairs
from radapter.segmentation.mining.matching import Floors, Match, best_regions
from radapter.segmentation.mining.nouns import NounFinder, SpacyNouns, VocabularyNouns
from radapter.segmentation.mining.regions import RegionMatcher
from radapter.segmentation.mining.sheet import contact_sheet
from radapter.segmentation.mining.vocabulary import BUILT_IN, vocabulary
from radapter.segmentation.mining.writing import RegionFolder

__all__ = [
    "BUILT_IN",
    "Floors",
    "Match",
    "NounFinder",
    "RegionFolder",
    "RegionMatcher",
    "SpacyNouns",
    "VocabularyNouns",
    "best_regions",
    "contact_sheet",
    "cut_masks",
    "measured_floors",
    "mine_pairs",
    "named_nouns",
    "readable_nouns",
    "vocabulary",
]
