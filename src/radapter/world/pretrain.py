"""Makes the shipped encoder from nothing: `python -m radapter.world.pretrain --seed 0 --out DIR`.

Contrastive learning from scratch stays at chance on a CPU's budget, so it starts from help that only a drawn
world can give, and ends without it:

    objects  image tower alone: class cross-entropy and object masks through two throw-away heads; difficulty
             rises while the accuracy holds
    pairs    noisy captions, contrastive; the two helpers fade out by half-time
    long     the same with less noise and a floor under the logit scale that rises from 14 to 50 by half-time
             (learned, it would stay near 14)
    names    clean captions; text tower and projections alone

Everything follows from the seed: weights from its generator, scenes from their hash. A run that is cut off
continues where it last saved.
"""

import argparse
import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel

from radapter.losses import mpm_nce
from radapter.world import clip, tokens
from radapter.world.phrases import WEB, captions
from radapter.world.drawing import SIZE, draw
from radapter.world.hashing import uniform
from radapter.world.scenes import CLASSES, sample

_SCALE_LOW, _SCALE_HIGH = 14.0, 50.0
_WARMUP = 100
_SAVE_EVERY = 200  # steps


@dataclasses.dataclass(frozen=True)
class Stage:
    """One part of the recipe.

    Attributes:
        name: of the stage.
        images: drawn in it.
        batch_size: images a step.
        lr: the highest learning rate, after the warm-up; cosine to zero where `cosine`.
        noise: of the captions; None trains without captions.
        helpers: weight of the class and mask losses at the start of the stage; they fade to zero by half-time
            where there are captions.
        difficulty: lowest and highest of the scenes, one draw a step; None raises it while accuracy holds.
        cosine: whether the learning rate decays.
        text_only: whether the image tower stays as it is.
    """

    name: str
    images: int
    batch_size: int
    lr: float
    noise: Mapping[str, float] | None
    helpers: tuple[float, float] = (0.0, 0.0)
    difficulty: tuple[float, float] | None = (0.7, 1.5)
    cosine: bool = True
    text_only: bool = False


_LESS_NOISE = {"synonym": 0.3, "hypernym": 0.2, "sibling": 0.05, "wrong": 0.05, "pair": 0.1, "careless": 0.3}
STAGES = (
    Stage("objects", 90_000, 128, 1e-3, None, helpers=(1.0, 2.0), difficulty=None, cosine=False),
    Stage("pairs", 160_000, 256, 1e-3, WEB, helpers=(1.0, 2.0), difficulty=(0.7, 1.2)),
    Stage("long", 1_150_000, 320, 8e-4, _LESS_NOISE, helpers=(0.5, 0.5)),
    Stage("names", 100_000, 320, 6e-4, {"synonym": 0.15, "careless": 0.3}, text_only=True),
)


class Trainee(nn.Module):
    """The encoder with its two throw-away helpers.

    Attributes:
        model: the encoder.
        label_head: class of the first object from the pooled image.
        mask_head: each patch's pixels from its last hidden state.
    """

    def __init__(self, model: CLIPModel, seed: int) -> None:
        super().__init__()
        self.model = model
        width = model.config.vision_config.hidden_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.label_head = nn.Linear(width, len(CLASSES))
            self.mask_head = nn.Linear(width, clip.PATCH**2)


@dataclasses.dataclass
class Progress:
    """Where a run stands; everything else in a checkpoint is tensors."""

    stage: int = 0
    step: int = 0
    drawn: int = 0
    difficulty: float = 0.0
    accuracy: float = 0.0
    seconds: float = 0.0


