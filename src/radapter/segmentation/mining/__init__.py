"""Regions with nouns, for training a mask-adapted CLIP: mined from captioned images, or cut from masked ones.

Source: OVSeg (Liang et al., CVPR 2023), section 3.2, which mines them with a CLIP and a proposer.

nouns.py     finds the nouns of a caption, by a list of nouns (nouns.txt is the built-in one) or by spaCy
captions.py  the nouns of a data set, and their prompts
matching.py  from an image and its nouns to matched regions
writing.py   mines a captioned data set, or cuts a masked one, into shards; sheet.py shows them
"""

from radapter.segmentation.mining.captions import named_nouns, readable_nouns
from radapter.segmentation.mining.matching import Floors, Match, RegionMatcher, best_regions
from radapter.segmentation.mining.nouns import BUILT_IN, NounFinder, SpacyNouns, VocabularyNouns, vocabulary
from radapter.segmentation.mining.sheet import contact_sheet
from radapter.segmentation.mining.writing import RegionFolder, cut_masks, measured_floors, mine_pairs

__all__ = [
    "BUILT_IN", "Floors", "Match", "NounFinder", "RegionFolder", "RegionMatcher", "SpacyNouns", "VocabularyNouns",
    "best_regions", "contact_sheet", "cut_masks", "measured_floors", "mine_pairs", "named_nouns", "readable_nouns",
    "vocabulary",
]  # fmt: skip
