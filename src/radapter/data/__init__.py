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
opening.py         from a specification to a set
checking.py        what a set holds
loading.py, augment.py, memory.py, bad_images.py   batches
"""

from radapter.data.bad_images import MAX_BAD, BadImages
from radapter.data.classification import ClassificationSet, array_set
from radapter.data.images import MAX_PIXELS, decode
from radapter.data.loading import Batch, EvalLoader, ImageSet, TrainLoader, batches
from radapter.data.memory import Memory
from radapter.data.opening import open_classification
from radapter.data.splits import UNREADABLE

__all__ = [
    "MAX_BAD",
    "MAX_PIXELS",
    "UNREADABLE",
    "BadImages",
    "Batch",
    "ClassificationSet",
    "EvalLoader",
    "ImageSet",
    "Memory",
    "TrainLoader",
    "array_set",
    "batches",
    "decode",
    "open_classification",
]
