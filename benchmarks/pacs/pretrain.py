"""Make the small dual encoder of this benchmark from nothing: `python benchmarks/pacs/pretrain.py`.

Two stages on one half of every PACS domain, CIFAR-10 and Flickr8k: a convolutional teacher, then a plain
`CLIPModel` that learns captions, labels and the teacher's view of each picture. A stage that was stopped
continues from its last checkpoint in `--work`. encoder/README.md says what came out. The encoder of
benchmarks/flickr8k is made by it too: more captions, and those of one half of the photographs alone.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from pretraining.augment import mix
from pretraining.card import unseen_accuracy, write_card
from pretraining.images import CLASSES, DOMAINS, PACS_CLASSES, Images
from pretraining.run import Run
from pretraining.sources import SIZE, WORDS, Sources
from pretraining.student import (
    TEMPLATES,
    build_clip,
    build_image_processor,
    build_tokenizer,
    text_features,
    tokens_of,
    words_of,
    zero_shot_head,
)
from pretraining.teacher import Teacher
from torch import Tensor, nn
from transformers import CLIPModel, PreTrainedTokenizerFast

TEACHER = {"widths": (32, 64, 160, 320), "blocks": (1, 1, 1, 1)}
VOCABULARY = 1500
BATCH_SIZE = 128
LOWEST_SCALE, HIGHEST_SCALE = 10.0, 50.0


def train_teacher(
    sources: Sources, work: Path, *, steps: int, batch_size: int, lr: float, seed: int, device: torch.device
) -> Teacher:
    """Cross-entropy on the classes, binary cross-entropy on the words of Flickr8k's captions."""
    torch.manual_seed(seed)
    teacher = Teacher(len(CLASSES), WORDS, **TEACHER).to(device, memory_format=torch.channels_last)
    run = Run(teacher, work / "teacher.pt", steps=steps, lr=lr, seed=seed, decay=0.9985)
    for _, generator in run.steps():
        batch = sources.batch(batch_size, generator, device)
        labelled = len(batch.labels)
        targets = F.one_hot(batch.labels, len(CLASSES)).float()
        images, targets = mix(batch.views[:labelled], targets, generator, probability=0.5)
        views = torch.cat([images, batch.views[labelled:]]).to(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            output = teacher(views)
        loss = F.cross_entropy(output.logits[:labelled].float(), targets, label_smoothing=0.05)
        words = output.words[labelled:].float()
        loss = loss + 2 * F.binary_cross_entropy_with_logits(words, batch.bags)
        run.update(loss)
        if run.is_due():
            run.save()
            with run.averaged():
                run.log(
                    {"loss": loss.item()} | accuracy(lambda x: teacher(x).logits, sources.validation, device)
                )
    teacher.load_state_dict(run.average)
    return teacher.eval()


class Student(nn.Module):
    """The encoder, and two heads that training needs and nobody ships."""

    def __init__(self, clip: CLIPModel, teacher_width: int) -> None:
        super().__init__()
        width = clip.config.vision_config.hidden_size
        self.clip = clip
        self.classes = nn.Linear(width, len(CLASSES))
        self.dense = nn.Linear(width, teacher_width)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image features (B, E), class logits (B, C), and a map (B, P, D) to compare with the teacher's."""
        output = self.clip.vision_model(views, output_hidden_states=True)
        patches = output.hidden_states[-2][:, 1:]
        pooled = output.pooler_output
        return self.clip.visual_projection(pooled), self.classes(pooled), self.dense(patches)


def train_student(
    sources: Sources,
    teacher: Teacher,
    work: Path,
    *,
    steps: int,
    batch_size: int,
    lr: float,
    seed: int,
    device: torch.device,
    fast: bool,
) -> None:
    """Captions and the teacher, on the same views.

    loss = class captions + 0.5 (a plain class head + Flickr8k's captions) + the teacher's map, where the
    targets of classes are 0.4 the label and 0.6 what the teacher says of this view.
    """
    torch.manual_seed(seed + 1)
    tokenizer = build_tokenizer(vocabulary(sources), VOCABULARY)
    student = Student(build_clip(len(tokenizer), SIZE), TEACHER["widths"][2]).to(device)
    run = Run(student, work / "student.pt", steps=steps, lr=lr, seed=seed + 1, decay=0.999)
    look = torch.compile(student) if fast else student
    for step, generator in run.steps():
        batch = sources.batch(batch_size, generator, device)
        labelled = len(batch.labels)
        targets = F.one_hot(batch.labels, len(CLASSES)).float()
        images, targets = mix(batch.views[:labelled], targets, generator, probability=0.3)
        views = torch.cat([images, batch.views[labelled:]])
        with torch.autocast(device.type, torch.bfloat16):
            with torch.no_grad():
                taught = teacher(views.to(memory_format=torch.channels_last))
            features, logits, dense = look(views)
        features = F.normalize(features.float(), dim=-1)
        said = taught.logits[:labelled].float().softmax(1)
        targets = 0.4 * targets + 0.6 * said

        captions = class_captions(generator) + flickr_captions(sources, batch.flickr, generator)
        with torch.autocast(device.type, torch.bfloat16):
            texts = text_features(student.clip, tokens_of(tokenizer, captions))
        scale = student.clip.logit_scale.exp()
        class_logits = scale * features[:labelled] @ texts[: len(CLASSES)].T
        pair_logits = scale * features[labelled:] @ texts[len(CLASSES) :].T
        expected = F.layer_norm(taught.features.float().flatten(2).mT, (dense.shape[-1],))
        loss = (
            contrastive(class_logits, targets)
            + 0.5 * F.cross_entropy(logits[:labelled].float(), targets)
            + 0.5 * contrastive(pair_logits, torch.eye(len(pair_logits), device=device))
            + F.mse_loss(dense.float(), expected)
        )
        run.update(loss)
        with torch.no_grad():
            student.clip.logit_scale.clamp_(math.log(lowest_scale(step / steps)), math.log(100))
        if run.is_due():
            run.save()
            with run.averaged():
                scores = accuracy(zero_shot(student.clip, tokenizer), sources.validation, device)
                save_encoder(student.clip, tokenizer, work / "encoder")
            run.log({"loss": loss.item(), "scale": scale.item()} | scores)


def contrastive(logits: Tensor, targets: Tensor) -> Tensor:
    """Soft targets (B, C) of image-to-text, and half as much of text-to-image, where a text has an image."""
    columns = targets.sum(0)
    present = columns > 1e-3
    to_image = -(targets * logits.log_softmax(0)).sum(0)[present] / columns[present]
    return F.cross_entropy(logits, targets) + 0.25 * to_image.mean()


def lowest_scale(progress: float) -> float:
    """The floor under the logit scale; it rises over the first half, since the scale does not by itself."""
    return float(LOWEST_SCALE * (HIGHEST_SCALE / LOWEST_SCALE) ** min(1.0, 2 * progress))


def class_captions(generator: torch.Generator) -> list[str]:
    """One caption a class, in a template drawn for it."""
    chosen = torch.randint(0, len(TEMPLATES), (len(CLASSES),), generator=generator).tolist()
    return [TEMPLATES[index].format(name) for index, name in zip(chosen, CLASSES, strict=True)]


def flickr_captions(sources: Sources, rows: Tensor, generator: torch.Generator) -> list[str]:
    """One of the captions of each picture."""
    captions = [sources.flickr8k.captions[row] for row in rows.tolist()]
    chosen = torch.rand(len(captions), generator=generator).tolist()
    return [texts[int(place * len(texts))] for texts, place in zip(captions, chosen, strict=True)]


def vocabulary(sources: Sources) -> list[str]:
    """Class names and templates first, then the captions' words by frequency."""
    common = ["a", "an", "the", "in", "on", "is", "of", "with", "and", ",", ".", "'", "s", "-"]
    return words_of(CLASSES) + words_of(TEMPLATES) + common + sources.frequent_words


def zero_shot(clip: CLIPModel, tokenizer: PreTrainedTokenizerFast) -> Callable[[Tensor], Tensor]:
    """Views -> cosines with the seven classes of PACS."""
    head = zero_shot_head(clip, tokenizer, PACS_CLASSES)
    return lambda views: clip.visual_projection(clip.vision_model(views).pooler_output).float() @ head.T


@torch.no_grad()
def accuracy(logits: Callable[[Tensor], Tensor], images: Images, device: torch.device) -> dict[str, float]:
    """Share of right answers among PACS's seven classes, by domain and their mean, of pictures as they are."""
    guesses = []
    for pixels in images.pixels.split(256):
        views = pixels.permute(0, 3, 1, 2).float() / 255
        views = F.interpolate(views, SIZE, mode="bicubic", antialias=True).clamp(0, 1)
        with torch.autocast(device.type, torch.bfloat16):
            guesses.append(logits((views * 2 - 1).to(device))[:, : len(PACS_CLASSES)].argmax(1).cpu())
    right = (torch.cat(guesses) == images.labels).double()
    scores = {name: right[images.domains == i].mean().item() for i, name in enumerate(DOMAINS)}
    return scores | {"mean": sum(scores.values()) / len(scores)}


def save_encoder(clip: CLIPModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """A plain transformers folder in half precision; the weights at hand stay as they are."""
    half = CLIPModel(clip.config)
    half.load_state_dict(clip.state_dict())
    half.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    build_image_processor(SIZE).save_pretrained(folder)


def publish(
    root: Path,
    work: Path,
    folder: Path,
    *,
    name: str,
    steps: Mapping[str, int],
    flickr_part: tuple[float, float],
    flickr_share: float,
) -> None:
    """Copies the encoder to `folder` with a card that tells its scores on the unseen half.

    `steps` are those that each stage was to take; the card says how many it took.
    """
    taken = {
        stage: torch.load(work / f"{stage}.pt", map_location="cpu", weights_only=True)
        for stage in ("teacher", "student")
    }
    told = {}
    for stage, state in taken.items():
        whole = "" if state["done"] == steps[stage] else f" of {steps[stage]:,}"
        told[stage] = f"{state['done']:,}{whole} batches of {BATCH_SIZE}"
    minutes = sum(state["seconds"] for state in taken.values()) / 60
    shutil.copytree(work / "encoder", folder, dirs_exist_ok=True)
    scores = unseen_accuracy(folder, root)
    write_card(
        folder,
        scores,
        name=name,
        flickr_part=flickr_part,
        flickr_share=flickr_share,
        minutes=minutes,
        machine=" and ".join(dict.fromkeys(state["machine"] for state in taken.values())),
        **told,
    )
    print({name: round(score, 4) for name, (score, _) in scores.items()}, flush=True)


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("RADAPTER_DATA", str(here.parents[2] / "shared" / "data"))
    parser.add_argument(
        "--data", type=Path, default=Path(default), help="folder with pacs, cifar10 and flickr8k"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("runs/pacs-pretraining"), help="checkpoints, encoder"
    )
    parser.add_argument("--name", default="PACS", help="of the benchmark, for the card")
    parser.add_argument(
        "--flickr-part",
        type=float,
        nargs=2,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="content fractions of the pictures of Flickr8k's training set that are shown",
    )
    parser.add_argument("--flickr-share", type=float, default=0.15, help="of every batch")
    parser.add_argument("--teacher-steps", type=int, default=4500)
    parser.add_argument("--student-steps", type=int, default=4000)
    parser.add_argument("--to", type=Path, default=here / "encoder", help="where the encoder goes at the end")
    parser.add_argument("--publish", action="store_true", help="train nothing: publish what --work holds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="such as cuda")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the student; needs a C++ compiler"
    )
    options = parser.parse_args()
    shown = {"flickr_part": tuple(options.flickr_part), "flickr_share": options.flickr_share}
    steps = {"teacher": options.teacher_steps, "student": options.student_steps}
    if options.publish:
        return publish(options.data, options.work, options.to, name=options.name, steps=steps, **shown)
    options.work.mkdir(parents=True, exist_ok=True)
    sources = Sources(options.data, options.work, **shown)
    common = {"batch_size": BATCH_SIZE, "seed": options.seed, "device": options.device}
    teacher = train_teacher(sources, options.work, steps=options.teacher_steps, lr=2e-3, **common)
    train_student(
        sources, teacher, options.work, steps=options.student_steps, lr=1e-3, fast=options.compile, **common
    )
    publish(options.data, options.work, options.to, name=options.name, steps=steps, **shown)


if __name__ == "__main__":
    main()
