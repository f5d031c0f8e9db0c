"""`export(format="onnx")`: what onnxruntime computes without torch."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from models.small import OPEN_CLIP
from models.test_export import adapted
from PIL import Image
from torch.nn.functional import normalize, softmax

from radapter.errors import ExportError, ModelError
from radapter.models import ClassHead, DualEncoder, export, load
from radapter.storage import read_json

pytest.importorskip("onnxruntime", reason="onnxruntime absent: pip install 'radapter[onnx]'")

CLASSES = ["a red star", "a castle", "a boat"]
WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder
class Refuse(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "radapter", "onnx"):
            raise AssertionError(name)
sys.meta_path.insert(0, Refuse())
"""


def head(encoder: DualEncoder) -> ClassHead:
    weight = normalize(torch.randn(3, encoder.embed_dim, generator=torch.Generator().manual_seed(1)), dim=-1)
    return ClassHead(weight, CLASSES, bias=torch.tensor([0.1, 0.0, -0.2]), logit_scale=20.0)


@torch.no_grad()
def probabilities(encoder: DualEncoder, images: list[Image.Image]) -> np.ndarray:
    pixels = torch.stack([encoder.preprocess(image) for image in images])
    of = head(encoder)
    features = normalize(encoder.encode_image(pixels), dim=-1)
    return softmax(20.0 * features @ of.weight.T + of.bias, dim=-1).numpy()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of awkward sizes; one is stored on its side, one has a palette."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number, (height, width) in enumerate([(40, 61), (90, 33), (48, 48), (31, 200), (57, 50)]):
        image = Image.fromarray(generator.integers(0, 255, (height, width, 3), dtype=np.uint8))
        image = image.convert("P") if number == 2 else image
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 1 else 1
        image.save(folder / f"{number}.png", exif=exif)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def tiny() -> DualEncoder:
    return adapted("world:tiny")


@pytest.fixture(scope="module")
def written(tiny: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny, to=tmp_path_factory.mktemp("onnx") / "merged", format="onnx", head=head(tiny))


def test_the_example_gives_the_models_probabilities_without_torch(
    tiny: DualEncoder, written: Path, images: list[Path]
) -> None:
    from radapter.data.images.decoding import decode

    code = (
        f"{WITHOUT_TORCH}import runpy; runpy.run_path({str(written / 'example.py')!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", code, *map(str, images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wanted = probabilities(tiny, [decode(path, where=str(path)) for path in images])
    for line, path, row in zip(done.stdout.splitlines(), images, wanted, strict=True):
        name, label, probability = line.split("\t")
        assert (name, label) == (str(path), CLASSES[row.argmax()])
        assert float(probability) == pytest.approx(row.max(), abs=1e-5)  # the tolerance


def test_text_features_are_the_models_without_torch(tiny: DualEncoder, written: Path) -> None:
    texts = ["a photo of a red star.", "", "a word " * 80]
    code = f"""{WITHOUT_TORCH}
import json, onnxruntime, tokenizers
tokenizer = tokenizers.Tokenizer.from_file({str(written / "tokenizer.json")!r})
ids = [each.ids for each in tokenizer.encode_batch({texts!r})]
session = onnxruntime.InferenceSession({str(written / "text_encoder.onnx")!r})
print(json.dumps(session.run(["features"], {{"input_ids": ids}})[0].tolist()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    with torch.no_grad():
        wanted = normalize(tiny.encode_text(tiny.tokenize(texts)), dim=-1).numpy()
    np.testing.assert_allclose(np.array(json.loads(done.stdout)), wanted, atol=1e-5)


def test_the_certificate_has_what_onnxruntime_gave(written: Path) -> None:
    about = read_json(written / "certificate.json")
    assert about["differences"].keys() == {"image", "text", "classifier"}
    assert about["max_relative_difference"] <= about["tolerance"] == 1e-4
    assert (about["format"], about["dtype"], about["tokenization"]["differ"]) == ("onnx", "float32", [])
    assert {"onnx", "onnxruntime"} <= about["versions"].keys()


def test_the_classifier_shares_the_encoders_weights(written: Path) -> None:
    assert (written / "image_classifier.onnx").stat().st_size < 2 * (
        written / "image_encoder.onnx"
    ).stat().st_size
    assert not (written / "image_classifier.onnx.data").exists()


def test_no_path_of_this_machine_is_in_the_files(written: Path) -> None:
    for file in written.iterdir():
        content = file.read_bytes()
        assert b"stack_trace" not in content
        assert b"site-packages" not in content
        assert str(Path.cwd()).encode() not in content


def test_the_temperature_divides_the_logits(tiny: DualEncoder, written: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    from radapter.models import onnx_files

    folder = Path(shutil.copytree(written, tmp_path / "copy"))
    pixels = torch.zeros(2, 3, tiny.image_size, tiny.image_size)
    before = onnx_files.logits(folder, pixels)
    tensors = load_file(folder / "classifier.safetensors") | {"temperature": torch.tensor(4.0)}
    save_file(tensors, folder / "classifier.safetensors")
    onnx_files.write_classifier(folder, folder / "classifier.safetensors")
    torch.testing.assert_close(onnx_files.logits(folder, pixels), before / 4)


@pytest.mark.parametrize(
    "kind",
    ["siglip", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("open_clip", "timm tower", "timm"))],
)
def test_other_families_are_certified(
    kind: str, siglip: Path, tiny_architecture: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import open_clip

    config = copy.deepcopy(OPEN_CLIP)
    config["vision_cfg"] = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "image_size": 224}
    config["vision_cfg"] |= {"timm_proj": "linear"}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-timm", config)
    names = {
        "siglip": siglip,
        "open_clip": f"open_clip:{tiny_architecture}",
        "timm tower": "open_clip:tiny-timm",
        "timm": "timm:vit_tiny_patch16_224",
    }
    encoder = load(names[kind])
    about = read_json(
        export(encoder, to=tmp_path / "merged", format="onnx", head=head(encoder)) / "certificate.json"
    )
    towers = {"image", "classifier"} if kind == "timm" else {"image", "text", "classifier"}
    assert about["differences"].keys() == towers
    assert about["max_relative_difference"] <= 1e-4


def test_a_tower_for_one_batch_size_only_is_refused(siglip2: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"image_encoder.onnx' cannot be written: its graph depends on the number"
    ):
        export(load(siglip2), to=tmp_path / "merged", format="onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_preparation_that_differs_is_refused(
    tiny: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tiny.towers), "preprocess", lambda self, image: torch.zeros(3, 48, 48))
    with pytest.raises(ExportError, match="must prepare images as the model's library does"):
        export(tiny, to=tmp_path / "merged", format="onnx")


def test_the_docs_show_the_example_as_it_is() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "how-to" / "share.md").read_text(encoding="utf-8")
    assert (root / "src" / "radapter" / "models" / "onnx_example.py").read_text(encoding="utf-8") in page


def test_radapter_says_that_it_does_not_load_onnx_files(written: Path) -> None:
    with pytest.raises(ModelError, match="It holds ONNX files"):
        load(written)
