"""Data sets: where pictures and labels come from, and how they are loaded.

images.py          from bytes to an RGB picture, bounded
pictures.py        where a set's pixels come from
classification.py  the set: pictures, labels, content hashes
labels.py          class names, and the map between two label spaces
splits.py          content-stable splits
shots.py           K pictures of each class
folder.py, table.py, huggingface.py, world.py, coop.py   the sources
layouts.py         the table of public data sets; imagenet.py, objectnet.py, domains.py read them
class_folders.py, imagenet_classes.py   what readers share
corruptions.py     the 15 corruptions of ImageNet-C; picture_arrays.py is their arithmetic
opening.py         from a specification to a set; specification.py checks what both kinds of set share
checking.py        what a set holds
pairs.py           image-text pairs: images, captions, groups and target classes; equivalence.py joins the classes
captioned.py       what readers of pairs hand over; pair_table.py, pair_lines.py, pair_columns.py, karpathy.py,
                   flickr8k.py, pair_tars.py, pair_world.py, pair_classes.py read them
opening_pairs.py   from a specification to a set of pairs; paraphrase.py says captions in other words
grouped_batches.py batches in which pairs share a class; long_captions.py counts what a context cuts
loading.py, augment.py, memory.py, bad_images.py   batches
"""

from radapter.data.bad_images import MAX_BAD, BadImages
from radapter.data.classification import ClassificationSet, array_set
from radapter.data.grouped_batches import GroupedBatchSampler
from radapter.data.images import MAX_PIXELS, decode
from radapter.data.loading import Batch, EvalLoader, ImageSet, TrainLoader, batches
from radapter.data.memory import Memory
from radapter.data.opening import open_classification
from radapter.data.opening_pairs import open_pairs
from radapter.data.pairs import PairSamples, PairSet
from radapter.data.splits import UNREADABLE

__all__ = [
    "MAX_BAD",
    "MAX_PIXELS",
    "UNREADABLE",
    "BadImages",
    "Batch",
    "ClassificationSet",
    "EvalLoader",
    "GroupedBatchSampler",
    "ImageSet",
    "Memory",
    "PairSamples",
    "PairSet",
    "TrainLoader",
    "array_set",
    "batches",
    "decode",
    "open_classification",
    "open_pairs",
]
