"""CoOp and CoCoOp equal their releases on the towers of two libraries."""

import copy

import pytest
import torch
from models.small import OPEN_CLIP, clip_folder, siglip_folder
from reference import maple
from reference import prompts as reference
from torch.nn import functional as F

import radapter
from radapter.errors import ConfigError, ModelError
from radapter.losses import bound_loss
from radapter.methods import find_method
from radapter.methods.prompting import check_context, prompt_tokens, starting_context
from radapter.zeroshot import LinearHead

NAMES = ("star", "fire_engine", "sun")  # of one token, and of several in open_clip's vocabulary


@pytest.fixture(params=["transformers", "open_clip"])
def towers(request, tmp_path, monkeypatch):
    import open_clip

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT", copy.deepcopy(OPEN_CLIP))
    name = str(clip_folder(tmp_path)) if request.param == "transformers" else "open_clip:tiny-ViT"
    return radapter.load(name).double()


def built(name: str, encoder, classnames=NAMES, **settings):
    torch.manual_seed(0)
    rows = F.normalize(torch.randn(len(classnames), encoder.embed_dim, dtype=torch.float64), dim=-1)
    method = find_method(name)
    loss = bound_loss("cross-entropy", margin=None, label_smoothing=None, logit_bias=None)
    head = LinearHead.zero_shot(rows, encoder.logit_scale, classnames)
    return method.build(encoder, head=head, loss=loss, settings=method.settings_type(**settings)).learner


def features(encoder) -> torch.Tensor:
    return F.normalize(torch.randn(4, encoder.embed_dim, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("context", ["a photo of a", 3])
def test_coop_is_the_release(towers, position, context):
    head = built("coop", towers, position=position, context=context).head
    f = features(towers)
    prompts, ends = reference.coop_prompts(towers, NAMES, head.context, position)
    rows = reference.text_features(towers, prompts, ends)
    torch.testing.assert_close(head(f), towers.logit_scale * f @ rows.T)
    torch.testing.assert_close(head.prepared()(f), head(f))
    expected = torch.autograd.grad((towers.logit_scale * f @ rows.T).square().sum(), head.context)
    found = torch.autograd.grad(head(f).square().sum(), head.context)
    torch.testing.assert_close(found, expected)


def test_the_words_start_the_context_so_coop_starts_at_their_prompt(towers):
    head = built("coop", towers).head
    texts = [f"a photo of a {name.replace('_', ' ')}." for name in NAMES]
    rows = F.normalize(towers.encode_text(towers.tokenize(texts)), dim=-1)
    f = features(towers)
    torch.testing.assert_close(head(f), towers.logit_scale * f @ rows.T)


def test_vectors_of_each_class_are_its_own(towers):
    head = built("coop", towers, per_class=True, context=2).head
    assert head.context.shape[:2] == (3, 2)
    f = features(towers)
    before = head(f)
    with torch.no_grad():
        head.context[1] += 1
    changed = (head(f) != before).any(0)
    assert changed.tolist() == [False, True, False]


def test_cocoop_is_the_release(towers):
    head = built("cocoop", towers).head
    f = features(towers)
    expected = reference.cocoop_logits(towers, NAMES, f, head.context, head.down, head.up)
    torch.testing.assert_close(head(f), expected)


@pytest.mark.parametrize("name", ["coop", "cocoop"])
def test_alpha_mixes_the_logits_with_those_of_zero_shot(towers, name):
    head = built(name, towers).head
    f, zero_shot = features(towers), LinearHead(head.weight)
    own = head(f)
    head.mix.fill_(0.25)
    torch.testing.assert_close(head(f), 0.75 * zero_shot(f) + 0.25 * own)
    head.mix.fill_(0)
    torch.testing.assert_close(head(f), zero_shot(f))


@pytest.mark.parametrize("name", ["coop", "cocoop"])
def test_a_context_classifies_other_names(towers, name):
    head = built(name, towers).head
    zero_shot = LinearHead(torch.randn(2, towers.embed_dim).double())
    other, f = head.for_classes(("moon", "star"), zero_shot), features(towers)
    assert other(f).shape == (4, 2)
    torch.testing.assert_close(other(f)[:, 1], head(f)[:, 0])


def unit(features: torch.Tensor) -> torch.Tensor:
    return F.normalize(features, dim=-1)


@pytest.mark.parametrize("settings", [{}, {"depth": 1}, {"vectors": 4}])
def test_maple_is_the_release(towers, settings):
    learner = built("maple", towers, **settings)
    head, pixels = learner.head, torch.randn(3, 3, towers.image_size, towers.image_size).double()
    rows = maple.text_features(towers, NAMES, head.prompts)
    images = maple.image_features(towers, pixels, head.prompts, head.projections)
    expected = towers.logit_scale * images @ rows.T
    torch.testing.assert_close(head(unit(learner.encode_image(pixels))), expected)
    prepared = head.prepared()
    torch.testing.assert_close(prepared(unit(prepared.encode(towers, pixels))), expected)
    trained = [head.prompts, *head.projections.parameters()]
    gradients = torch.autograd.grad(expected.square().sum(), trained)
    found = torch.autograd.grad(head(unit(learner.encode_image(pixels))).square().sum(), trained)
    torch.testing.assert_close(found, gradients)


def test_more_vectors_than_words_take_the_place_of_all(towers):
    head = built("maple", towers, vectors=6, depth=1).head
    prompts, ends = reference.coop_prompts(towers, NAMES, head.prompts[0], "end")
    rows = reference.text_features(towers, prompts, ends)
    torch.testing.assert_close(head.rows(), towers.logit_scale * rows)


def test_alpha_of_maple_mixes_the_logits_with_those_of_zero_shot(towers):
    learner = built("maple", towers)
    head, pixels = learner.head, torch.randn(3, 3, towers.image_size, towers.image_size).double()
    own = head(unit(learner.encode_image(pixels)))
    zero_shot = LinearHead(head.weight)(unit(towers.encode_image(pixels)))
    for mix in (0.0, 0.25):
        head.mix.fill_(mix)
        torch.testing.assert_close(
            head(unit(learner.encode_image(pixels))), (1 - mix) * zero_shot + mix * own
        )


def test_maple_refuses_other_image_towers_and_too_many_blocks(towers, tmp_path):
    check, settings = find_method("maple").check, find_method("maple").settings_type
    with pytest.raises(ConfigError, match=r"method\.depth must be null or at most 2"):
        check(towers, settings(depth=3))
    siglip = radapter.load(str(siglip_folder(tmp_path / "siglip")))
    with pytest.raises(ModelError, match="MaPLe needs the image tower of CLIP"):
        check(siglip, settings())


def test_the_embedding_is_unchanged_after_a_prompt_was_read(towers):
    tokens = towers.tokenize(["a star"])
    before = towers.encode_text(tokens)
    built("coop", towers).head(features(towers))
    assert torch.equal(towers.encode_text(tokens), before)


def test_random_vectors_have_coop_s_spread(towers):
    torch.manual_seed(0)
    assert starting_context(towers, 200).std().item() == pytest.approx(0.02, rel=0.05)


def test_a_context_that_leaves_no_place_is_an_error(towers):
    with pytest.raises(ConfigError, match=r"Give fewer in method\.context"):
        check_context(towers, towers.context_length)
    with pytest.raises(ConfigError, match="a prompt must have at most"):
        prompt_tokens(towers, ["star " * 20], 4)
