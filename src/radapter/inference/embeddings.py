"""Embeddings of images and texts, and the files that hold them: npy, Parquet and safetensors."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from radapter.data.paths import plain
from radapter.storage import check_new_file, whole_file, write_json, write_tensors

SUFFIXES = (".npy", ".parquet", ".safetensors")
SCHEMA = 1

Features = npt.NDArray[np.float32]
"""Rows of unit norm, (N, E), float32."""


@final
@dataclass(frozen=True, eq=False)
class Embeddings:
    """The features of N images and M texts, which may be 0.

    Attributes:
        image_features: (N, E), float32, unit norm.
        text_features: (M, E), float32, unit norm.
        paths: of the N images, or their names in messages.
        labels: of the N images; each is None unless the images come from a labelled source.
        texts: M texts.
        errors: path of each unreadable image -> why; these images have no row.
        model: the run, the directory or the model that gave the features.
        alpha: of the run or the merged directory; None for a model.
    """

    image_features: Features
    text_features: Features
    paths: tuple[str, ...]
    labels: tuple[str | None, ...]
    texts: tuple[str, ...]
    errors: dict[str, str]
    model: str
    alpha: float | None

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes all rows, those of the images first; docs/reference/files.md describes the forms.

        An npy file has the names of its rows in a JSON file beside it, `names_of(path)`.

        Raises:
            ConfigError: the suffix is none of `SUFFIXES`.
            RunError: the file exists, or cannot be written.
        """
        target = check_new_embeddings(path)
        if target.suffix == ".npy":
            write_json(names_of(target), {"schema": SCHEMA, **self._names(), **self._about()})
            with whole_file(target) as file:
                np.save(file, np.concatenate([self.image_features, self.text_features]), allow_pickle=False)
        elif target.suffix == ".parquet":
            self._write_parquet(target)
        else:
            features = {"images": self.image_features, "texts": self.text_features}
            texts = {key: json.dumps(of, ensure_ascii=False) for key, of in self._names().items()}
            about = {key: json.dumps(of, ensure_ascii=False) for key, of in self._about().items()}
            tensors = {name: torch.from_numpy(rows) for name, rows in features.items()}
            write_tensors(target, tensors, metadata={"schema": str(SCHEMA), **texts, **about})
        return target

    def _names(self) -> dict[str, Sequence[str | None]]:
        return {"paths": list(map(plain, self.paths)), "labels": self.labels, "texts": self.texts}

    def _about(self) -> dict[str, Any]:
        errors = {plain(path): error for path, error in self.errors.items()}
        return {"model": self.model, "alpha": self.alpha, "errors": errors}

    def _write_parquet(self, target: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = np.concatenate([self.image_features, self.text_features])
        images, texts = len(self.paths), len(self.texts)
        flat = pa.array(rows.reshape(-1), pa.float32())
        table = pa.table(
            {
                "path": pa.array([*map(plain, self.paths), *[None] * texts], pa.string()),
                "label": pa.array([*self.labels, *[None] * texts], pa.string()),
                "text": pa.array([*[None] * images, *self.texts], pa.string()),
                "embedding": pa.FixedSizeListArray.from_arrays(flat, rows.shape[1]),
            }
        )
        about = {key: json.dumps(of) for key, of in self._about().items()}
        with whole_file(target) as file:
            pq.write_table(table.replace_schema_metadata(about), file)


def check_new_embeddings(path: str | os.PathLike[str], *, name: str = "output") -> Path:
    """Checks the file of embeddings, and the one that names the rows of an npy file; see `check_new_file`."""
    target = check_new_file(path, SUFFIXES, name=name)
    if target.suffix == ".npy":
        check_new_file(names_of(target), (".json",), name=name)
    return target


def names_of(path: Path) -> Path:
    """The JSON file beside an npy file that names its rows."""
    return path.with_suffix(".json")
