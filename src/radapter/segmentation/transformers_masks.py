"""Regions of MaskFormer and Mask2Former, and of any model of transformers with their outputs.

A query q has mask logits and class logits, the last class being "no object". Its mask is the sigmoid of the logits,
enlarged bilinearly to the image as in MaskFormer's release. Its objectness is 1 - p_q(no object).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor, nn
from transformers import Mask2FormerForUniversalSegmentation, MaskFormerForInstanceSegmentation

from radapter.errors import ConfigError, ModelError, did_you_mean
from radapter.models.folders import check_folder
from radapter.models.hf import configuration, image_processor, with_weights
from radapter.segmentation.classifier import names_of
from radapter.segmentation.proposals import Proposals
from radapter.zeroshot import evaluating, name_key

MODELS: dict[str, type[nn.Module]] = {
    "maskformer": MaskFormerForInstanceSegmentation,
    "mask2former": Mask2FormerForUniversalSegmentation,
}
_QUERIES = 8  # masks enlarged at a time: each is a float32 image until it is halved


@final
class TransformersProposer:
    """Makes a region of every query of a mask-classification model. Raises ConfigError if it does not know a class.

    Args:
        model: Its output has masks_queries_logits (1, Q, h, w) and class_queries_logits (1, Q, K + 1).
        processor: The model's image processor: an image to pixel_values (1, 3, h, w), perhaps with a pixel_mask.
        classnames: C classes, each a name or synonyms separated by commas, all among the model's own K. Proposals
            then have their probabilities, summed over synonyms; None for no class scores.
    """

    def __init__(self, model: nn.Module, processor: Any, *, classnames: Sequence[str] | None = None) -> None:
        self._model = model
        self._processor = processor
        self._columns = None if classnames is None else _columns(model, classnames)

    @classmethod
    def from_folder(cls, folder: Path, *, classnames: Sequence[str] | None = None) -> "TransformersProposer":
        """Loads a local folder of transformers, in float32; nothing is downloaded and no code of the folder runs.

        Raises ModelError if the model is not in MODELS, or files are missing or wrong, and ConfigError as above.
        """
        for name in ("config.json", "preprocessor_config.json"):
            if not (folder / name).is_file():
                raise ModelError(f"proposer folder must have {name}. '{folder}' has none.")
        check_folder(folder)
        model_type, config = configuration(folder, MODELS)
        processor = image_processor(folder)
        model = with_weights(MODELS[model_type], config, folder, torch.float32)
        return cls(model, processor, classnames=classnames)

    @torch.no_grad()
    def __call__(self, image: Image) -> Proposals:
        """Q regions of an RGB image, masks in half precision on the CPU. Raises ModelError if the model's output is
        not that of mask classification."""
        inputs = self._processor(images=image.convert("RGB"), return_tensors="pt")
        pixels = inputs["pixel_values"].to(next(self._model.parameters()))
        with evaluating(self._model):
            output = self._model(pixel_values=pixels)
        masks = getattr(output, "masks_queries_logits", None)
        classes = getattr(output, "class_queries_logits", None)
        if not isinstance(masks, Tensor) or not isinstance(classes, Tensor) or len(masks) != 1:
            raise ModelError(
                "a proposer must give masks_queries_logits and class_queries_logits of one image. "
                f"{type(self._model).__name__} does not. Use MaskFormer or Mask2Former."
            )
        probabilities = classes[0].float().softmax(-1).cpu()
        enlarged = _enlarged(masks[0].float(), pixels.shape[2:], inputs.get("pixel_mask"), image.size)
        class_scores = None if self._columns is None else probabilities[:, :-1] @ self._columns
        return Proposals(enlarged.cpu(), 1 - probabilities[:, -1], class_scores)


def _enlarged(logits: Tensor, padded: torch.Size, shown: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Mask logits (Q, h, w) as masks of the image, (Q, H, W), half precision; the processor's padding is cut off."""
    width, height = size
    masks = torch.empty(len(logits), height, width, dtype=torch.float16, device=logits.device)
    inner = padded if shown is None else (int(shown[0].any(1).sum()), int(shown[0].any(0).sum()))
    for start in range(0, len(logits), _QUERIES):
        part = logits[None, start : start + _QUERIES]
        if inner != tuple(padded):
            part = F.interpolate(part, tuple(padded), mode="bilinear")[..., : inner[0], : inner[1]]
        part = F.interpolate(part, (height, width), mode="bilinear")
        masks[start : start + _QUERIES] = part[0].sigmoid()
    return masks


def _columns(model: nn.Module, classnames: Sequence[str]) -> Tensor:
    id_to_label: Mapping[int, str] = model.config.id2label  # type: ignore[union-attr, assignment]
    numbers = {name_key(label): int(number) for number, label in id_to_label.items()}
    table = torch.zeros(len(numbers), len(classnames))
    for column, entry in enumerate(classnames):
        rows = [numbers[name_key(name)] for name in names_of(entry) if name_key(name) in numbers]
        if not rows:
            raise ConfigError(
                f"an ensemble needs classes that the proposer knows. '{entry}' is not among its {len(numbers)}."
                f"{did_you_mean(entry, numbers)} Or use the ensemble 'region'."
            )
        table[rows, column] = 1
    return table
