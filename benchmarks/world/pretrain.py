"""Makes the shipped encoder from nothing: `python benchmarks/world/pretrain.py --seed 0 --out DIR`.

    objects  image tower alone: class cross-entropy and object masks through two throw-away heads; difficulty
             rises while the accuracy holds
    pairs    noisy captions, contrastive; the two helpers fade out by half-time
    long     the same with less noise and a floor under the logit scale that rises from 14 to 50 by half-time
    names    the classes of a pair swap names, little other noise; text tower and projections alone

The figures of each stage are in `stages.py`. Everything follows from the seed: weights from its generator, scenes
from their hash. A run that is cut off continues where it last saved.
"""

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pretraining.card import write_card
from pretraining.model import PATCH, new_model, save
from pretraining.score import scores
from pretraining.stages import STAGES, Stage
from torch import Tensor, nn
from transformers import CLIPModel

from radapter.hashing import uniform
from radapter.losses import mpm_nce
from radapter.world import normalised, tokens
from radapter.world.drawing import SIZE, draw
from radapter.world.phrases import captions
from radapter.world.scenes import CLASSES, sample
from radapter.zeroshot import SHORT_TEMPLATES

SCORED_SEED = 1000  # of the pictures behind the card's figures

_SAVE_EVERY = 200  # steps
_HIGHEST_SCALE = 100.0  # CLIP's


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
            self.mask_head = nn.Linear(width, PATCH**2)


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
    trainee = Trainee(new_model(seed, width=width), seed)
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
    save(trainee.model, out / "encoder")
    return trainee.model.eval()


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
        group["lr"] = stage.lr_at(step, steps)
    difficulty = _difficulty(stage, step, seed, progress)
    index = torch.arange(progress.drawn, progress.drawn + stage.batch_size)
    if stage.noise is None:
        scenes, texts = sample(seed, index, difficulty=difficulty, two_objects=0.0, rank_exponent=0.0), None
    else:
        scenes = sample(seed, index, difficulty=difficulty)
        texts = captions(scenes, stage.noise)
    images, masks = draw(scenes)
    loss, figures = _loss(trainee, stage, done, normalised(images), masks, scenes.classes[:, 0], texts)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([p for p in trainee.parameters() if p.grad is not None], 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if stage.noise is not None:
        with torch.no_grad():
            floor = math.log(stage.scale_floor_at(done))
            trainee.model.logit_scale.clamp_(floor, math.log(_HIGHEST_SCALE))
    progress.drawn += stage.batch_size
    progress.accuracy += 0.05 * (figures["label_accuracy"] - progress.accuracy)
    if stage.difficulty is None and progress.accuracy > 0.6:
        progress.difficulty = min(1.0, progress.difficulty + 0.01)
    return {**figures, "difficulty": difficulty}


def _loss(
    trainee: Trainee,
    stage: Stage,
    done: float,
    pixels: Tensor,
    masks: Tensor,
    labels: Tensor,
    texts: list[str] | None,
) -> tuple[Tensor, dict[str, float]]:
    model = trainee.model
    fading = stage.helper_share(done)
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
    side = SIZE // PATCH
    tiles = masks.view(-1, side, PATCH, side, PATCH)
    return tiles.transpose(2, 3).reshape(-1, side * side, PATCH**2)


def _difficulty(stage: Stage, step: int, seed: int, progress: Progress) -> float:
    if stage.difficulty is None:
        return progress.difficulty
    low, high = stage.difficulty
    return low + (high - low) * uniform(seed, torch.tensor([step]), f"difficulty {stage.name}").item()


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
    path.with_suffix(".part").replace(path)


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and the encoder")
    parser.add_argument(
        "--images", type=float, default=1.0, help="multiplies the number of images of every stage"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = pretrain(arguments.out, seed=arguments.seed, scale=arguments.images)
    progress = Progress()
    _load(arguments.out / "state.pt", Trainee(model, arguments.seed), progress)
    write_card(
        arguments.out / "encoder",
        seed=arguments.seed,
        images=progress.drawn,
        minutes=progress.seconds / 60,
        scores=scores(model, SHORT_TEMPLATES, seed=SCORED_SEED),
    )


if __name__ == "__main__":
    main()
