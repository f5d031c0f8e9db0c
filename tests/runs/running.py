"""Runs of the synthetic benchmark's tiny CLIP, their weights, and signals that stop them."""

import os
import signal
from pathlib import Path

import torch
from safetensors.torch import load_file

import radapter
from radapter.methods import find_method
from radapter.runs.directory import RunDirectory, run_method
from radapter.runs.results import Results
from radapter.training import Environment, StopSignal


def run(out: Path, suite, recipe, method: str = "r-adapter", *, resume=False, rule=None, **around) -> Results:
    directory, environment = RunDirectory(out, "a: 1\n", resume), Environment(**around)
    row, model = find_method(method, suite.task), radapter.load("world:tiny")
    return run_method(directory, row, model, suite, recipe, rule=rule, environment=environment)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of a run, except its checkpoints."""
    files = [f for f in sorted(folder.rglob("*.safetensors")) if "checkpoints" not in f.parts]
    return {f"{f.name}/{n}": t for f in files for n, t in load_file(f).items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return (
        bool(first) and first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
    )


def stop_at(step: int):
    """A callback that sends SIGTERM after a step."""

    def report(progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return report


class StopAfter(StopSignal):
    """A stop signal that is also the callback that counts its steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def __call__(self, _: object) -> None:
        self.left -= 1
        self.asked = self.left <= 0
