"""How images are prepared, as numbers: what `preprocess` of every library does to an upright RGB image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from radapter.errors import ModelError

_RESAMPLES = ("bilinear", "bicubic", "lanczos", "nearest", "box", "hamming")


@dataclass(frozen=True)
class Preparation:
    """Resize with Pillow, crop the centre, scale to [0, 1], subtract `mean` and divide by `std`.

    resize: pixels of the shorter side, or of both for mode "squash". resample: Pillow's name of the filter. crop:
    height and width of the result. offset: how half a pixel is rounded when the centre is cropped; libraries differ.
    """

    resize: int
    mode: Literal["shortest", "squash"]
    resample: str
    crop: int
    offset: Literal["floor", "round"]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of_open_clip(
        cls, config: Mapping[str, Any], *, offset: Literal["floor", "round"], resize: int | None = None
    ) -> "Preparation":
        """From a `preprocess_cfg` of open_clip; `resize` is None for its own size. Raises ModelError for a mode or a
        filter that is not in this form."""
        mode, resample, size = config["resize_mode"], config["interpolation"], config["size"]
        if mode not in ("shortest", "squash") or resample not in _RESAMPLES:
            raise ModelError(
                "preparation of images must resize the shorter side or both sides, with a filter of "
                f"{', '.join(_RESAMPLES)}. This model has mode '{mode}' and filter '{resample}'. Merge into the "
                "model's own library."
            )
        return cls(
            resize=size if resize is None else resize,
            mode=mode,
            resample=resample.upper(),
            crop=size,
            offset=offset,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
        )
