"""What a step keeps beyond the weights, with and without gradient checkpointing: counted, not timed.

    python benchmarks/memory/checkpointing.py [--model open_clip:ViT-B-32] [--batches 16 64]

One step of R-Adapter, full matrices in both towers, float32, random pixels and tokens: the activations that autograd
keeps, and a gradient and AdamW's two moments for each trained number. The count is the same on every machine.
"""

import argparse
from pathlib import Path

import torch
from peft import get_peft_model

import radapter
from radapter.adapter import coins, use_coins
from radapter.methods import count_trained
from radapter.storage import write_text
from radapter.training import step_bytes


def kept(model: str, batch: int) -> tuple[float, float, float]:
    """MiB that a step keeps without and with checkpointing, and what gradients and moments take of both."""
    encoder = radapter.load(model)
    encoder.requires_grad_(False)
    get_peft_model(encoder.module, radapter.RAdapterConfig())
    encoder.train()
    pixels = torch.randn(batch, 3, encoder.image_size, encoder.image_size)
    tokens = torch.randint(1, encoder.towers.vocab_size, (batch, encoder.context_length))
    source = coins.HashCoins(0, 0, {"image": torch.arange(batch), "text": torch.arange(batch)})

    def loss() -> torch.Tensor:
        image_features, text_features = encoder(pixels, tokens)
        return (image_features @ text_features.T).sum()

    with use_coins(encoder, source):
        plain = step_bytes(encoder, loss)
        with encoder.checkpointing():
            checkpointed = step_bytes(encoder, loss)
    return plain / 2**20, checkpointed / 2**20, 3 * 4 * count_trained(encoder) / 2**20


def main() -> None:
    """Counts and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="open_clip:ViT-B-32")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    lines = [
        f"One step of R-Adapter on {options.model}, float32, MiB beyond the weights.",
        "",
        "| pairs | without | checkpointed | of both, gradients and moments |",
        "|---:|---:|---:|---:|",
    ]
    for batch in options.batches:
        plain, checkpointed, fixed = kept(options.model, batch)
        lines.append(f"| {batch} | {plain:.0f} | {checkpointed:.0f} | {fixed:.0f} |")
    text = "\n".join(lines)
    print(text)
    write_text(options.to / "checkpointing.md", text + "\n")


if __name__ == "__main__":
    main()
