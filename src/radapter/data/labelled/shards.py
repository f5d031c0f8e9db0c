"""Labelled images in tar shards that `radapter shards` wrote; all are listed when the source is opened."""

from typing import Annotated

import torch
from pydantic import Field

from radapter.data.labelled.source import LabelledImages, LabelledSource
from radapter.data.paths import PATH, place
from radapter.data.shards.parts import IMAGES, content_key
from radapter.data.shards.sizes import read_shards, refuse_count
from radapter.data.source import Reading
from radapter.data.tars import TarImages, image_in, list_tar, samples, text_of
from radapter.errors import DataError
from radapter.given_files import parse_json


class ShardsSource(LabelledSource):
    """Tar shards of labelled images that `radapter shards` wrote, listed when opened: docs/shards.md."""

    shards: Annotated[str, PATH] = Field(description="the folder, with its sizes.json")

    def read(self, reading: Reading) -> LabelledImages:
        """Lists the images; raises DataError if shards are missing, damaged, not as in sizes.json, or hold pairs."""
        folder = place(self.shards)
        found = read_shards(folder)
        if "classnames" not in found.about:
            raise DataError(
                f"a shards source must hold labelled images. '{folder}' holds image-text pairs. Read them as "
                f"{{webdataset: '{folder}/*.tar'}}, in a run of task: retrieval."
            )
        images, labels, keys = [], [], []
        for shard in found.paths:
            refuse_count(found, shard)
            for key, parts in samples(list_tar(shard)).items():
                image = image_in(parts, list(IMAGES.values()))
                try:
                    labels.append(int(text_of(parts["cls"])))
                    content = content_key(parse_json(text_of(parts["json"])))
                    if image is None or content is None:
                        raise ValueError
                except (KeyError, ValueError, AttributeError) as error:
                    raise DataError(
                        "a labelled sample must be an image with its cls and json, as 'radapter shards' writes it. "
                        f"'{shard}::{key}' is not. Write the folder again."
                    ) from error
                images.append(image)
                keys.append(content)
        return LabelledImages(
            folder.name,
            TarImages(images, max_pixels=reading.max_pixels),
            labels,
            tuple(found.about["classnames"]),
            keys=torch.tensor(keys, dtype=torch.int64),
        )
