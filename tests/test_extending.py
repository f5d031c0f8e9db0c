"""A new method, loss, data source, tower family or task is one file and one line in a list for run.yaml."""

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
from radapter.data.labelled.source import LabelledImages, LabelledSource
from radapter.data.paths import PATH, place
from radapter.data.source import Reading


class PrefixSource(LabelledSource):
    """Images in one folder, each named CLASS-NUMBER."""

    prefixes: Annotated[str, PATH] = Field(description="the folder")

    def read(self, reading: Reading) -> LabelledImages:
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

TASK = '''
"""Naming: every image has a class name, and the mean reciprocal rank of the true name counts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from radapter.commands.label_check import label_check
from radapter.operations.task import Opened, Task
from radapter.config.building import tested_sets
from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.schema import METHOD, CommonConfig, CommonData, SelectConfig
from radapter.config.sources import NamedSources
from radapter.data import open_classification
from radapter.data.labelled.kinds import LABELLED, DataSource, labelled_source
from radapter.evaluation import Headline, Measured
from radapter.evaluation.measures import class_logits
from radapter.methods import RETRIEVAL
from radapter.report.metrics import Shown
from radapter.tasks.suite import Suite, train_loader
from radapter.training import ClassCaptions
from radapter.zeroshot import LinearHead, class_embeddings

NAMES, TEMPLATES = ("star", "moon"), ("a photo of a {}.",)


class NamingData(CommonData):
    source_kinds: ClassVar = LABELLED
    train: DataSource
    id_test: NamedSources


class NamingSelect(SelectConfig):
    by: Literal["mrr"] = "mrr"


class NamingConfig(CommonConfig):
    methods: ClassVar[MethodOf] = MethodOf(RETRIEVAL, "naming")
    task: Literal["naming"]
    method: Annotated[NamedSettings, methods] = METHOD
    select: NamingSelect = NamingSelect()
    data: NamingData


@dataclass(frozen=True, eq=False)
class NamingMeasure:
    encoder: object
    prepare: object
    batches: object

    def count(self, batch):
        return len(batch.labels)

    def truth(self, batch):
        return batch.labels

    def observe(self, prepared, batch):
        return class_logits(self.encoder, prepared, batch.pixels).cpu()

    def remember(self, observed):
        pass

    def summarise(self, prepared, observed, truths):
        logits, labels = torch.cat(list(observed)), torch.cat(list(truths))
        ranks = 1 + (logits > logits.gather(1, labels[:, None])).sum(1)
        mrr = (1 / ranks).float()
        return Measured({"n": len(labels), "mrr": mrr.mean().item(), "mean_rank": ranks.float().mean().item()}, mrr)


@dataclass(frozen=True)
class NamingSuite(Suite):
    task: ClassVar[str] = "naming"

    def training(self, encoder, recipe, *, seed, memory, processes):
        loader = train_loader(
            self.train, encoder, recipe, flip=True, seed=seed, memory=memory, processes=processes
        )
        return loader, ClassCaptions(NAMES, TEMPLATES, encoder.tokenize, seed=seed)

    def measures(self, classifier, loaders, zero_shot=None, processes=None):
        def head():
            embeddings = class_embeddings(classifier.encoder, NAMES, TEMPLATES)
            return LinearHead.zero_shot(embeddings, classifier.encoder.logit_scale)

        return {"/".join(key): NamingMeasure(classifier.encoder, head, loader) for key, loader in loaders.items()}


def read(source, name):
    return open_classification(source, classnames=NAMES, name=name)


def tested(asked):
    sets = {name: read(source, name) for name, source in asked.sources.items()}
    return Opened(NamingSuite(train=None, id_val=None, id_test=sets, ood={}))


TASK = Task(
    config=NamingConfig,
    suite=lambda config, *_: NamingSuite(
        train=read(config.data.train, "train"), **tested_sets(config.data, read, labelled_source)
    ),
    headline=Headline("mrr", "MRR", 1.0, "mean_rank", 0.5),
    sources=LABELLED,
    path_source=labelled_source,
    example="path/to/images",
    run_yaml=Path(__file__),
    tested=tested,
    check_data=label_check,
    metrics={"mrr": Shown("Mean reciprocal rank in %")},
)
'''
ADDITIONS = {  # new file -> its text, the file of the list, a line there and the line that is added before it
    "methods/biases.py": (METHOD, "methods/__init__.py", "    flyp.METHOD,", "    biases.METHOD,"),
    "losses/cosine.py": (LOSS, "losses/__init__.py", "    loss.name: loss for loss in (MPM_NCE,", None),
    "data/labelled/prefixes.py": (SOURCE, "data/labelled/kinds.py", "    CsvSource,", "    PrefixSource,"),
    "models/toy.py": (TOWERS, "models/loading.py", "    timm_vit,", "    toy,"),
    "commands/naming.py": (
        TASK,
        "task_list.py",
        '    "retrieval": "radapter.commands.retrieval",',
        '    "naming": "radapter.commands.naming",',
    ),
}
IMPORTS = {
    "methods/__init__.py": "from radapter.methods import biases",
    "losses/__init__.py": "from radapter.losses.cosine import LOSS as COSINE",
    "data/labelled/kinds.py": "from radapter.data.labelled.prefixes import PrefixSource",
    "models/loading.py": "from radapter.models import toy",
}


