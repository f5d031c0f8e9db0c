"""What each of four processes does with the tiled loss: alone, in pairs, and all together.

One start of the processes serves every case, since importing costs more than computing.
"""

import os
from pathlib import Path

import torch
from peft import get_peft_model
from torch import distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from transformers import CLIPConfig, CLIPModel

from radapter import RAdapterConfig, mpm_nce_tiled
from radapter.losses import Parts

WORLDS = (1, 2, 4)
PARTS = {1: (11,), 2: (7, 4), 4: (4, 3, 3, 1)}  # rows of each process of a world
TARGETS = {
    "repeated": [0, 0, 1, 2, 3, 1, 2, 2, 4, 0, 5],
    "unique": list(range(11)),
    "one class": [3] * 11,
}
BOTH = {"margin": 0.2, "label_smoothing": 0.1}
CASES = {  # targets, dtype, options, what becomes of the gradients
    "repeated": ("repeated", torch.float64, BOTH, "mean"),
    "repeated, plain": ("repeated", torch.float64, {"margin": 0.0}, "mean"),
    "repeated, single precision": ("repeated", torch.float32, BOTH, "mean"),
    "repeated, summed, sizes given": ("repeated", torch.float64, BOTH, "sum"),
    "unique": ("unique", torch.float64, BOTH, "mean"),
    "one class": ("one class", torch.float64, BOTH, "mean"),
}
STEPS = 5


def global_batch(dtype):
    """Image and text features, (11, 6) each."""
    both = torch.randn(2, 11, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return F.normalize(both, dim=-1).to(dtype).unbind()


def gradients(loss, own, dtype):
    """Value and gradients on the rows `own`; `loss` takes features and scale."""
    images, texts = (t[own].clone().requires_grad_() for t in global_batch(dtype))
    scale = torch.tensor(20.0, dtype=dtype, requires_grad=True)
    value = loss(images, texts, scale)
    value.backward()
    return [value.detach(), images.grad, texts.grad, scale.grad]


class Pair(nn.Module):
    """A small CLIP with adapters, in float64, whose forward DDP can wrap; the logit scale trains too."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        tower = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = CLIPConfig(
            text_config=tower
            | {"vocab_size": 20, "max_position_embeddings": 5, "bos_token_id": 0, "eos_token_id": 19},
            vision_config=tower | {"image_size": 8, "patch_size": 4},
            projection_dim=6,
        )
        self.clip = get_peft_model(CLIPModel(config).double(), RAdapterConfig(adapter_drop=0.0))
        self.log_scale = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, pixels, tokens):
        out = self.clip(pixel_values=pixels, input_ids=tokens)
        return (
            F.normalize(out.image_embeds, dim=-1),
            F.normalize(out.text_embeds, dim=-1),
            self.log_scale.exp(),
        )


def trained(model, loss, parts, rank):
    """What five AdamW steps on the rows of `rank` make of the trained parameters."""
    pair = getattr(model, "module", model)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)
    generator = torch.Generator().manual_seed(1)
    own = slice(sum(parts[:rank]), sum(parts[: rank + 1]))
    for _ in range(STEPS):
        pixels = torch.randn(11, 3, 8, 8, generator=generator, dtype=torch.float64)
        tokens = torch.randint(1, 19, (11, 5), generator=generator)
        tokens[:, -1] = 19
        images, texts, scale = model(pixels[own], tokens[own])
        optimizer.zero_grad()
        loss(images, texts, torch.tensor(TARGETS["repeated"])[own], scale).backward()
        optimizer.step()
    return {name: p.detach() for name, p in pair.named_parameters() if p.requires_grad}


def run(folder: str) -> None:
    """Process RANK of four: writes what it found to FOLDER/RANK.pt."""
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=4)
    found = {world: in_world(world, rank) for world in WORLDS}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def in_world(world, rank):
    """Gradients of every case, and parameters after training, with the `world` processes beside this one."""
    teams = [list(range(first, first + world)) for first in range(0, 4, world)]
    group = dist.new_subgroups_by_enumeration(teams)[0]
    parts, within = PARTS[world], rank % world
    own = slice(sum(parts[:within]), sum(parts[: within + 1]))

    def case(targets, dtype, options, reduction):
        numbers = torch.tensor(TARGETS[targets])[own]
        together = (
            Parts(group, parts, "sum")
            if reduction == "sum"
            else Parts.of(numbers, group, gradient_reduction="mean")
        )
        return gradients(
            lambda x, y, scale: mpm_nce_tiled(x, y, numbers, scale, tile=3, parts=together, **options),
            own,
            dtype,
        )

    found = {name: case(*settings) for name, settings in CASES.items()}
    model = DistributedDataParallel(Pair(), process_group=group)
    found["trained"] = trained(
        model, lambda x, y, t, s: mpm_nce_tiled(x, y, t, s, parts=Parts.of(x, group)), parts, within
    )
    return found
