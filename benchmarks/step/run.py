"""What one training step costs: frozen base, full fine-tuning, LoRA and R-Adapter, side by side in one run.

    python benchmarks/step/run.py [--rounds 7] [--threads 2]

The image tower of ViT-B-32 at batch 64 in float32 on a CPU; of ViT-B-16 at batch 256 in bfloat16 on a GPU. Each
round times every variant once, in an order that turns with the round; a ratio is taken inside a round, and the
median over rounds is printed, so that a machine whose speed drifts slows both sides of it. Weights are random:
they do not change the cost.
"""

import argparse
import copy
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from radapter import RAdapterConfig
from radapter.methods.lora import lora_targets
from radapter.storage import write_json, write_text


def base_tower(name: str) -> nn.Module:
    return open_clip.create_model(name, pretrained=None).visual


def frozen(tower: nn.Module) -> nn.Module:
    """No parameter learns; gradients flow to the pixels, through every activation."""
    return tower.requires_grad_(False)


def full(tower: nn.Module) -> nn.Module:
    return tower.requires_grad_(True)


def lora(tower: nn.Module) -> nn.Module:
    tower = tower.requires_grad_(False)
    config = LoraConfig(r=16, lora_alpha=16, target_modules=lora_targets(tower))
    return get_peft_model(tower, config)


def r_adapter(rank: int | None) -> Callable[[nn.Module], nn.Module]:
    def build(tower: nn.Module) -> nn.Module:
        tower = tower.requires_grad_(False)
        return get_peft_model(tower, RAdapterConfig(r=rank))

    return build


VARIANTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "frozen base": frozen,
    "full fine-tuning": full,
    "LoRA r = 16": lora,
    "R-Adapter, full rank": r_adapter(None),
    "R-Adapter, r = 4": r_adapter(4),
}


class Step:
    """One variant's training step on fixed pixels: forward, backward, AdamW."""

    def __init__(self, model: nn.Module, pixels: Tensor, precision: torch.dtype) -> None:
        self.model = model.train()
        trained = [p for p in model.parameters() if p.requires_grad]
        self.trained = sum(p.numel() for p in trained)
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4) if trained else None
        self.pixels = pixels.clone().requires_grad_(not trained)
        self.precision = precision

    def loss(self) -> Tensor:
        """A scalar of the features."""
        wide = self.precision == torch.float32
        with torch.autocast(self.pixels.device.type, dtype=self.precision, enabled=not wide):
            return self.model(self.pixels).float().square().mean()

    def seconds(self) -> float:
        """Of one step."""
        _wait(self.pixels.device)
        started = time.perf_counter()
        self.loss().backward()
        if self.optimizer is not None:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        self.pixels.grad = None
        _wait(self.pixels.device)
        return time.perf_counter() - started

    def saved_bytes(self) -> int:
        """Bytes that autograd keeps for the backward pass, each storage once, parameters aside."""
        own = {p.untyped_storage().data_ptr() for p in self.model.parameters()}
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # itself would hold the graph that holds it, for ever

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = self.loss()
        total = sum(kept.values())
        del loss
        return total


def inference_ratio(name: str, pixels: Tensor, rounds: int) -> float:
    """Time of the merged adapted tower over that of the base, forward only."""
    base = base_tower(name).to(pixels.device).eval()
    adapted = get_peft_model(copy.deepcopy(base), RAdapterConfig(init_weights=False))
    merged = adapted.merge_and_unload().eval()
    ratios = []
    with torch.no_grad():
        for turn in range(rounds + 1):
            times = {}
            for label, tower in [("base", base), ("merged", merged)][:: 1 if turn % 2 else -1]:
                _wait(pixels.device)
                started = time.perf_counter()
                tower(pixels)
                _wait(pixels.device)
                times[label] = time.perf_counter() - started
            ratios.append(times["merged"] / times["base"])
    return statistics.median(ratios[1:])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    name, batch, precision = ("ViT-B-16", 256, torch.bfloat16) if gpu else ("ViT-B-32", 64, torch.float32)
    torch.manual_seed(0)
    pixels = torch.randn(batch, 3, 224, 224, device=device)
    steps = {
        label: Step(build(base_tower(name)).to(device), pixels, precision)
        for label, build in VARIANTS.items()
    }
    saved = {label: step.saved_bytes() for label, step in steps.items()}
    labels = list(steps)
    times: dict[str, list[float]] = {label: [] for label in labels}
    for turn in range(options.rounds + 1):
        for label in labels[turn % len(labels) :] + labels[: turn % len(labels)]:
            seconds = steps[label].seconds()
            if turn:  # the first round warms up
                times[label].append(seconds)
    rows = [
        {
            "variant": label,
            "trained_parameters": steps[label].trained,
            "seconds": statistics.median(times[label]),
            "to_frozen": _ratio(times, label, "frozen base"),
            "to_full": _ratio(times, label, "full fine-tuning"),
            "saved_mib": saved[label] / 2**20,
        }
        for label in labels
    ]
    del steps
    gc.collect()
    merged = inference_ratio(name, pixels, options.rounds)
    where = f"{name}, batch {batch}, {str(precision).removeprefix('torch.')}, {device.type}"
    text = _table(rows, f"{where}, {options.threads} threads, median of {options.rounds} rounds", merged)
    print(text)
    write_text(options.to / "results.md", text + "\n")
    write_json(options.to / "results.json", {"where": where, "rows": rows, "merged_to_base": merged})


def _ratio(times: dict[str, list[float]], label: str, to: str) -> float:
    return statistics.median(a / b for a, b in zip(times[label], times[to], strict=True))


def _table(rows: list[dict], where: str, merged: float) -> str:
    lines = [
        f"One training step of the image tower: {where}.",
        "",
        "| variant | trained | step, s | to frozen base | to full | kept for backward, MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['variant']} | {r['trained_parameters'] / 1e6:.2f} M | {r['seconds']:.3f} | {r['to_frozen']:.2f} | "
        f"{r['to_full']:.2f} | {r['saved_mib']:.0f} |"
        for r in rows
    ]
    return "\n".join([*lines, "", f"Forward of the merged tower, to the base: {merged:.2f}."])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
