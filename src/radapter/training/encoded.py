"""Image features that are encoded once, for methods that train a head over a frozen image tower.

View v of an image is its augmentation in epoch v of the training batches, and epoch e trains on view e mod V. With V
or fewer epochs this equals encoding the images of every batch.
"""

from collections.abc import Iterator
from typing import final

import torch
from accelerate import Accelerator
from torch import Tensor

from radapter.data import Batch, TrainLoader
from radapter.data.loading import ImageSet, Loader, check_start, grouped
from radapter.errors import ConfigError
from radapter.methods.method import EncodedImages
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.zeroshot import evaluating


@final
class EncodedLoader:
    """The batches of a `TrainLoader` without pixels and without images that cannot be read.

    Every process takes the whole batch: a head costs less than an exchange.
    """

    def __init__(self, loader: TrainLoader, readable: Tensor, batch_size: int) -> None:
        self.dataset: ImageSet = loader.dataset
        self._loader, self._batch_size = loader, batch_size
        self._readable: list[bool] = readable.tolist()

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-self._readable.count(True) // self._batch_size)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, starting at a step; their pixels are (B, 0)."""
        check_start(start_step, self.steps_per_epoch)
        order = [index for index in self._loader.order(number) if self._readable[index]]
        for group in grouped(order, self._batch_size)[start_step:]:
            chosen = torch.tensor(group)
            labels, keys = self.dataset.labels[chosen], self.dataset.keys[chosen]
            yield Batch(torch.empty(len(group), 0), labels, keys, chosen)


def encoded_images(
    loader: Loader,
    encoder: DualEncoder,
    accelerator: Accelerator,
    *,
    views: int,
    batch_size: int,
    processes: Processes = ALONE,
) -> tuple[EncodedImages, EncodedLoader]:
    """The features of `views` augmentations of every image, on the CPU, and the training batches that go with them.

    Images that cannot be read have features that are not a number. Processes share the images. Raises ConfigError
    for a stream, whose images have no numbers.
    """
    if not isinstance(loader, TrainLoader):
        raise ConfigError(
            f"methods that encode every image once need a training set with random access. '{loader.dataset.name}' "
            "is a stream of shards. Give a folder, or another method."
        )
    features = torch.stack([_view(loader, encoder, accelerator, view, processes) for view in range(views)])
    readable = features.isfinite().all(-1).all(0)
    images = EncodedImages(features, loader.dataset.labels)
    return images, EncodedLoader(loader, readable, batch_size)


@torch.no_grad()
def _view(
    loader: TrainLoader, encoder: DualEncoder, accelerator: Accelerator, view: int, processes: Processes
) -> Tensor:
    """The features of one epoch's augmentation, (N, E), in the order of the set."""
    indices, rows = [], []
    with evaluating(encoder):
        for batch in loader.epoch(view):
            with accelerator.autocast():
                rows.append(encoder.encode_image(batch.pixels.to(accelerator.device)).cpu())
            indices.append(batch.indices)
    found = processes.gather((torch.cat(indices), torch.cat(rows)))
    features = found[0][1].new_full((len(loader.dataset), encoder.embed_dim), torch.nan)
    for chosen, of_process in found:
        features[chosen] = of_process
    return features
