import random
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GemmaTokenizer

from radapter.errors import ConfigError, ModelError
from radapter.models import export, load
from radapter.storage import read_json
from radapter.world import tokens


def letters(texts: list[str]) -> torch.Tensor:
    """A stand-in tokenizer: one id per letter, 1 at the end."""
    rows = [[2 + ord(c) % 90 for c in text[: tokens.CONTEXT - 1]] for text in texts]
    return torch.tensor([row + [1] * (tokens.CONTEXT - len(row)) for row in rows])


def test_texts_are_padded_and_cut_to_the_context(clip: Path) -> None:
    ids = load(clip).tokenize(["a red star", "a red star " * 20])
    assert ids.shape == (2, tokens.CONTEXT)
    assert torch.equal(ids[:1], tokens.encode(["a red star"]))
    assert ids[1, -1] == tokens.EOS


def test_a_model_without_tokenizer_files_loads_and_says_which_are_missing(siglip: Path) -> None:
    encoder = load(siglip)
    with pytest.raises(ModelError, match=r"Looked for tokenizer\.json.*give load\(\.\.\., tokenizer=\)"):
        encoder.tokenize(["a red star"])


def test_a_tokenizer_on_the_hub_is_named_when_it_is_first_needed(
    tiny_architecture: str, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    config = open_clip.factory._MODEL_CONFIGS[tiny_architecture]
    monkeypatch.setitem(config["text_cfg"], "hf_tokenizer_name", "owner/words")
    encoder = load(f"open_clip:{tiny_architecture}")
    with pytest.raises(ModelError, match=r"tokenizer\.json and tokenizer_config\.json of 'owner/words'"):
        encoder.tokenize(["a red star"])


def test_a_tokenizer_can_be_given_as_callable_tokenizer_or_folder(clip: Path, siglip: Path) -> None:
    expected = load(clip).tokenize(["a red star"])
    assert torch.equal(load(siglip, tokenizer=letters).tokenize(["ab"]), letters(["ab"]))
    assert torch.equal(load(siglip, tokenizer=clip).tokenize(["a red star"]), expected)
    given = AutoTokenizer.from_pretrained(clip)
    assert torch.equal(load(siglip, tokenizer=given).tokenize(["a red star"]), expected)


def test_a_tokenizer_of_another_context_length_is_refused(siglip: Path) -> None:
    encoder = load(siglip, tokenizer=lambda texts: letters(texts)[:, 1:])
    with pytest.raises(ModelError, match=rf"shape \(1, {tokens.CONTEXT}\)"):
        encoder.tokenize(["ab"])


def test_no_texts_give_no_rows(clip: Path) -> None:
    assert load(clip).tokenize([]).shape == (0, tokens.CONTEXT)


def test_a_tokenizer_for_a_model_without_a_text_tower_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no text tower"):
        load("timm:vit_tiny_patch16_224", tokenizer=letters)


def test_an_encoder_counts_the_tokens_that_tokenize_would_cut(clip: Path, tiny_architecture: str) -> None:
    long = "a red star " * 20
    for encoder in (load(clip), load(f"open_clip:{tiny_architecture}")):
        assert encoder.token_counts(["a red star", long, ""]) == [5, 62, 2]


@pytest.mark.parametrize("letters", ["ab", "abcdefghijklmnopqrstuvwxyz", "äöüß", "漢字", "!?.-—", "😀"])
def test_a_long_word_has_the_tokens_that_open_clip_gives_it(tiny_architecture: str, letters: str) -> None:
    import open_clip

    # above 256 letters, words are merged by another implementation, which takes no time with the square of them
    encoder, chosen = load(f"open_clip:{tiny_architecture}"), random.Random(0)
    words = ["".join(chosen.choices(letters, k=length)) for length in (255, 256, 257, 1500)]
    ours, theirs = encoder.towers.tokenizer.get(), open_clip.SimpleTokenizer()
    for word in words:
        assert ours.encode(f"a {word} b") == theirs.encode(f"a {word} b")
    assert encoder.token_counts([words[0] * 400, "a red star"])[1] == 5


@pytest.fixture
def fixed_siglip2(siglip: Path, tmp_path: Path) -> Path:
    """A fixed-resolution SigLIP2 as the hub has it: a SiglipModel with Gemma's tokenizer, which keeps the case."""
    folder = Path(shutil.copytree(siglip, tmp_path / "siglip2"))
    letters = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.▁"]
    vocabulary = {
        token: i for i, token in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *letters])
    }
    GemmaTokenizer(vocab=vocabulary, merges=[], padding_side="right").save_pretrained(folder)
    return folder


def test_captions_of_fixed_resolution_siglip2_are_lower_cased(fixed_siglip2: Path, tmp_path: Path) -> None:
    encoder = load(fixed_siglip2)
    lower = torch.tensor([AutoTokenizer.from_pretrained(fixed_siglip2)(["a dog."])["input_ids"][0]])
    assert torch.equal(encoder.tokenize(["A Dog."]), encoder.tokenize(["a dog."]))
    assert torch.equal(encoder.tokenize(["A Dog."])[:, : lower.shape[1]], lower)
    assert torch.equal(load(fixed_siglip2, tokenizer=fixed_siglip2).tokenize(["A Dog."])[:, :6], lower)


def test_an_exported_siglip2_lower_cases_in_plain_transformers(fixed_siglip2: Path, tmp_path: Path) -> None:
    folder = export(load(fixed_siglip2), to=tmp_path / "merged")
    plain = AutoTokenizer.from_pretrained(folder)
    assert plain(["A Dog."])["input_ids"] == plain(["a dog."])["input_ids"]
    assert read_json(folder / "certificate.json")["tokenization"]["differ"] == []
