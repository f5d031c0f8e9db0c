"""Model cards of adapters and merged models, and what they say about loading."""

import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, ModelCardData
from PIL import Image
from torch.nn.functional import normalize, softmax

import radapter as library
from radapter.models.loading import hub_repository, place_for_transformers
from radapter.report.card import FOLDER, Subject, model_card
from radapter.runs.merging import folder_classifier
from radapter.runs.results import Results
from radapter.storage import read_json
from radapter.world import CLASSES, TINY

# what transformers, peft and sentence-transformers say about their own next versions is not radapter's
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def merged(radapter, run, tmp_path_factory) -> Path:
    to = tmp_path_factory.mktemp("merged") / "model"
    assert radapter("merge", run, "--alpha", "0.5", "--out", to).code == 0
    return to


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.effect_noise((61, 50), 90).convert("RGB").save(path)
    return path


def numbers(value: object) -> set[float]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return {number for each in inner for number in numbers(each)}
    return {value} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def blocks(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


@pytest.mark.parametrize("kind", ["adapter", "merged"])
def test_the_metadata_parses_and_each_of_its_numbers_is_in_the_results(kind, run, merged):
    file = (run / "adapter" if kind == "adapter" else merged) / "README.md"
    data = ModelCard.load(file).data
    assert isinstance(data, ModelCardData)
    assert data.library_name == ("peft" if kind == "adapter" else "transformers")
    assert {"radapter", "r-adapter"} <= set(data.tags)
    assert {result.dataset_type for result in data.eval_results} == {"id_test", "sketch"}
    assert numbers(data.to_dict()) <= numbers(read_json(run / "results.json"))
    assert data.license is None
    assert "# license: choose one" in file.read_text()
    assert "More Information Needed" not in file.read_text()


def test_the_figures_are_those_of_the_merged_alpha(run, merged):
    results = Results.read(run)
    point = next(row for row in results.sweep if row.method == "r-adapter" and row.alpha == 0.5)
    found = {
        each.dataset_type: each.metric_value
        for each in ModelCard.load(merged / "README.md").data.eval_results
    }
    assert found == {"id_test": point.id["id_test"]["top1"], "sketch": point.ood["sketch"]["top1"]}


def test_the_card_has_table_choice_limits_classes_and_templates(run):
    card = (run / "adapter" / "README.md").read_text()
    for heading in ("Results", "How alpha was chosen", "Limits", "Use", "Merged", "Unmerged", "ONNX"):
        assert re.search(rf"^##+ {heading}", card, flags=re.MULTILINE)
    assert "| zero-shot |" in card
    assert "| r-adapter |" in card
    assert json.dumps(list(CLASSES)) in card
    assert "a photo of a {}." in card


def test_a_comparison_shows_the_spread_over_seeds():
    figures = {"id": {"photo": {"top1": 0.5, "n": 10}}, "ood": {"sketch": {"top1": 0.4, "n": 10}}}
    means = {"id_mean": 0.5, "ood_mean": 0.4}
    row = {
        **{"method": "r-adapter", "alpha": 0.5, **figures, **means, "alphas": [0.4, 0.6], "selections": [None] * 2},
        **{"trained_parameters": 5, "learning_rate": 0.1, "forgetting": {}, "seconds": 1.0},
        "spread": {
            "id": {"photo": {"top1": 0.01}}, "ood": {"sketch": {"top1": 0.02}}, "id_mean": 0.01, "ood_mean": 0.02
        },
    }  # fmt: skip
    results = Results.model_validate(
        {
            **{"schema": 3, "model": "m", "fingerprint": "f", "seeds": [0, 1], "rows": [row], "sweep": []},
            "selection": {"split": "id_val", "rule": "smallest alpha", "n": 40},
        }
    )
    subject = Subject(
        "open_clip", "hf:owner/base", "owner/base", "open_clip", "r-adapter", 0.4, "classification", "f", True
    )
    card = model_card(subject, results)
    assert "50.0 ± 1.0" in card
    assert "means over the seeds 0, 1" in card
    data = ModelCard(card).data
    assert (data.base_model, data.base_model_relation) == ("owner/base", "finetune")
    assert [result.metric_value for result in data.eval_results] == [0.5, 0.4]


def test_names_of_the_hub_are_recognised(tmp_path, monkeypatch):
    assert hub_repository("hf:owner/name") == hub_repository("open_clip:hf-hub:owner/name") == "owner/name"
    assert hub_repository("open_clip:ViT-B-16/openai") is None
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    assert place_for_transformers("model") == str(tmp_path / "model")
    assert place_for_transformers("world:tiny") == str(TINY)


def test_auto_peft_model_loads_the_adapter(run, tmp_path):
    from peft import AutoPeftModel, PeftModel

    folder = Path(shutil.copytree(run / "adapter", tmp_path / "adapter"))
    config = read_json(folder / "adapter_config.json") | {"alpha": 0.5}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    model = AutoPeftModel.from_pretrained(folder).float()  # the base model is stored in float16
    encoder = library.load("world:tiny")
    PeftModel.from_pretrained(encoder.module, folder)
    pixels = torch.linspace(-2, 2, 3 * 48 * 48).view(1, 3, 48, 48)
    with torch.no_grad():
        found = model.get_base_model().eval().get_image_features(pixel_values=pixels).pooler_output
        torch.testing.assert_close(found, encoder.eval().encode_image(pixels))
        assert not torch.allclose(found, library.load("world:tiny").encode_image(pixels))


def test_the_merged_cards_first_block_gives_the_classifiers_probability(merged, photo, capsys):
    code = blocks((merged / "README.md").read_text())[0]
    with torch.no_grad():
        exec(code.replace(FOLDER, str(merged)).replace("photo.jpg", str(photo)), {})
        encoder = library.load(merged)
        classifier = folder_classifier(merged, encoder.embed_dim)
        pixels = encoder.preprocess(Image.open(photo))[None]
        logits = classifier.head(normalize(encoder.encode_image(pixels), dim=-1))
    wanted = softmax(logits / classifier.temperature, dim=-1)
    name, _, probability = capsys.readouterr().out.strip().rpartition(" ")
    assert name == classifier.classnames[int(wanted.argmax())]
    assert float(probability) == pytest.approx(float(wanted.max()), abs=1e-5)


def test_transformers_pipeline_loads_the_merged_folder(merged, photo, capsys):
    code = blocks((merged / "README.md").read_text())[1]
    exec(code.replace(FOLDER, str(merged)).replace("photo.jpg", str(photo)), {})
    assert capsys.readouterr().out.startswith("[{'score': ")
    labels = read_json(merged / "config.json")
    assert labels["id2label"] == {str(index): name for index, name in enumerate(CLASSES)}
    assert labels["label2id"][CLASSES[3]] == 3


def test_sentence_transformers_loads_the_merged_folder(merged, photo):
    sentences = pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sentences.SentenceTransformer(str(merged), device="cpu")
        texts, images = model.encode(["a star."]), model.encode([Image.open(photo)])
    encoder = library.load(merged)
    with torch.no_grad():
        wanted = encoder.encode_text(encoder.tokenize(["a star."])).numpy()
        np.testing.assert_allclose(texts, wanted, atol=1e-4)
        wanted = encoder.encode_image(encoder.preprocess(Image.open(photo))[None]).numpy()
    assert (
        np.linalg.norm(images - wanted) / np.linalg.norm(wanted) < 0.02
    )  # its processor resizes with torchvision


def test_a_merged_folder_holds_templates_and_the_base_models_fingerprint(run, merged):
    about = read_json(merged / "certificate.json")
    trained = read_json(run / "trained.json")
    assert (about["templates"], about["base_fingerprint"]) == (trained["templates"], trained["fingerprint"])


def test_the_card_is_yaml_and_names_no_folder_of_this_machine(run, merged):
    for card in (run / "adapter" / "README.md", merged / "README.md"):
        text = card.read_text()
        assert yaml.safe_load(text.split("---")[1])["tags"]
        assert str(TINY) not in text
        assert str(run) not in text
