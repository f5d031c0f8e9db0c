"""Captions of labelled images: the class name in templates. The images of one class are one group."""

from collections.abc import Sequence

from radapter.data.labelled.classification import ClassificationSet
from radapter.data.pairs.captioned import CaptionedSource
from radapter.data.pictures.pictures import ChosenPictures
from radapter.zeroshot import prompts


def captions_of_classes(dataset: ClassificationSet, templates: Sequence[str]) -> CaptionedSource:
    """Every image with its class name in every template.

    Args:
        dataset: labelled images.
        templates: T templates with one "{}" each.
    """
    texts = [tuple(prompts(name, templates)) for name in dataset.classnames]
    labels = dataset.labels.tolist()
    return CaptionedSource(
        dataset.name,
        ChosenPictures(dataset.pictures, dataset.rows),
        [texts[label] for label in labels],
        labels,
        dataset.keys,
    )
