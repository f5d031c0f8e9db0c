"""A new method, loss, data source or tower family is one file, its import and one line in a list for run.yaml."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from miniatures.layouts import add_images

import radapter
from radapter.storage import read_json

METHOD = """
from pydantic import Field

from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


class BiasSettings(MethodSettings):
    layer_norms: bool = Field(default=True, description="whether the biases of LayerNorms are trained too")


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    encoder.requires_grad_(False)
    for name, parameter in encoder.module.named_parameters():
        parameter.requires_grad_(name.endswith("bias") and (settings.layer_norms or "norm" not in name))
    return Built(ContrastiveLearner(encoder, loss), adapters=None)


METHOD = Method(
    name="biases",
    summary="every bias",
    source="Ben Zaken et al. 2022",
    losses=("cosine", "mpm-nce"),
    learning_rate=1e-3,
    rate_source="a guess",
    build=build,
    runs="biases",
    settings_type=BiasSettings,
)
"""
LOSS = """
from radapter.losses.loss import Loss


def cosine(images, texts, targets, scale, parts=None, *, margin):
    return (1 - margin - (images * texts).sum(-1)).clamp(min=0).mean()


LOSS = Loss("cosine", cosine, settings={"margin": 0.1})
"""
SOURCE = '''
from typing import Annotated

from pydantic import Field

from radapter.data.labelled.class_folders import files_source
from radapter.data.labelled.source import LabelledPictures, LabelledSource
from radapter.data.paths import PATH, place
from radapter.data.source import Reading


class PrefixSource(LabelledSource):
    """Images in one folder, each named CLASS-NUMBER."""

    prefixes: Annotated[str, PATH] = Field(description="the folder")

    def read(self, reading: Reading) -> LabelledPictures:
        files: dict[str, list[str]] = {}
        for file in sorted(place(self.prefixes).iterdir()):
            files.setdefault(file.name.split("-")[0], []).append(str(file))
        return files_source("prefixes", files, reading=reading)
'''
TOWERS = """
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from radapter.adapter.sites import Block, Family
from radapter.models.encoder import DualEncoder
from radapter.models.tokenizing import LazyTokenizer
from radapter.storage import load_weights, save_tensors

NAME = SCHEME = "toy"
FAMILY = Family(
    "toy",
    (Block(f"{__name__}:ToyBlock", ("mix",), "down"),),
    {f"{__name__}:Toy": {"image": "image", "text": "text"}},
)
FILE = "toy.safetensors"


class ToyBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.MultiheadAttention(16, 2, batch_first=True)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x):
        x = x + self.mix(x, x, x, need_weights=False)[0]
        return x + self.down(self.up(x).relu())


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(192, 16), ToyBlock(), ToyBlock(), nn.Linear(16, 8))
        self.text = nn.Sequential(nn.Embedding(256, 16), ToyBlock(), nn.Linear(16, 8))
        self.logit_scale = nn.Parameter(torch.tensor(2.6))


def tokens(texts):
    return torch.tensor([list(text.encode()[:16].ljust(16)) for text in texts])


def tokenizer():
    return tokens


class ToyTowers:
    library = NAME
    embed_dim, image_size, context_length, vocab_size, eos_id = 8, 32, 16, 256, 32
    image_mean, image_std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    tokenizer = LazyTokenizer(tokenizer, 16)

    def encode_image(self, module, pixels):
        return module.image(F.unfold(pixels, 8, stride=8).transpose(1, 2)).mean(1)

    def encode_text(self, module, tokens):
        return module.text(tokens).mean(1)

    def preprocess(self, image):
        pixels = np.asarray(image.convert("RGB").resize((32, 32)), dtype=np.float32)
        return torch.tensor(pixels).permute(2, 0, 1) / 255

    def set_checkpointing(self, module, enabled):
        pass

    def image_parts(self, module):
        return (module.image,)

    def text_parts(self, module):
        return (module.text,)

    def image_width(self, module):
        return 16


