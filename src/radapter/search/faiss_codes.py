"""A FAISS index beside an image index: which images may be near a text, told without reading their features.

Features are rotated at random and every component is then kept in 4 bits, a product quantizer of one component a
part: E / 2 bytes an image, an eighth of its features. FAISS adds up all these codes for a text, which is many times
faster than multiplying features; the images with the largest sums are candidates, and `find` scores these from
their features. `benchmarks/search` compares it with FAISS's graphs and inverted lists. Those look at a part of the
images, chosen by what lies near what: texts lie apart from all images, and some of their hits are then missed.

FAISS's own files are not read: its reader builds, in C++, whatever type of index a file names from sizes that the
file states, and some files with a few changed bytes end the process (`benchmarks/search/damaged.py`). What the index
consists of is kept as safetensors, its types and shapes are checked, and FAISS is handed arrays. A SHA-256 of its
content tells damage, one of the features tells whether they are still those that it was made of.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from radapter.errors import DataError, MissingExtraError
from radapter.evaluation.cosines import in_tiles
from radapter.search.index import ImageIndex, features_sha256
from radapter.storage import sha256_of_tensors, write_tensors

FAISS_FROM = 500_000
"""Images from which on `radapter search --index` has a FAISS index: an exact search then takes most of a second."""

LEAST = 1000
"""Images below which none can be made: the values of the 4 bits are learnt from the features."""

_KIND = "radapter faiss index 1"
_BITS = 4
_SAMPLE = 10_000  # rows that the values are learnt from; FAISS takes 256 a value, 4,096
_TILE = 16_384  # rows that are rotated and coded at a time: 32 MB at E = 512


@final
@dataclass(frozen=True, eq=False)
class FaissIndex:
    """Codes of N features.

    Attributes:
        of: the SHA-256 of these features.
        rotation: orthogonal, (E, E), float32; features are multiplied by it from the right.
        values: what the 16 codes of a component stand for, (E, 16), float32.
        codes: (N, (E + 1) // 2), uint8: two components a byte.
    """

    of: str
    rotation: Tensor
    values: Tensor
    codes: Tensor

    def __len__(self) -> int:
        return len(self.codes)

    def candidates(self, text_features: Tensor, *, count: int) -> Tensor:
        """For each text the rows of the images whose codes come nearest, in no particular order.

        One text is asked at a time, so that its candidates do not depend on the others.

        Args:
            text_features: (Q, E), float.
            count: rows a text; all N where there are fewer.

        Returns:
            (Q, min(count, N)), int64.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        queries = (text_features.detach().cpu().float() @ self.rotation).numpy()
        found = [self._summed.search(query[None], min(count, len(self)))[1] for query in queries]
        return torch.cat([torch.from_numpy(rows) for rows in found])

    @cached_property
    def _summed(self) -> Any:
        """FAISS's index over the codes, which lays them out for its fast sums."""
        faiss, plain = _package(), _quantizer(len(self.rotation))
        faiss.copy_array_to_vector(self.values.numpy().reshape(-1), plain.pq.centroids)
        faiss.copy_array_to_vector(self.codes.numpy().reshape(-1), plain.codes)
        plain.ntotal, plain.is_trained = len(self), True
        return faiss.IndexPQFastScan(plain)


def faiss_index(
    path: str | os.PathLike[str], index: ImageIndex, *, progress: Callable[[int, int], None] | None = None
) -> FaissIndex:
    """The FAISS index kept at `path`, made anew where there is none or it is of other features.

    Args:
        path: see `beside`.
        index: whose features it is of.
        progress: told (done, all) while features are coded.

    Raises:
        MissingExtraError: faiss is not installed.
        DataError: the file is damaged, or no FAISS index of radapter's; it is left as it is.
        ValueError: `index` has fewer than `LEAST` images.
    """
    _package()
    of = index.sha256 or features_sha256(index.features)
    if Path(path).exists():
        kept = read_faiss(path)
        if kept.of == of and (len(kept), len(kept.rotation)) == tuple(index.features.shape):
            return kept
    made = build_faiss(index.features, of=of, progress=progress)
    write_tensors(path, _tensors(made), metadata={"kind": _KIND, "of": of, "sha256": _content_sha256(made)})
    return made


def beside(index: Path) -> Path:
    """Where the FAISS index of an index file is kept: photos.faiss.safetensors beside photos.safetensors."""
    return index.with_name(f"{index.name.removesuffix('.safetensors')}.faiss.safetensors")


def build_faiss(
    features: Tensor, *, of: str, progress: Callable[[int, int], None] | None = None
) -> FaissIndex:
    """Codes features; the same features give the same codes on the same machine.

    Args:
        features: unit norm, (N, E), float32, N at least `LEAST`; read in tiles.
        of: their SHA-256.
        progress: told (done, all) after each tile.

    Raises:
        MissingExtraError: faiss is not installed.
        ValueError: N is below `LEAST`.
    """
    if len(features) < LEAST:
        raise ValueError(f"features must have at least {LEAST} rows to be coded. Got {len(features)}.")
    faiss, width = _package(), features.shape[1]
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q.contiguous()
    quantizer = _quantizer(width)
    sample = torch.randperm(len(features), generator=generator)[:_SAMPLE].sort().values
    quantizer.train((features[sample] @ rotation).numpy())
    for part in in_tiles(features, _TILE):
        quantizer.add((part @ rotation).numpy())
        if progress is not None:
            progress(quantizer.ntotal, len(features))
    return FaissIndex(
        of,
        rotation,
        torch.from_numpy(faiss.vector_to_array(quantizer.pq.centroids)).reshape(width, -1),
        torch.from_numpy(faiss.vector_to_array(quantizer.codes)).reshape(len(features), -1),
    )


def read_faiss(path: str | os.PathLike[str]) -> FaissIndex:
    """Reads what `faiss_index` wrote; needs no faiss.

    Raises:
        DataError: the file is damaged, or no FAISS index of radapter's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("kind") != _KIND or "of" not in about:
                raise _refused(path, f"its kind is {about.get('kind')!r}, not {_KIND!r}")
            found = FaissIndex(
                about["of"], *(file.get_tensor(name) for name in ("rotation", "values", "codes"))
            )
    except (SafetensorError, OSError) as error:
        raise _refused(path, str(error)) from error
    if _content_sha256(found) != about.get("sha256"):
        raise _refused(path, "its content does not match its SHA-256")
    rows, width = (tensor.shape[0] if tensor.ndim else 0 for tensor in (found.codes, found.rotation))
    for name, tensor, dtype, shape in (
        ("rotation", found.rotation, torch.float32, (width, width)),
        ("values", found.values, torch.float32, (width, 2**_BITS)),
        ("codes", found.codes, torch.uint8, (rows, (width + 1) // 2)),
    ):
        if tensor.dtype != dtype or tuple(tensor.shape) != shape or 0 in shape:
            raise _refused(path, f"its {name} are {tensor.dtype} {tuple(tensor.shape)}")
        if not tensor.isfinite().all():
            raise _refused(path, f"its {name} are not all finite")
    return found


def _tensors(index: FaissIndex) -> dict[str, Tensor]:
    return {"rotation": index.rotation, "values": index.values, "codes": index.codes}


def _content_sha256(index: FaissIndex) -> str:
    return sha256_of_tensors(_tensors(index).items())


def _quantizer(width: int) -> Any:
    """FAISS's product quantizer, one part a component, still to be trained."""
    faiss = _package()
    return faiss.IndexPQ(width, width, _BITS, faiss.METRIC_INNER_PRODUCT)


def _package() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError(
            "FAISS is not installed. Run pip install 'radapter[faiss]', or search exactly."
        ) from error
    module: ModuleType = faiss
    return module


def _refused(path: str | os.PathLike[str], reason: str) -> DataError:
    return DataError(
        f"FAISS index must be a whole file that 'radapter search --index' wrote. '{os.fspath(path)}': {reason}. "
        "Remove it to have a new one made."
    )
