"""Predictions and embeddings of images with a run, a merged directory or a model.

images.py         the images that a caller gives: paths, a folder, images in memory, a source of data
opening.py        `open_predictor`: what a run, a merged directory or a model classifies with
predictor.py      `Predictor`: batches of images under a classifier, beside the zero-shot model
predictions.py, embeddings.py   the results, and the files that hold them
"""

from radapter.inference.embeddings import Embeddings
from radapter.inference.images import ImagesLike, OpenedImages, Sample, open_images
from radapter.inference.opening import open_predictor
from radapter.inference.predictions import Prediction, Predictions, Ranked
from radapter.inference.predictor import Predictor

__all__ = [
    "Embeddings",
    "ImagesLike",
    "OpenedImages",
    "Prediction",
    "Predictions",
    "Predictor",
    "Ranked",
    "Sample",
    "open_images",
    "open_predictor",
]