def load_named(rest, request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        return DualEncoder(request.name, Toy().to(request.dtype).eval(), ToyTowers())


def owns(folder):
    return (folder / FILE).is_file()


def load_folder(folder, request):
    encoder = load_named("small", request)
    encoder.module.load_state_dict(load_weights(folder / FILE))
    return encoder


def write(plain, towers, folder):
    save_tensors(folder / FILE, plain.state_dict())
    return False


def features(folder, batch, dtype):
    module = Toy().to(dtype)
    module.load_state_dict(load_weights(folder / FILE))
    pixels, texts = batch
    return {
        "image": ToyTowers().encode_image(module.eval(), pixels),
        "text": ToyTowers().encode_text(module, texts),
    }
"""
ADDITIONS = {  # new file -> its text, the file of the list, a line there and the line that is added before it
    "methods/biases.py": (METHOD, "methods/__init__.py", "    flyp.METHOD,", "    biases.METHOD,"),
    "losses/cosine.py": (LOSS, "losses/__init__.py", "    loss.name: loss for loss in (MPM_NCE,", None),
    "data/labelled/prefixes.py": (SOURCE, "data/labelled/kinds.py", "    CsvSource,", "    PrefixSource,"),
    "models/toy.py": (TOWERS, "models/loading.py", "    timm_vit,", "    toy,"),
}
IMPORTS = {
    "methods/__init__.py": "from radapter.methods import biases",
    "losses/__init__.py": "from radapter.losses.cosine import LOSS as COSINE",
    "data/labelled/kinds.py": "from radapter.data.labelled.prefixes import PrefixSource",
    "models/loading.py": "from radapter.models import toy",
}


def add(package: Path) -> None:
    """Adds the four files, and to each list an import and an entry."""
    for name, (text, where, line, entry) in ADDITIONS.items():
        (package / name).write_text(text, encoding="utf-8")
        listed = (package / where).read_text(encoding="utf-8")
        assert listed.count(line) == 1
        listed = listed.replace(line, f"{line} COSINE," if entry is None else f"{entry}\n{line}")
        first_import = listed.index("\nfrom ") + 1
        listed = f"{listed[:first_import]}{IMPORTS[where]}\n{listed[first_import:]}"
        (package / where).write_text(listed, encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A folder with images and a function that runs a command of a radapter with the four additions there."""
    folder = tmp_path_factory.mktemp("extended")
    source = Path(radapter.__file__).parent
    for package in (source, source.parent / "radapter_cli"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, folder / "src" / package.name, ignore=ignored)
    add(folder / "src" / "radapter")
    add_images(
        folder / "images", *(f"{name}-{number}.png" for name in ("star", "moon") for number in range(4))
    )

    def run(*words, **config):
        if config:
            images = {"prefixes": str(folder / "images")}
            config["data"] = {
                "train": {**images, "part": [0.0, 0.6]},
                "id_test": {**images, "part": [0.6, 1.0]},
            }
            config |= {"select": {"alpha": 1.0}, "train": {"epochs": 1, "batch_size": 2}}
            (folder / "run.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "radapter_cli", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "src")},
            capture_output=True,
            text=True,
        )

    return folder, run


def test_a_method_a_loss_and_a_source_are_a_file_and_a_line_each(extended):
    folder, run = extended
    done = run(
        *("train", "run.yaml", "--out", "run"),
        model="world:tiny",
        method={"name": "biases", "layer_norms": False},
        loss={"margin": 0.2},
    )
    assert done.returncode == 0, done.stderr
    trained = read_json(folder / "run" / "results.json")["rows"][1]
    assert (trained["method"], trained["learning_rate"] > 0) == ("biases", True)
    refused = run("train", "run.yaml", "method.layer_norm=true", "--out", "other")
    assert refused.returncode == 2
    assert "Did you mean 'method.layer_norms'?" in " ".join(refused.stderr.split())


def test_a_tower_family_is_a_file_and_a_line_and_merges_exactly(extended):
    folder, run = extended
    done = run("train", "run.yaml", "--out", "adapted", model="toy:small", method="r-adapter")
    assert done.returncode == 0, done.stderr
    assert read_json(folder / "adapted" / "results.json")["rows"][1]["trained_parameters"] == 6 * (
        16 * 16 + 1
    )
    for merged in (("merge", "adapted", "--to", "merged"), ("inspect", "merged")):
        done = run(*merged)
        assert done.returncode == 0, done.stderr
    certificate = read_json(folder / "merged" / "certificate.json")
    assert certificate["format"] == "toy"
    assert certificate["max_relative_difference"] < 1e-5  # float32
    assert certificate["weights_fingerprint"] != read_json(folder / "adapted" / "trained.json")["fingerprint"]
