"""Few-shot methods train, resume, and are evaluated again from their directory, on two libraries' towers."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models.small import OPEN_CLIP, clip_folder
from runs.running import StopAfter

import radapter
from radapter.errors import ConfigError, RunError
from radapter.evaluation.measures import class_logits
from radapter.methods import find_method
from radapter.methods.method import EncodedImages
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, evaluate_run, run_method
from radapter.runs.evaluator import Evaluator
from radapter.runs.fine_tuning import train_method
from radapter.runs.merging import folder_classifier, merge_run
from radapter.runs.weights import load_trained
from radapter.training import Environment, Interrupted

HEADS = ("clip-adapter", "tip-adapter", "tip-adapter-f", "coop", "cocoop", "maple")
UNMERGEABLE = ("clip-adapter", "tip-adapter", "tip-adapter-f", "cocoop", "maple")
TEACHERS = ("car-ft", "lipsum-ft", "r-adapter:anchored")
OPTIMIZED = ("clip-adapter", "tip-adapter-f", "coop", "cocoop", "maple", *TEACHERS)


@pytest.fixture(params=["transformers", "open_clip"])
def tower(request, tmp_path_factory, monkeypatch) -> str:
    """The name of a tiny model with random weights."""
    if request.param == "transformers":
        return str(clip_folder(tmp_path_factory.mktemp("clip")))
    import open_clip

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT", copy.deepcopy(OPEN_CLIP))
    return "open_clip:tiny-ViT"


def run(out: Path, tower: str, method: str, suite, recipe, *, resume=False, **environment):
    row, directory = find_method(method), RunDirectory(out, "a: 1\n", resume)
    around = Environment(**environment)
    rule = AlphaRule(1.0)
    return run_method(directory, row, radapter.load(tower), suite, recipe, rule=rule, environment=around)


def logits(classifier, suite, pixels):
    head = suite.head(classifier.encoder) if classifier.head is None else classifier.head
    return class_logits(classifier.encoder, head, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("method", [*HEADS, *TEACHERS])
def test_a_run_is_evaluated_again_from_its_directory(tmp_path, tower, method, suite, recipe):
    done = run(tmp_path / "run", tower, method, suite, recipe)
    encoder = radapter.load(tower)
    again = evaluate_run(tmp_path / "run", encoder, Evaluator(suite, encoder))
    assert again.rows[1].ood == done.rows[1].ood
    assert again.rows[1].id == done.rows[1].id
    by_alpha = {row.alpha: row for row in done.sweep if row.method != "zero-shot"}
    assert by_alpha[0.0].ood == done.rows[0].ood  # alpha 0 is zero-shot
    tuned = load_trained(tmp_path / "run", radapter.load(tower))
    pixels = torch.randn(3, 3, encoder.image_size, encoder.image_size)
    at_one = logits(tuned.classifier, suite, pixels)
    with tuned.interpolation() as interpolation, interpolation.at(0.0):
        base = radapter.load(tower)
        zero_shot = class_logits(base, suite.head(base), pixels)
        # a residual of weight 0 still scales the features to unit norm again
        torch.testing.assert_close(logits(tuned.classifier, suite, pixels), zero_shot, atol=1e-4, rtol=1e-5)
    assert not torch.allclose(at_one, zero_shot, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method", OPTIMIZED)
def test_a_run_resumes_bitwise(tmp_path, method, suite, recipe):
    frequent = replace(recipe, checkpoint_every=1)
    run(tmp_path / "whole", "world:tiny", method, suite, frequent)
    stop = StopAfter(3)
    with pytest.raises(Interrupted):
        run(tmp_path / "cut", "world:tiny", method, suite, frequent, stop=stop, report=stop)
    run(tmp_path / "cut", "world:tiny", method, suite, frequent, resume=True)
    whole, cut = (
        load_trained(tmp_path / name, radapter.load("world:tiny")).classifier.state_dict()
        for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.parametrize("method", UNMERGEABLE)
def test_what_cannot_be_merged_says_why(tmp_path, method, suite, recipe):
    run(tmp_path / "run", "world:tiny", method, suite, replace(recipe, epochs=1))
    with pytest.raises(RunError, match=f"'{method}' cannot be merged: "):
        merge_run(
            tmp_path / "run", radapter.load("world:tiny"), to=tmp_path / "merged", format=None, alpha=None
        )
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("format", ["transformers", "open_clip"])
def test_coop_merges_to_a_classifier(tmp_path, format, suite, recipe):
    run(tmp_path / "run", "world:tiny", "coop", suite, recipe)
    merge_run(tmp_path / "run", radapter.load("world:tiny"), to=tmp_path / "merged", format=format, alpha=0.5)
    found = folder_classifier(tmp_path / "merged", 128)
    assert found.classnames == suite.classnames
    tuned, base = load_trained(tmp_path / "run", radapter.load("world:tiny")), radapter.load("world:tiny")
    with tuned.interpolation() as interpolation, interpolation.at(0.5):
        torch.testing.assert_close(found.head.weight, tuned.classifier.head.prepared().weight)
    pixels = torch.randn(2, 3, base.image_size, base.image_size)
    torch.testing.assert_close(
        radapter.load(str(tmp_path / "merged")).encode_image(pixels), base.encode_image(pixels)
    )


def trained(method: str, suite, recipe):
    return train_method(find_method(method), radapter.load("world:tiny"), suite, recipe, seed=0)


def test_encoded_once_equals_encoding_every_batch(suite, recipe, monkeypatch):
    once = trained("clip-adapter", suite, recipe).classifier.head
    import radapter.runs.fine_tuning as fine_tuning

    monkeypatch.setattr(
        fine_tuning,
        "encoded_images",
        lambda loader, *_, **__: (EncodedImages(None, None), loader),
    )
    every = trained("clip-adapter", suite, recipe).classifier.head
    # the same images in batches of other sizes
    torch.testing.assert_close(once.down.weight, every.down.weight, atol=1e-5, rtol=1e-4)


def test_views_repeat(suite, recipe):
    one, two = (
        trained("clip-adapter", suite, with_views(recipe, "clip-adapter", views)).classifier.head
        for views in (1, 2)
    )
    assert not torch.equal(one.down.weight, two.down.weight)


def with_views(recipe, method: str, views: int):
    return replace(recipe, settings=find_method(method).settings_type(views=views))


def test_tip_adapter_trains_nothing_and_searches_on_validation(suite, recipe):
    found = trained("tip-adapter", suite, recipe)
    assert (found.record.trained_parameters, found.record.epochs) == (0, 0)
    assert found.record.learning_rate is None
    head = found.classifier.head
    assert head.keys.shape == (60, 128)
    assert not head.keys.requires_grad


def test_a_search_without_validation_is_an_error_and_given_values_need_none(suite, recipe):
    without = replace(suite, id_val=None)
    with pytest.raises(ConfigError, match=r"data\.id_val is required"):
        trained("tip-adapter", without, recipe)
    given = find_method("tip-adapter").settings_type(alpha=2.0, beta=3.0)
    head = trained("tip-adapter", without, replace(recipe, settings=given)).classifier.head
    assert (head.alpha.item(), head.beta.item()) == (2.0, 3.0)
