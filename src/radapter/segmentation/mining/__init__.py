"""Regions with nouns, for training a mask-adapted CLIP: mined from captioned images, or cut from masked ones.

Source: OVSeg (Liang et al., CVPR 2023), section 3.2, which mines them with a CLIP and a proposer.

vocabulary.py  lists of nouns (nouns.txt is the built-in one); plurals.py makes their plurals
nouns.py       the nouns of a caption; noun_chunks.py lets spaCy find them
captions.py    the nouns of a data set
articles.py    prompts
matching.py    which region shows which noun, and how clearly
regions.py     from an image and its nouns to matched regions
captioned.py   mining a captioned data set; masked.py cuts a masked one
writing.py     regions into shards; sheet.py shows them
"""

from radapter.segmentation.mining.captioned import measured_floors, mine_pairs
from radapter.segmentation.mining.captions import NamedNouns, named_nouns, readable_nouns
from radapter.segmentation.mining.masked import cut_masks
from radapter.segmentation.mining.matching import Floors, Match, best_regions
from radapter.segmentation.mining.noun_chunks import SpacyNouns
from radapter.segmentation.mining.nouns import NounFinder, VocabularyNouns
from radapter.segmentation.mining.regions import RegionMatcher
from radapter.segmentation.mining.sheet import contact_sheet
from radapter.segmentation.mining.vocabulary import BUILT_IN, Vocabulary, vocabulary

__all__ = [
    "BUILT_IN",
    "Floors",
    "Match",
    "NamedNouns",
    "NounFinder",
    "RegionMatcher",
    "SpacyNouns",
    "Vocabulary",
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
