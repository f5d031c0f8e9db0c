"""Templates, prompts and class embeddings."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from radapter.errors import ConfigError, DataError, MissingExtraError
from radapter.zeroshot import class_embeddings, templates


class TinyText(nn.Module):
    """A real text tower over letters: embedding, dropout, mean. It notes what it is asked."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.letters = nn.Embedding(256, 8, dtype=dtype)
        self.dropout = nn.Dropout(0.5)
        self.asked = []

    def tokenize(self, texts):
        self.asked.append(list(texts))
        return torch.tensor([list(text.encode()[:40].ljust(40)) for text in texts])

    def encode_text(self, tokens):
        return self.dropout(self.letters(tokens)).mean(1)


def test_head_is_the_normalised_mean_of_normalised_prompts():
    encoder, names, prompts = TinyText().eval(), ("cat", "dog", "cow"), ("a {}.", "the {}", "{} here")
    head = class_embeddings(encoder, names, prompts)
    for name, row in zip(names, head, strict=True):
        texts = [prompt.replace("{}", name) for prompt in prompts]
        each = F.normalize(encoder.encode_text(encoder.tokenize(texts)), dim=-1)
        torch.testing.assert_close(row, F.normalize(each.mean(0), dim=-1))


def test_head_has_unit_rows_and_no_gradient():
    head = class_embeddings(TinyText(), ("cat", "dog"), templates("short"))
    torch.testing.assert_close(head.norm(dim=1), torch.ones(2))
    assert not head.requires_grad


def test_batch_size_does_not_change_the_head():
    heads = [
        class_embeddings(TinyText(), ("cat", "dog"), templates("short"), batch_size=b) for b in (1, 3, 99)
    ]
    torch.testing.assert_close(heads[0], heads[1])
    torch.testing.assert_close(heads[0], heads[2])


def test_each_distinct_prompt_is_encoded_once_and_counts_as_often_as_it_occurs():
    # "a" in "{} b" and "a b" in "{}" are one prompt.
    encoder = TinyText()
    head = class_embeddings(encoder, ("a", "a b"), ("{}", "{} b", "{}"), batch_size=2)
    assert sorted(prompt for batch in encoder.asked for prompt in batch) == ["a", "a b", "a b b"]
    with torch.no_grad():
        a, a_b, a_b_b = F.normalize(
            TinyText().eval().encode_text(encoder.tokenize(["a", "a b", "a b b"])), dim=-1
        )
    torch.testing.assert_close(head, F.normalize(torch.stack([2 * a + a_b, 2 * a_b + a_b_b]), dim=-1))


def test_encoder_computes_in_evaluation_mode_and_keeps_its_own():
    encoder = TinyText().train()
    first, second = (class_embeddings(encoder, ("cat",), ("a {}",)) for _ in range(2))
    assert torch.equal(first, second)
    assert encoder.training
    assert encoder.dropout.training


def test_head_of_a_half_precision_tower_is_float32():
    assert class_embeddings(TinyText(torch.bfloat16), ("cat",), ("a {}",)).dtype == torch.float32


def test_braces_in_a_class_name_stay():
    encoder = TinyText()
    class_embeddings(encoder, ("{0} cat",), ("a {}",))
    assert encoder.asked == [["a {0} cat"]]


def test_duplicate_class_names_are_counted_and_the_first_three_named():
    names = ["a", "b", "c", "d", "e", "d", "c", "b", "a", "a"]
    with pytest.raises(DataError, match="4 occur more than once: 'a', 'b', 'c'"):
        class_embeddings(TinyText(), names, ("{}",))


def test_no_class_name_and_no_template_are_errors():
    with pytest.raises(DataError, match="at least one name"):
        class_embeddings(TinyText(), (), ("{}",))
    with pytest.raises(ConfigError, match="at least one template"):
        class_embeddings(TinyText(), ("cat",), ())


def test_short_templates_each_have_one_place():
    assert len(templates("short")) == 8
    assert all(template.count("{}") == 1 for template in templates("short"))


def test_imagenet_templates_are_open_clips():
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    ours = [template.replace("{}", "x") for template in templates("imagenet")]
    assert ours == [template("x") for template in OPENAI_IMAGENET_TEMPLATES]
    assert len(ours) == 80


def test_imagenet_templates_without_open_clip_name_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "open_clip"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'radapter\[open-clip\]'"):
        templates("imagenet")


def test_templates_from_a_file_a_list_and_one_string(tmp_path):
    file = tmp_path / "templates.txt"
    file.write_text("a {} in oil\n\n  a {} in ink  \n")
    assert templates(file) == templates(str(file)) == ("a {} in oil", "a {} in ink")
    assert templates(["a {}"]) == templates("a {}") == ("a {}",)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (["a photo"], "exactly one '{}'.* Got 'a photo'"),
        (["{} and {}"], "exactly one '{}'"),
        ([], "at least one template"),
        ("imagnet", "'imagnet' is neither name nor file. Did you mean 'imagenet'"),
    ],
)
def test_wrong_templates_are_named(spec, words):
    with pytest.raises(ConfigError, match=words):
        templates(spec)
