"""The blocks of the README and of the pages in docs/ do what they say, pasted as they are."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from miniatures.drawings import drawn
from PIL import Image
from typer.main import get_command

from radapter.config import load_config
from radapter.evaluation.eccv_caption import _package
from radapter.models import load
from radapter.world import CLASSES, TINY, split
from radapter_cli.application import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
RETRIEVAL = (ROOT / "docs" / "retrieval.md").read_text(encoding="utf-8")
SEGMENTATION = (ROOT / "docs" / "segmentation.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").rglob("*.md"))
OWN_MODEL = (ROOT / "docs" / "how-to" / "own-model.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "tutorials" / "python.md").read_text(encoding="utf-8")
TRAINER = (ROOT / "docs" / "how-to" / "trainer.md").read_text(encoding="utf-8")
DEPLOY = (ROOT / "docs" / "tutorials" / "deploy.md").read_text(encoding="utf-8")


def commands(page: str) -> list[str]:
    """The radapter commands of a page's bash blocks, without remarks."""
    return [
        line.split("  #")[0].strip()
        for block in blocks(page, "bash")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("radapter ")
    ]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


TRAINING = [command for command in commands(README) if command.startswith("radapter train run.yaml")]
OTHERS = [
    command
    for command in commands(README)
    if command.startswith(("radapter sweep", "radapter evaluate", "radapter inspect"))
]


