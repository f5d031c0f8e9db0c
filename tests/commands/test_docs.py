"""The blocks of the README and of docs/method.md do what they say, pasted as they are."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from radapter.config import load_config
from radapter.evaluation.eccv_caption import _package
from radapter.world import CLASSES, TINY

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
RETRIEVAL = (ROOT / "docs" / "retrieval.md").read_text(encoding="utf-8")
SEGMENTATION = (ROOT / "docs" / "segmentation.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in README.splitlines() if line.startswith("    radapter ")]
TRAINING = [command for command in COMMANDS if command.startswith("radapter train")]
OTHERS = [
    command for command in COMMANDS if command.startswith(("radapter sweep", "radapter eval", "radapter ins"))
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
    assert radapter("init", "retrieval", "--to", "pairs.yaml").code == 0
    assert radapter("init", "segmentation", "--to", "regions.yaml").code == 0


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


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
def test_readme_merge_and_its_python_run(radapter):
    (merge,) = (command for command in COMMANDS if command.startswith("radapter merge"))
    assert radapter(*shlex.split(merge)[1:]).code == 0
    (loading,) = (block for block in blocks(README, "python") if "merged" in block)
    names: dict[str, Any] = {}
    exec(loading, names)
    assert names["classify"]([Image.new("RGB", (60, 40), "red")] * 2)[1] in CLASSES


@pytest.mark.parametrize("block", [b for b in blocks(README + METHOD, "python") if "get_peft_model" in b])
def test_python_block_runs(block):
    exec(block, {})


def test_yaml_blocks_are_read(tmp_path):
    for block in blocks(README, "yaml"):
        (tmp_path / "run.yaml").write_text(block)
        assert load_config(tmp_path / "run.yaml").data.ood


def test_links_to_a_section_lead_to_a_heading():
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([\w-]+)\)", text):
            there = (page.parent / (target or page.name)).read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", there, flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, (page.name, target, anchor)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/method.md",
        "docs/data.md",
        "docs/faithfulness.md",
        "docs/shards.md",
    ],
)
def test_links_between_pages_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [
        t for t in re.findall(r"\]\(([^)#]+)", text) if not t.startswith("http") and not t.endswith(".png")
    ]
    assert all(((ROOT / page).parent / target).exists() for target in targets)


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
    # plain pictures tie, and ties count against the model in ours alone
    assert names["coco_5k"]["i2t_r1"] <= names["eccv"]["i2t_coco_5k_r1"] <= 1
    assert 0 <= names["eccv"]["t2i_eccv_map_at_r"] <= 1
