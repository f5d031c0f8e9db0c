"""`loss.train_scale` trains the temperature of contrastive methods, and SigLIP's bias."""

from dataclasses import replace

import pytest
import torch
from models.small import siglip_folder

import radapter
from radapter.errors import ConfigError
from radapter.methods import LabelledPairs, find_method
from radapter.runs.fine_tuning import loss_of, train_method
from radapter.runs.merging import merge_run
from radapter.runs.weights import load_trained, save_trained
from radapter.tasks.recipe import Recipe
from radapter.zeroshot import LinearHead

SCALE = "encoder.module.logit_scale"


def trained(name, suite, recipe):
    return train_method(find_method(name), radapter.load("world:tiny"), suite, recipe, seed=0)


@pytest.mark.parametrize("name", ["r-adapter", "lora", "flyp", "adaptformer", "repadapter", "peft"])
def test_the_temperature_is_trained_kept_and_interpolated(tmp_path, suite, recipe, name):
    short = replace(recipe, epochs=1, train_scale=True)
    found, start = trained(name, suite, short), radapter.load("world:tiny").module.logit_scale
    tuned = found.classifier.state_dict()[SCALE]
    assert tuned != start
    save_trained(tmp_path, found, alpha=0.5, about={"model": "world:tiny", **suite.about()})
    again = load_trained(tmp_path, radapter.load("world:tiny"))
    state, expected = again.classifier.state_dict(), found.classifier.state_dict()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    with again.interpolation() as interpolation:
        for alpha in (0.0, 0.5):
            with interpolation.at(alpha):
                at_alpha = again.classifier.state_dict()[SCALE]
                torch.testing.assert_close(at_alpha, torch.lerp(start.detach(), tuned, alpha))
    if find_method(name).unmergeable:
        return
    merge_run(tmp_path, radapter.load("world:tiny"), to=tmp_path / "merged", format=None, alpha=0.5)
    merged = radapter.load(str(tmp_path / "merged")).module.logit_scale
    torch.testing.assert_close(merged.detach(), torch.lerp(start.detach(), tuned, 0.5))


@pytest.mark.parametrize("name", ["r-adapter", "flyp"])
def test_false_is_bitwise_the_run_without_it(suite, recipe, name):
    short = replace(recipe, epochs=1)
    plain, off = (trained(name, suite, replace(short, train_scale=given)) for given in (None, False))
    one, other = plain.classifier.state_dict(), off.classifier.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert plain.record.trained_parameters == off.record.trained_parameters


def test_one_parameter_more_is_trained(suite, recipe):
    short = replace(recipe, epochs=1)
    counts = [
        trained("r-adapter", suite, replace(short, train_scale=given)).record.trained_parameters
        for given in (None, True)
    ]
    assert counts[1] == counts[0] + 1


def test_the_bias_of_siglip_is_trained_with_its_loss(tmp_path):
    encoder, method = radapter.load(str(siglip_folder(tmp_path))), find_method("flyp")
    recipe = Recipe(loss="siglip", train_scale=True)
    loss = loss_of(method, recipe, encoder)
    head = LinearHead(torch.zeros(0, encoder.embed_dim))
    learner = method.build(encoder, head=head, loss=loss, settings=recipe.settings).learner
    encoder.train_scale(bias=True)
    labels = torch.tensor([0, 1])
    pixels = torch.randn(2, 3, encoder.image_size, encoder.image_size)
    tokens = torch.randint(1, 90, (2, encoder.context_length))
    for _ in range(2):  # the bias is read in every step
        learner(LabelledPairs(pixels, tokens, labels, labels)).backward()
    assert all(parameter.grad.abs() > 0 for parameter in encoder.scale_parameters())


def test_a_head_has_no_temperature_of_its_own(suite, recipe):
    with pytest.raises(ConfigError, match=r"loss\.train_scale is for contrastive methods\. Got True"):
        trained("full", suite, replace(recipe, train_scale=True))
