"""What an encoder of the world can do before any fine-tuning: naming under shift, and retrieval."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPModel

from radapter.world import normalised, tokens
from radapter.world.phrases import FULL, captions
from radapter.world.task import OOD, WorldSplit, split

_BATCH = 200


def scores(
    model: CLIPModel, templates: Sequence[str], *, seed: int = 0, images: int = 1000
) -> dict[str, float]:
    """Zero-shot top-1 on the task's ID test set and on every OOD set, and retrieval on held-out scenes.

    Args:
        model: an encoder of the world, in evaluation mode.
        templates: prompts, each with one "{}".
        seed: of the pictures.
        images: per set; the ID test set has at most 800, retrieval uses at most 300.

    Returns:
        Fractions: "id_test", one entry for each of `OOD`, "ood_mean", "i2t_r1", "t2i_r1".
    """
    found = {"id_test": zero_shot(model, split("id_test", seed=seed, size=min(800, images)), templates)}
    for name in OOD:
        found[name] = zero_shot(model, split(name, seed=seed, size=images), templates)
    found["ood_mean"] = sum(found[name] for name in OOD) / len(OOD)
    found["i2t_r1"], found["t2i_r1"] = recall_at_1(model, split("scenes", seed=seed, size=min(300, images)))
    return found


def zero_shot(model: CLIPModel, images: WorldSplit, templates: Sequence[str]) -> float:
    """Top-1 accuracy with template-averaged class names, a fraction."""
    with torch.inference_mode():
        prompts = [t.format(name) for name in images.classnames for t in templates]
        features = text_features(model, prompts).view(len(images.classnames), len(templates), -1)
        head = F.normalize(features.mean(1), dim=-1)  # (C, E)
        predicted = (image_features(model, images.images) @ head.T).argmax(1)
    return (predicted == images.labels).double().mean().item()


def recall_at_1(model: CLIPModel, images: WorldSplit) -> tuple[float, float]:
    """Image-to-text and text-to-image R@1 with full captions; scenes that share a caption are each other's hits."""
    texts = captions(images.scenes, FULL)
    number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    caption = torch.tensor([number[text] for text in texts])
    with torch.inference_mode():
        similarity = image_features(model, images.images) @ text_features(model, texts).T
    image_to_text = (caption[similarity.argmax(1)] == caption).double().mean().item()
    text_to_image = (caption[similarity.argmax(0)] == caption).double().mean().item()
    return image_to_text, text_to_image


def image_features(model: CLIPModel, images: Tensor) -> Tensor:
    """Unit-norm features (N, E) of images (N, 3, 48, 48), uint8."""
    parts = (
        model.vision_model(pixel_values=normalised(part)).pooler_output
        for part in torch.split(images, _BATCH)
    )
    return F.normalize(torch.cat([model.visual_projection(part) for part in parts]), dim=-1)


def text_features(model: CLIPModel, texts: Sequence[str]) -> Tensor:
    """Unit-norm features (N, E) of N texts."""
    ids = tokens.tokenizer()(
        list(texts), padding="max_length", truncation=True, max_length=tokens.CONTEXT, return_tensors="pt"
    ).input_ids
    parts = (model.text_model(input_ids=part).pooler_output for part in torch.split(ids, _BATCH))
    return F.normalize(torch.cat([model.text_projection(part) for part in parts]), dim=-1)
