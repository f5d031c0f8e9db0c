from pathlib import Path

import peft
import pytest
import torch

from radapter import RAdapterConfig
from radapter.errors import ModelError
from radapter.models import fingerprint, load


def test_the_same_weights_give_the_same_fingerprint(clip: Path) -> None:
    assert fingerprint(load(clip)) == fingerprint(load(clip)) == fingerprint(load(clip).module)


def test_one_changed_number_changes_it(clip: Path) -> None:
    encoder = load(clip)
    before = fingerprint(encoder)
    with torch.no_grad():
        encoder.module.visual_projection.weight[0, 0] += 1e-3
    assert fingerprint(encoder) != before


def test_adapters_do_not_change_it(clip: Path, tiny_architecture: str) -> None:
    for name in (clip, f"open_clip:{tiny_architecture}"):
        encoder = load(name)
        before = fingerprint(encoder)
        model = peft.get_peft_model(encoder.module, RAdapterConfig(init_weights=False))
        assert fingerprint(encoder) == fingerprint(model) == before
        with model.disable_adapter():
            assert fingerprint(encoder) == before
        model.merge_adapter()
        model.unmerge_adapter()
        assert fingerprint(encoder) == before


def test_lora_in_an_attention_and_a_module_saved_whole_do_not_change_it(tiny_architecture: str) -> None:
    encoder = load(f"open_clip:{tiny_architecture}")
    before = fingerprint(encoder)
    config = peft.LoraConfig(target_modules=["attn", "c_proj"], modules_to_save=["ln_final"])
    peft.get_peft_model(encoder.module, config)
    assert fingerprint(encoder) == before


def test_merged_adapters_are_an_error(clip: Path) -> None:
    encoder = load(clip)
    peft.get_peft_model(encoder.module, RAdapterConfig(init_weights=False)).merge_adapter()
    with pytest.raises(ModelError, match=r"must not be merged.*unmerge_adapter"):
        fingerprint(encoder)


def test_it_works_in_half_precision_and_differs_there(clip: Path) -> None:
    assert fingerprint(load(clip, dtype=torch.bfloat16)) != fingerprint(load(clip))