@pytest.fixture
def after_the_tour(radapter, run, written, tmp_path, monkeypatch):
    """A folder in which the README's first commands were run."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "runs/world")
    about = json.loads(Path("runs/world/trained.json").read_text())
    Path("runs/world/manifest.json").unlink()  # changed on purpose
    Path("runs/world/trained.json").write_text(json.dumps(about | {"alpha": 1.0}))  # the small one may have 0
    shutil.copy(written, "run.yaml")
    assert radapter("init", "retrieval", "--out", "pairs.yaml").code == 0
    assert radapter("init", "segmentation", "--out", "regions.yaml").code == 0


@pytest.mark.usefixtures("after_the_tour")
@pytest.mark.parametrize("command", OTHERS)
def test_readme_command_runs(radapter, command):
    answer = radapter(*shlex.split(command)[1:])
    assert answer.code == 0, answer.result.output


@pytest.mark.usefixtures("after_the_tour")
@pytest.mark.parametrize("command", TRAINING)
def test_readme_training_command_is_accepted(command):
    _, _, path, *rest = shlex.split(command)
    assert load_config(path, [word for word in rest if "=" in word])


@pytest.mark.usefixtures("after_the_tour")
@pytest.mark.parametrize("page", ["README", "DEPLOY"])
def test_merge_and_the_python_that_loads_the_folder_run(radapter, page):
    assert radapter("merge", "runs/world", "--alpha", "0.5", "--out", "merged").code == 0
    (loading,) = (
        block for block in blocks(globals()[page], "python") if "CLIPModel.from_pretrained" in block
    )
    names: dict[str, Any] = {}
    exec(loading, names)
    assert names["classify"]([Image.new("RGB", (60, 40), "red")] * 2)[1] in CLASSES


@pytest.mark.parametrize(
    "block", [b for b in blocks(README + METHOD + OWN_MODEL, "python") if "get_peft_model" in b]
)
def test_python_block_runs(block):
    exec(block, {})


@pytest.mark.parametrize("block", [b for b in blocks(README + PYTHON, "python") if '"new-photos"' in b])
def test_ten_lines_go_from_a_folder_of_images_to_predictions(block, here, capsys):
    drawn(here / "photos", size=160)
    drawn(here / "new-photos", name="painting", size=4, by_class=False)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    exec(block.replace("open_clip:ViT-B-16/openai", "world:tiny"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("new-photos/") and line.endswith("%") for line in lines)


def test_trainer_block_runs(here, monkeypatch):
    (block,) = blocks(TRAINER, "python")
    names = {
        "openai/clip-vit-base-patch16": str(TINY),
        "num_train_epochs=10": "max_steps=2, use_cpu=True, disable_tqdm=True",
        "batch_size=64": "batch_size=8",
    }
    for before, after in names.items():
        assert before in block
        block = block.replace(before, after)
    drawings = split("train", size=8)
    images = [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels in drawings.images]
    captions = list(drawings.captions)
    exec(block, {"images": images, "captions": captions, "labels": drawings.labels.tolist()})
    assert Path("merged/model.safetensors").is_file()
    load("merged")


def test_yaml_blocks_are_read(tmp_path):
    for block in blocks(README, "yaml"):
        (tmp_path / "run.yaml").write_text(block)
        assert load_config(tmp_path / "run.yaml").data.ood


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=lambda page: page.name)
def test_every_command_of_a_page_exists_with_its_options(page):
    for line in commands(page.read_text(encoding="utf-8")):
        words = [word for word in shlex.split(line)[1:] if not word.startswith("-")]
        command = get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in shlex.split(line) if word.startswith("--")} <= known, line


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if not target.startswith("http")]
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(
        build,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "radapter compare" in page
    schema = json.loads((tmp_path / "site" / "schemas" / "results.json").read_text(encoding="utf-8"))
    assert "sweep" in schema["properties"]
    notebook = (tmp_path / "site" / "notebooks" / "classification.html").read_text(encoding="utf-8")
    assert "radapter.fit" in notebook
    assert (tmp_path / "site" / "notebooks" / "classification.ipynb").is_file()
    assert "https://fonts." not in page  # the site loads nothing from the network


@pytest.mark.parametrize("block", [b for b in blocks(SEGMENTATION, "python") if "import radapter" in b])
def test_segmentation_block_runs(block):
    names = {}
    exec(block, names)
    assert names["found"].labels.shape == (48, 64)


def test_mask_prompts_block_runs(encoder, tmp_path):
    (block,) = (b for b in blocks(SEGMENTATION, "python") if "MaskPrompts(encoder)" in b)
    names = {
        "encoder": encoder,
        "pixels": torch.zeros(2, 3, 48, 48),
        "masks": torch.ones(2, 48, 48).bool(),
        "path": tmp_path / "prompts.safetensors",
        "classnames": ["boat", "moon"],
        "templates": ["a {}."],
    }
    exec(block, names)
    assert names["features"].requires_grad


@pytest.fixture
def small_coco(tmp_path, monkeypatch):
    """Ten of the judged images of COCO, as Karpathy's file lists them, and a package that judges these alone."""
    eccv_caption = _package()

    class Few(eccv_caption.Metrics):
        def __init__(self):
            super().__init__()
            for truth in (self.coco_gts, self.cxc_gts, self.eccv_gts):
                for direction, queries, items in (("i2t", images, texts), ("t2i", texts, images)):
                    positives = truth[direction]
                    truth[direction] = {
                        query: [item for item in positives[query] if item in items]
                        for query in queries
                        if query in positives
                    }

    whole = eccv_caption.Metrics()
    images = sorted(whole.eccv_gts["i2t"])[:10]
    texts = [text for image in images for text in whole.coco_gts["i2t"][image]]
    monkeypatch.setattr(eccv_caption, "Metrics", Few)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TINY, "merged")
    Path("coco/val2014").mkdir(parents=True)
    entries = []
    for place, image in enumerate(images):
        Image.new("RGB", (48, 48), (25 * place, 0, 90)).save(f"coco/val2014/{image}.png")
        ids = [*whole.coco_gts["i2t"][image], -image]  # the sixth caption is judged nowhere
        sentences = [{"raw": f"a photo of number {text}", "sentid": text} for text in ids]
        entry = {"filepath": "val2014", "filename": f"{image}.png", "split": "test", "cocoid": image}
        entries.append({**entry, "sentences": sentences})
    entries.append({**entries[0], "split": "val"})
    Path("coco/dataset_coco.json").write_text(json.dumps({"images": entries}))


@pytest.mark.usefixtures("small_coco")
def test_eccv_caption_block_runs():
    (block,) = (b for b in blocks(RETRIEVAL, "python") if "eccv_caption_metrics" in b)
    names = {}
    exec(block, names)
    assert (names["coco_5k"]["n"], names["coco_5k"]["texts"], names["coco_1k"]["texts"]) == (10, 50, 50)
    # plain images tie, and ties count against the model in ours alone
    assert names["coco_5k"]["i2t_r1"] <= names["eccv"]["i2t_coco_5k_r1"] <= 1
    assert 0 <= names["eccv"]["t2i_eccv_map_at_r"] <= 1
