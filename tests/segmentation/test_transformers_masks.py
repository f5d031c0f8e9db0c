"""MaskFormer and Mask2Former give regions as their releases do."""

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models.small import clip_folder
from PIL import Image
from segmentation import small_proposers as small
from torch import nn

from radapter.errors import ConfigError, ModelError
from radapter.segmentation import TransformersProposer

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
KINDS = ("mask2former", "maskformer")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("proposers")
    return {kind: small.folder(root / kind, kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_regions_are_the_model_s_queries_at_the_image_s_size(folders, kind: str):
    proposals = TransformersProposer.from_folder(folders[kind], classnames=["tree", "sky", "road"])(IMAGE)
    model = {"mask2former": small.mask2former, "maskformer": small.maskformer}[kind]()
    pixels = small.processor(kind)(images=IMAGE, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        output = model(pixel_values=pixels)
        masks = F.interpolate(output.masks_queries_logits, (50, 70), mode="bilinear")[0].sigmoid()
        classes = output.class_queries_logits[0].softmax(-1)
    torch.testing.assert_close(proposals.masks.float(), masks, rtol=0, atol=1e-3)  # half precision
    torch.testing.assert_close(proposals.class_scores, classes[:, [2, 0, 1]], rtol=0, atol=1e-5)
    torch.testing.assert_close(proposals.objectness, 1 - classes[:, 3], rtol=0, atol=1e-5)
    assert proposals.masks.dtype == torch.float16


def test_a_model_object_serves_as_a_folder_does(folders):
    ours = TransformersProposer(small.mask2former(), small.processor("mask2former"))(IMAGE)
    saved = TransformersProposer.from_folder(folders["mask2former"])(IMAGE)
    assert torch.equal(ours.masks, saved.masks)
    assert ours.class_scores is None


def test_padding_of_the_processor_is_cut_off():
    plain, padded = (
        TransformersProposer(small.mask2former(), processor)
        for processor in (small.processor("mask2former"), small.processor("mask2former"))
    )
    padded._processor.pad_size = {"height": 128, "width": 128}
    inputs = padded._processor(images=IMAGE, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 128, 128)
    with torch.no_grad():
        logits = padded._model(pixel_values=inputs["pixel_values"]).masks_queries_logits
        inner = F.interpolate(logits, (128, 128), mode="bilinear")[..., :64, :96]
        expected = F.interpolate(inner, (50, 70), mode="bilinear")[0].sigmoid()
    torch.testing.assert_close(padded(IMAGE).masks.float(), expected, rtol=0, atol=1e-3)
    assert plain(IMAGE).masks.shape == padded(IMAGE).masks.shape


def test_synonyms_add_their_probabilities():
    model, processor = small.mask2former(), small.processor("mask2former")
    own = TransformersProposer(model, processor, classnames=["sky", "road", "tree"])(IMAGE).class_scores
    joined = TransformersProposer(model, processor, classnames=["SKY, tree", "road, street"])(
        IMAGE
    ).class_scores
    torch.testing.assert_close(joined, torch.stack([own[:, 0] + own[:, 2], own[:, 1]], 1))


def test_a_class_that_the_model_does_not_know_is_refused():
    with pytest.raises(ConfigError, match=r"'treee' is not among its 3\. Did you mean 'tree'"):
        TransformersProposer(small.mask2former(), small.processor("mask2former"), classnames=["treee"])


def test_a_model_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"maskformer, mask2former\. Got 'clip'"):
        TransformersProposer.from_folder(clip_folder(tmp_path / "clip"))
    with pytest.raises(ModelError, match="has none"):
        TransformersProposer.from_folder(tmp_path)


def test_a_model_without_such_outputs_is_refused():
    class Other(nn.Linear):
        def forward(self, pixel_values):
            return pixel_values

    with pytest.raises(ModelError, match="Other does not"):
        TransformersProposer(Other(1, 1), small.processor("mask2former"))(IMAGE)


def test_a_folder_without_a_processor_or_weights_is_refused(folders, tmp_path):
    broken = shutil.copytree(folders["mask2former"], tmp_path / "broken")
    (broken / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="weights must be in"):
        TransformersProposer.from_folder(broken)
    (broken / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="preprocessor_config"):
        TransformersProposer.from_folder(broken)


def test_a_backbone_of_the_hub_is_not_fetched(folders, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(folders["maskformer"], tmp_path / "maskformer"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"backbone": "somebody/backbone", "use_pretrained_backbone": True, "backbone_config": None}
    (folder / "config.json").write_text(json.dumps(config))
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address) or [])
    with pytest.raises(ModelError, match=r"config\.json"):
        TransformersProposer.from_folder(folder)
    assert asked == []
