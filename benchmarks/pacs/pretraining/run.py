"""One stage of training: AdamW with warm-up and cosine, the running average of the weights, checkpoints, a log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

EVERY = 200


class Run:
    """Steps a module and keeps the average of its weights; continues from `path` when that exists."""

    def __init__(
        self, module: nn.Module, path: Path, *, steps: int, lr: float, seed: int, decay: float
    ) -> None:
        self.module, self.path, self.total, self.lr, self.seed, self.decay = (
            module,
            path,
            steps,
            lr,
            seed,
            decay,
        )
        matrices = [p for p in module.parameters() if p.ndim > 1]
        others = [p for p in module.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)
        self.average = {name: value.clone() for name, value in module.state_dict().items()}
        device = next(module.parameters()).device
        gpu = device.type == "cuda"
        threads = torch.get_num_threads()
        self.machine = (
            f"one {torch.cuda.get_device_name(device)}"
            if gpu
            else f"a CPU, {threads} thread{'s' * (threads != 1)}"
        )
        self.done = 0
        self.earlier = 0.0
        self.started = time.monotonic()
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)
            module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name, value in self.average.items():
                value.copy_(state["average"][name])
            self.done = state["done"]
            self.earlier = state.get("seconds", 0.0)

    def steps(self) -> Iterator[tuple[int, Generator]]:
        """Each remaining step's number and its generator, which depends on the seed and the step alone."""
        while self.done < self.total:
            warmup = min(1.0, (self.done + 1) / (0.04 * self.total))
            cosine = 0.5 * (1 + math.cos(math.pi * self.done / self.total))
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr * warmup * max(cosine, 0.01)
            self.module.train()
            yield self.done, torch.Generator().manual_seed(self.seed * 1_000_003 + self.done)

    def update(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`, and the average after it."""
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        decay = min(self.decay, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            for name, value in self.module.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)

    def is_due(self) -> bool:
        """Whether this step is one to save and to score."""
        return self.done % EVERY == 0 or self.done == self.total

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in evaluation mode, inside the block."""
        kept = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.average)
        self.module.eval()
        try:
            yield
        finally:
            self.module.load_state_dict(kept)
            self.module.train()

    def seconds(self) -> float:
        """Wall time of this stage, the time before a stop included."""
        return self.earlier + time.monotonic() - self.started

    def save(self) -> None:
        """Everything needed to go on, beside the old file and then in its place."""
        state = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        beside = self.path.with_suffix(".tmp")
        state |= {
            "average": self.average,
            "done": self.done,
            "seconds": self.seconds(),
            "machine": self.machine,
        }
        torch.save(state, beside)
        beside.replace(self.path)

    def log(self, values: dict[str, float]) -> None:
        """One line of JSON."""
        row = {"stage": self.path.stem, "step": self.done, "of": self.total, "seconds": round(self.seconds())}
        print(json.dumps(row | {name: round(value, 3) for name, value in values.items()}), flush=True)
