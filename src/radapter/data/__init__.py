"""Data sets: where images, labels and captions come from, and how they are loaded.

images/           from bytes to an RGB image of limited size; augmentation and corruptions
labelled/         images with a class each: the set, its readers, the layouts of public sets
pairs/            images with captions: the set, its readers, grouped batches
masks/            images with a class for every pixel: the set, its readers, the layouts of public sets
shards/           any of these sets in tar files of 1 GB, and training from them in sequence
regions.py        regions cut out of images with a noun each, and the kinds of their sources
source.py         a source of data, whose kinds are typed models; paths.py, wording.py: its paths and its errors
world_scenes.py   scenes of the synthetic benchmark
splits.py         splits by content; dividing.py: one source as training, validation and test set
columns.py, text_tables.py, tars.py   containers that several readers open
loading/, in_threads.py, memory.py     batches
"""

from radapter.data.images.bad_images import MAX_BAD, BadImages
from radapter.data.images.decoding import MAX_PIXELS, decode
from radapter.data.labelled.classification import ClassificationSet, array_set
from radapter.data.labelled.opening import open_classification
from radapter.data.loading import Batch, ImageSet
from radapter.data.loading.loaders import EvalLoader, TrainLoader
from radapter.data.masks.opening import open_masks
from radapter.data.masks.paired import IGNORE, MaskedImage, PairedMaskDataset
from radapter.data.memory import Memory
from radapter.data.pairs.grouped_batches import GroupedBatchSampler
from radapter.data.pairs.opening import open_pairs
from radapter.data.pairs.pair_set import PairSamples, PairSet
from radapter.data.regions import MinedRegions
from radapter.data.source import Reading
from radapter.data.splits import UNREADABLE

__all__ = [
    "IGNORE",
    "MAX_BAD",
    "MAX_PIXELS",
    "UNREADABLE",
    "BadImages",
    "Batch",
    "ClassificationSet",
    "EvalLoader",
    "GroupedBatchSampler",
    "ImageSet",
    "MaskedImage",
    "Memory",
    "MinedRegions",
    "PairSamples",
    "PairSet",
    "PairedMaskDataset",
    "Reading",
    "TrainLoader",
    "array_set",
    "decode",
    "open_classification",
    "open_masks",
    "open_pairs",
]