def add(package: Path) -> None:
    """Add the files, and to each list an entry and, unless it holds names of modules, an import."""
    for name, (text, where, line, entry) in ADDITIONS.items():
        (package / name).write_text(text, encoding="utf-8")
        listed = (package / where).read_text(encoding="utf-8")
        assert listed.count(line) == 1
        listed = listed.replace(line, f"{line} COSINE," if entry is None else f"{entry}\n{line}")
        first_import = listed.index("\nfrom ") + 1
        if where in IMPORTS:
            listed = f"{listed[:first_import]}{IMPORTS[where]}\n{listed[first_import:]}"
        (package / where).write_text(listed, encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """Calls the command line of a copy of the package that has the additions, in a folder with images."""
    folder = tmp_path_factory.mktemp("extended")
    source = Path(radapter.__file__).parent
    for package in (source, source.parent / "radapter_cli"):
        shutil.copytree(package, folder / "src" / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    add(folder / "src" / "radapter")
    add_images(
        folder / "images", *(f"{name}-{number}.png" for name in ("star", "moon") for number in range(4))
    )
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}

    def run(config, *arguments):
        (folder / "run.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [sys.executable, "-m", "radapter_cli", *arguments]
        return folder, subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    return run


def config(**more):
    """A run.yaml on the source that is added."""
    return {
        "model": "world:tiny",
        "data": {
            "train": {"prefixes": "images", "part": [0.0, 0.6]},
            "id_test": {"prefixes": "images", "part": [0.6, 1.0]},
        },
        "select": {"alpha": 1.0},
        "train": {"epochs": 1, "batch_size": 2},
        **more,
    }


def test_a_method_a_loss_and_a_source_are_a_file_and_a_line_each(extended):
    settings = config(method={"name": "biases", "layer_norms": False}, loss={"margin": 0.2})
    folder, done = extended(settings, "train", "run.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr
    trained = read_json(folder / "run" / "results.json")["rows"][1]
    assert (trained["method"], trained["learning_rate"] > 0) == ("biases", True)
    _, refused = extended(settings, "train", "run.yaml", "method.layer_norm=true", "--out", "other")
    assert refused.returncode == 2
    assert "Did you mean 'method.layer_norms'?" in " ".join(refused.stderr.split())


@pytest.mark.slow
def test_a_task_is_a_file_and_a_line(extended):
    settings = config(task="naming", method="lora")
    folder, done = extended(settings, "train", "run.yaml", "--out", "naming")
    assert done.returncode == 0, done.stderr
    results = read_json(folder / "naming" / "results.json")
    assert (results["task"], results["rows"][1]["method"]) == ("naming", "lora")
    assert "Mean reciprocal rank in %" in (folder / "naming" / "results.md").read_text(encoding="utf-8")
    for arguments in (
        ("evaluate", "naming"),
        ("evaluate", "world:tiny", "--task", "naming", "--data", "{prefixes: images}"),
        ("data", "check", "{prefixes: images}", "--task", "naming"),
    ):
        _, done = extended(settings, *arguments)
        assert done.returncode == 0, done.stderr
    _, refused = extended(settings, "evaluate", "naming", "--metric", "mr")
    assert refused.returncode == 2
    assert "Did you mean 'mrr'?" in " ".join(refused.stderr.split())


def test_a_tower_family_is_a_file_and_a_line_and_merges_exactly(extended):
    settings = config(model="toy:small", method="r-adapter")
    folder, done = extended(settings, "train", "run.yaml", "--out", "adapted")
    assert done.returncode == 0, done.stderr
    trained = read_json(folder / "adapted" / "results.json")["rows"][1]
    assert trained["trained_parameters"] == 6 * (16 * 16 + 1)
    for arguments in (("merge", "adapted", "--out", "merged"), ("inspect", "merged")):
        _, done = extended(settings, *arguments)
        assert done.returncode == 0, done.stderr
    certificate = read_json(folder / "merged" / "certificate.json")
    assert certificate["format"] == "toy"
    assert certificate["max_relative_difference"] < 1e-5  # float32
    assert certificate["weights_fingerprint"] != read_json(folder / "adapted" / "trained.json")["fingerprint"]
