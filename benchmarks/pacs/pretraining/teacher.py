"""A small convolutional network: it learns from five thousand pictures what a transformer does not.

The student imitates its class probabilities and its 8 x 8 map of features (Touvron et al., DeiT, 2021; Beyer et
al., "A good teacher is patient and consistent", 2022: teacher and student see the same augmented view). It is
not shipped.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class TeacherOutput(NamedTuple):
    """logits: (B, C); words: (B, V) logits of caption words; features: (B, D, size / 8, size / 8)."""

    logits: Tensor
    words: Tensor
    features: Tensor


class Teacher(nn.Module):
    """A ResNet of four stages at strides 2, 4, 8, 16."""

    def __init__(self, classes: int, words: int, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        stages, width = [], widths[0]
        for stage, (out, count) in enumerate(zip(widths, blocks, strict=True)):
            layers = []
            for index in range(count):
                layers.append(_Block(width, out, 2 if stage and not index else 1))
                width = out
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(width, classes)
        self.words = nn.Linear(width, words)

    def forward(self, images: Tensor) -> TeacherOutput:
        """(B, 3, H, W) in [-1, 1] to logits and the map of the third stage."""
        x = self.stem(images)
        for stage in self.stages[:3]:
            x = stage(x)
        pooled = self.stages[3](x).mean((2, 3))
        return TeacherOutput(self.head(pooled), self.words(pooled), x)


class _Block(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        nn.init.zeros_(self.norm2.weight)
        same = width == out and stride == 1
        self.short = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.short(x) + self.norm2(self.conv2(inner)))
