"""The content keys of everything in a folder of shards: what the leak guard compares, and nothing else reads.

They take 8 bytes an image and are memory-mapped, so that a stream needs no list of its samples.
"""

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from radapter.errors import DataError, ModelError
from radapter.storage import load_weights, whole_file

CONTENTS = "contents.safetensors"


def write_contents(folder: Path, keys: Tensor) -> None:
    """Writes the distinct ones of `keys`, (N,) int64, sorted."""
    with whole_file(folder / CONTENTS) as file:
        file.write(save({"keys": torch.unique(keys)}, metadata={"format": "pt"}))


def read_contents(folder: Path) -> Tensor:
    """The keys, (K,), int64, sorted.

    Raises:
        DataError: there are none, or the file is another.
    """
    try:
        return load_weights(folder / CONTENTS)["keys"]
    except (ModelError, KeyError) as error:
        raise DataError(
            f"shards that are trained on must have their {CONTENTS}, which tells whether a test image is in them. "
            f"'{folder}' has none that can be read. Write the folder with 'radapter shards'."
        ) from error