def pretrain(
    out: Path, *, seed: int = 0, scale: float = 1.0, stages: Sequence[Stage] = STAGES, width: int = 128
) -> CLIPModel:
    """Trains an encoder from nothing, or goes on from what `out` holds.

    Args:
        out: folder for `state.pt`, one `after-STAGE.pt` a stage, `log.jsonl` and, at the end, `encoder/`.
        seed: of the weights and of the scenes.
        scale: multiplies every stage's number of images.
        stages: the recipe.
        width: of both towers.

    Returns:
        The encoder, in evaluation mode.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainee = Trainee(clip.new_model(seed, width=width), seed)
    # bf16 products are four times as fast here, and plain attention is what profits: the fused backward does not.
    trainee.model.set_attn_implementation("eager")
    progress = Progress()
    held = _load(out / "state.pt", trainee, progress)
    for number in range(progress.stage, len(stages)):
        stage = stages[number]
        steps = max(1, round(stage.images * scale / stage.batch_size))
        optimizer = _optimizer(trainee, stage)
        if held is not None:
            optimizer.load_state_dict(held)
            held = None
        began = time.monotonic() - progress.seconds
        for step in range(progress.step, steps):
            figures = _train_step(trainee, optimizer, stage, step, steps, seed, progress)
            progress.step, progress.seconds = step + 1, time.monotonic() - began
            if progress.step % _SAVE_EVERY == 0 or progress.step == steps:
                _log(out, stage, progress, figures)
                _save(out / "state.pt", trainee, optimizer, progress)
        progress.stage, progress.step = number + 1, 0
        _save(out / "state.pt", trainee, None, progress)
        _save(out / f"after-{stage.name}.pt", trainee, None, progress)
    trainee.model.set_attn_implementation("sdpa")
    model = trainee.model.eval()
    clip.save(model, out / "encoder")
    return model


def _train_step(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    stage: Stage,
    step: int,
    steps: int,
    seed: int,
    progress: Progress,
) -> dict[str, float]:
    done = step / steps
    for group in optimizer.param_groups:
        group["lr"] = stage.lr * min(1.0, (step + 1) / _WARMUP) * (math.cos(math.pi * done / 2) ** 2 if stage.cosine else 1)
    difficulty = _difficulty(stage, step, seed, progress)
    index = torch.arange(progress.drawn, progress.drawn + stage.batch_size)
    single = stage.noise is None
    scenes = sample(seed, index, difficulty=difficulty, two_objects=0.0 if single else 0.15, rank_exponent=0.0 if single else 0.5)
    images, masks = draw(scenes)
    loss, figures = _loss(trainee, stage, done, clip.normalised(images), masks, scenes.classes[:, 0], _texts(stage, scenes))
    loss.backward()
    nn.utils.clip_grad_norm_([p for p in trainee.parameters() if p.grad is not None], 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if stage.noise is not None:
        _raise_scale(trainee.model, stage, done)
    progress.drawn += stage.batch_size
    progress.accuracy += 0.05 * (figures["label_accuracy"] - progress.accuracy)
    if stage.difficulty is None and progress.accuracy > 0.6:
        progress.difficulty = min(1.0, progress.difficulty + 0.01)
    return {**figures, "difficulty": difficulty}


def _texts(stage: Stage, scenes: Any) -> list[str] | None:
    return None if stage.noise is None else captions(scenes, **stage.noise)


def _loss(
    trainee: Trainee, stage: Stage, done: float, pixels: Tensor, masks: Tensor, labels: Tensor, texts: list[str] | None
) -> tuple[Tensor, dict[str, float]]:
    model = trainee.model
    fading = 1.0 if texts is None else max(0.0, 1 - 2 * done)
    figures = {"label_accuracy": 0.0}
    loss = torch.zeros(())
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(not stage.text_only):
        vision = model.vision_model(pixel_values=pixels)
    if fading * max(stage.helpers) > 0:
        logits = trainee.label_head(vision.pooler_output.float())
        mask_logits = trainee.mask_head(vision.last_hidden_state[:, 1:].float())
        label_loss = F.cross_entropy(logits, labels)
        mask_loss = F.binary_cross_entropy_with_logits(mask_logits, _patches(masks > 0).to(mask_logits.dtype))
        loss = loss + fading * (stage.helpers[0] * label_loss + stage.helpers[1] * mask_loss)
        figures["label_accuracy"] = (logits.argmax(1) == labels).float().mean().item()
        figures["mask_loss"] = mask_loss.item()
    if texts is not None:
        distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        targets = torch.tensor([distinct[text] for text in texts])
        with torch.autocast("cpu", torch.bfloat16):
            text = model.text_model(input_ids=tokens.encode(list(distinct)))
        image_features = F.normalize(model.visual_projection(vision.pooler_output.float()), dim=-1)
        text_features = F.normalize(model.text_projection(text.pooler_output.float()), dim=-1)[targets]
        # Scenes that share a caption are each other's positives: 320 short captions repeat themselves.
        contrast = mpm_nce(image_features, text_features, targets, model.logit_scale.exp(), margin=0.0)
        loss = loss + contrast
        figures["contrast"] = contrast.item()
        figures["logit_scale"] = model.logit_scale.exp().item()
    figures["loss"] = loss.item()
    return loss, figures


def _patches(masks: Tensor) -> Tensor:
    side = SIZE // clip.PATCH
    tiles = masks.view(-1, side, clip.PATCH, side, clip.PATCH)
    return tiles.transpose(2, 3).reshape(-1, side * side, clip.PATCH**2)


def _difficulty(stage: Stage, step: int, seed: int, progress: Progress) -> float:
    if stage.difficulty is None:
        return progress.difficulty
    low, high = stage.difficulty
    return low + (high - low) * uniform(seed, torch.tensor([step]), f"difficulty {stage.name}").item()


def _raise_scale(model: CLIPModel, stage: Stage, done: float) -> None:
    rise = {"long": min(1.0, 2 * done), "names": 1.0}.get(stage.name, 0.0)
    floor = math.log(_SCALE_LOW) + rise * (math.log(_SCALE_HIGH) - math.log(_SCALE_LOW))
    with torch.no_grad():
        model.logit_scale.clamp_(floor, math.log(100.0))


def _optimizer(trainee: Trainee, stage: Stage) -> torch.optim.Optimizer:
    model = trainee.model
    trained = list(_trained(trainee, stage))
    for parameter in trainee.parameters():
        parameter.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    trainee.train()
    if stage.noise is None:
        model.logit_scale.requires_grad_(False)
    matrices = [p for p in trained if p.ndim >= 2]
    others = [p for p in trained if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=stage.lr, betas=(0.9, 0.98), fused=True)


def _trained(trainee: Trainee, stage: Stage) -> Iterator[nn.Parameter]:
    model = trainee.model
    if stage.text_only:
        modules = [model.text_model, model.text_projection, model.visual_projection]
    elif stage.noise is None:
        modules = [model.vision_model, trainee.label_head, trainee.mask_head]
    else:
        yield model.logit_scale
        modules = [*model.children(), trainee.label_head, trainee.mask_head]
    for module in modules:
        yield from module.parameters()


def _log(out: Path, stage: Stage, progress: Progress, figures: Mapping[str, float]) -> None:
    line = {"stage": stage.name, **dataclasses.asdict(progress), **figures}
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}) + "\n")


def _save(path: Path, trainee: Trainee, optimizer: torch.optim.Optimizer | None, progress: Progress) -> None:
    state = {
        "trainee": trainee.state_dict(),
        "optimizer": None if optimizer is None else optimizer.state_dict(),
        "progress": dataclasses.asdict(progress),
    }
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def _load(path: Path, trainee: Trainee, progress: Progress) -> dict[str, Any] | None:
    if not path.exists():
        return None
    state = torch.load(path, weights_only=True)
    trainee.load_state_dict(state["trainee"])
    for name, value in state["progress"].items():
        setattr(progress, name, value)
    optimizer: dict[str, Any] | None = state["optimizer"]
    return optimizer


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and the encoder")
    parser.add_argument("--images", type=float, default=1.0, help="multiplies the number of images of every stage")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pretrain(arguments.out, seed=arguments.seed, scale=arguments.images)


if __name__ == "__main__":
    main()
