"""A new method, loss or data source is one file, its import and one line in a list; run.yaml then uses it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.labelled.source import LabelledSource
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
ADDITIONS = {  # new file -> its text, the file of the list, a line there and the line that is added before it
    "methods/biases.py": (METHOD, "methods/__init__.py", "    flyp.METHOD,", "    biases.METHOD,"),
    "losses/cosine.py": (LOSS, "losses/__init__.py", "    loss.name: loss for loss in (MPM_NCE,", None),
    "data/labelled/prefixes.py": (SOURCE, "data/labelled/kinds.py", "    CsvSource,", "    PrefixSource,"),
}
IMPORTS = {
    "methods/__init__.py": "from radapter.methods import biases",
    "losses/__init__.py": "from radapter.losses.cosine import LOSS as COSINE",
    "data/labelled/kinds.py": "from radapter.data.labelled.prefixes import PrefixSource",
}


def add(package: Path) -> None:
    """Adds the three files, and to each list an import and an entry."""
    for name, (text, where, line, entry) in ADDITIONS.items():
        (package / name).write_text(text, encoding="utf-8")
        listed = (package / where).read_text(encoding="utf-8")
        assert listed.count(line) == 1
        listed = listed.replace(line, f"{line} COSINE," if entry is None else f"{entry}\n{line}")
        first_import = listed.index("\nfrom ") + 1
        listed = f"{listed[:first_import]}{IMPORTS[where]}\n{listed[first_import:]}"
        (package / where).write_text(listed, encoding="utf-8")


def test_a_method_a_loss_and_a_source_are_a_file_and_a_line_each(tmp_path):
    source = Path(radapter.__file__).parent
    for package in (source, source.parent / "radapter_cli"):
        shutil.copytree(
            package, tmp_path / "src" / package.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    add(tmp_path / "src" / "radapter")
    add_images(
        tmp_path / "images", *(f"{name}-{number}.png" for name in ("star", "moon") for number in range(4))
    )
    images = {"prefixes": str(tmp_path / "images")}
    config = {
        "model": "world:tiny",
        "method": {"name": "biases", "layer_norms": False},
        "data": {"train": {**images, "part": [0.0, 0.6]}, "id_test": {**images, "part": [0.6, 1.0]}},
        "select": {"alpha": 1.0},
        "loss": {"margin": 0.2},
        "train": {"epochs": 1, "batch_size": 2},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    command = [sys.executable, "-m", "radapter_cli"]
    done = subprocess.run(
        [*command, "train", "run.yaml", "--out", "run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    trained = read_json(tmp_path / "run" / "results.json")["rows"][1]
    assert (trained["method"], trained["learning_rate"] > 0) == ("biases", True)
    refused = subprocess.run(
        [*command, "train", "run.yaml", "method.layer_norm=true", "--out", "other"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert "Did you mean 'method.layer_norms'?" in " ".join(refused.stderr.split())
