"""Captions of labelled images: the class name in templates. The images of one class are one group."""

from pydantic import Field

from radapter.data.images.sequences import ChosenImages
from radapter.data.labelled.kinds import DataSource
from radapter.data.labelled.opening import open_classification
from radapter.data.pairs.source import CaptionedImages, PairSource
from radapter.data.source import Reading
from radapter.zeroshot import prompts
from radapter.zeroshot import templates as templates_of


class ClassNameSource(PairSource):
    """Labelled images; the caption is the class name in each template, and the images of a class are one group."""

    classification: DataSource = Field(description="the source, as for classification")
    templates: list[str] | str = Field(
        default="a photo of a {}.", description="one template, a list, or a value of data.templates"
    )

    def read(self, reading: Reading) -> CaptionedImages:
        """All images with their class name in every template; raises InputError as `open_classification`."""
        dataset = open_classification(self.classification, reading=reading)
        templates = templates_of(self.templates)
        texts = [tuple(prompts(name, templates)) for name in dataset.classnames]
        labels = dataset.labels.tolist()
        return CaptionedImages(
            dataset.name,
            ChosenImages(dataset.images, dataset.rows),
            [texts[label] for label in labels],
            labels,
            dataset.keys,
        )
