"""Segmentation from regions to a folder: trained, resumed, swept, evaluated, merged; equal to what is deployed."""

from functools import partial
from pathlib import Path

import pytest
import torch
from reference.selection import smallest_within
from runs.running import run, same, stop_at, tensors
from safetensors.torch import load_file

import radapter
from radapter.data import Memory, open_masks
from radapter.errors import DataError, LeakError
from radapter.evaluation import confusion_matrix, mean_iou
from radapter.methods import SEGMENTATION
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import evaluate_run
from radapter.runs.evaluator import Evaluator
from radapter.runs.merging import merge_run
from radapter.runs.results import Results
from radapter.segmentation import (
    FelzenszwalbProposer,
    Proposals,
    RegionClassifier,
    label_regions,
    region_crops,
)
from radapter.segmentation.classifier import segment
from radapter.segmentation.training_regions import MaskRegions
from radapter.tasks.leaks import check_disjoint
from radapter.tasks.recipe import Recipe
from radapter.tasks.segmentation import SegmentationSuite
from radapter.training import Environment, Interrupted
from radapter.zeroshot import templates

UNSEEN = ("boat", "castle", "cup", "flower")
PROPOSER = FelzenszwalbProposer(min_size=60)


def scenes(seed: int, size: int, style: str = "photo", **options):
    spec = {"world": "scenes", "styles": style, "seed": seed, "size": size, "background": False, **options}
    return open_masks(spec, name=style)


@pytest.fixture(scope="module")
def masked() -> SegmentationSuite:
    encoder = radapter.load("world:tiny")
    return SegmentationSuite(
        train=MaskRegions(scenes(0, 30)),
        id_val=scenes(1, 8),
        id_test={"photo": scenes(2, 8, without=list(UNSEEN))},
        ood={"sketch": scenes(2, 8, "sketch"), "unseen": scenes(3, 20, only=list(UNSEEN))},
        templates=templates("short"),
        proposer=PROPOSER,
        crop=partial(region_crops, size=encoder.image_size, mean=encoder.image_mean, std=encoder.image_std),
        unseen=UNSEEN,
    )


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Two short epochs of the image tower."""
    return Recipe(epochs=2, batch_size=8, learning_rate=3e-3)


@pytest.fixture(scope="module")
def done(tmp_path_factory, masked, recipe) -> tuple[Path, Results]:
    """A finished run of R-Adapter."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder, masked, recipe)


def segmented(encoder, dataset, proposer_of) -> torch.Tensor:
    """What the pipeline that users run makes of a set."""
    classifier = RegionClassifier(encoder, dataset.classnames, templates("short"))
    found = 0
    for image, labels, _ in dataset:
        (one,) = segment([image], [proposer_of(labels)(image)], classifier)
        found = found + confusion_matrix(one.labels, labels, len(dataset.classnames))
    return found


def test_zero_shot_is_the_pipeline_that_users_run(done, masked):
    _, results = done
    encoder, data = radapter.load("world:tiny"), masked.ood["sketch"]
    found = results.row("zero-shot").ood["sketch"]
    deployed = segmented(encoder, data, lambda labels: PROPOSER)
    assert found["miou"] == pytest.approx(mean_iou(deployed), abs=1e-6)
    assert found["miou_ovseg"] == pytest.approx(mean_iou(deployed, convention="ovseg"), abs=1e-6)


def given(masks):
    return Proposals(masks.half(), torch.ones(len(masks)))


def test_true_masks_are_an_oracle_proposer_under_the_same_classifier(done, masked):
    _, results = done
    data = masked.ood["sketch"]
    oracle = segmented(
        radapter.load("world:tiny"),
        data,
        lambda labels: lambda _: given(label_regions(labels, ignored=(-1,))[0]),
    )
    assert results.row("zero-shot").ood["sketch"]["true_masks_miou"] == pytest.approx(
        mean_iou(oracle), abs=1e-6
    )


def test_true_classes_do_not_depend_on_the_model_and_bound_it(done):
    _, results = done
    for role, name in (("id", "photo"), ("ood", "sketch"), ("ood", "unseen")):
        ceilings = {getattr(point, role)[name]["true_classes_miou"] for point in results.sweep}
        assert len(ceilings) == 1
        assert all(getattr(point, role)[name]["miou"] <= min(ceilings) for point in results.sweep)


def test_results_hold_miou_and_its_means(done):
    folder, results = done
    assert Results.read(folder) == results
    assert results.task == "segmentation"
    for row in results.rows:
        assert row.id_mean == pytest.approx(row.id["photo"]["miou"])
        assert row.ood_mean == pytest.approx(sum(m["miou"] for m in row.ood.values()) / 2)


def test_classes_left_out_are_reported_apart(done):
    _, results = done
    row = results.row("r-adapter")
    assert not {"miou_seen", "miou_unseen"} & row.id["photo"].keys()  # it shows none of them
    assert row.ood["unseen"]["miou_unseen"] == pytest.approx(row.ood["unseen"]["miou"])
    sketch = row.ood["sketch"]
    both = 2 * sketch["miou_seen"] * sketch["miou_unseen"]
    assert sketch["miou_harmonic"] == pytest.approx(
        both / max(sketch["miou_seen"] + sketch["miou_unseen"], 1e-9)
    )


def test_regions_of_classes_left_out_are_not_trained_on(masked, recipe):
    loader, _ = masked.training(radapter.load("world:tiny"), recipe, seed=0, memory=None)
    assert not {masked.train.nouns[label] for label in loader.dataset.labels} & set(UNSEEN)
    assert 0 < len(loader.dataset) < len(masked.train)


def test_of_synonyms_the_first_is_the_caption(masked, recipe):
    encoder = radapter.load("world:tiny")
    regions = MaskRegions(scenes(0, 4))
    regions.nouns = (f"{regions.nouns[0]}, pentagram", *regions.nouns[1:])
    suite = SegmentationSuite(**{**vars(masked), "train": regions})
    _, captions = suite.training(encoder, recipe, seed=0, memory=None)
    texts = encoder.tokenize([template.format("star") for template in masked.templates])
    assert torch.equal(captions.tokens[: len(texts)], texts)


def test_regions_of_one_image_are_distinguished_also_with_cached_images(masked, recipe):
    assert len(masked.train.keys.unique()) < len(masked.train)  # some scenes have two objects
    read = []
    for memory in (None, Memory()):
        loader, _ = masked.training(radapter.load("world:tiny"), recipe, seed=0, memory=memory)
        assert len(loader.dataset.keys.unique()) == len(loader.dataset)
        read.append(torch.cat([batch.pixels for batch in [*loader.epoch(0), *loader.epoch(1)]]))
    assert torch.equal(*read)


def test_training_changes_the_image_tower_alone(done):
    folder, results = done
    points = {row.alpha: row for row in results.sweep if row.method == "r-adapter"}
    assert points[0.0].ood == results.row("zero-shot").ood
    assert points[1.0].ood != points[0.0].ood
    names = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert names
    assert not any("text_model" in name for name in names)


def test_alpha_is_chosen_by_the_paired_jackknife(done):
    folder, results = done
    values = load_file(folder / "pseudo_values.safetensors")
    validated = {row.alpha: row.id_val for row in results.sweep if row.method == "r-adapter"}
    of_image = {alpha: values[f"{alpha:g}/id_val/id_val"].tolist() for alpha in validated}
    scores = {alpha: metrics["miou"] for alpha, metrics in validated.items()}
    assert results.row("r-adapter").alpha == smallest_within(scores, of_image)
    assert "paired standard error" in results.selection.rule
    assert results.selection.n == 8


def test_killed_and_resumed_is_bitwise_the_uninterrupted_run(tmp_path: Path, done, masked, recipe):
    folder, whole = done
    with pytest.raises(Interrupted, match="step 2 of"):
        run(tmp_path / "cut", masked, recipe, report=stop_at(2))
    resumed = run(tmp_path / "cut", masked, recipe, resume=True)
    assert same(tensors(folder), tensors(tmp_path / "cut"))
    assert resumed.sweep == whole.sweep


@pytest.mark.parametrize("memory", [None, Memory(cache_mib=2), Memory()])
def test_figures_do_not_depend_on_memory_and_a_reloaded_run_gives_them(done, masked, memory):
    folder, results = done
    encoder = radapter.load("world:tiny")
    environment = Environment(memory=memory)
    evaluator = Evaluator(masked, encoder, Recipe(eval_batch_size=16), environment)
    for _ in range(2):  # as read, and as kept
        again = evaluate_run(folder, radapter.load("world:tiny"), evaluator)
        for method in ("zero-shot", "r-adapter"):
            assert again.row(method).id_mean == pytest.approx(results.row(method).id_mean, abs=0.01)
            assert again.row(method).ood["sketch"]["n"] == 8


def test_a_run_merges_to_the_encoder_alone(tmp_path: Path, done):
    folder, _ = done
    merge_run(folder, radapter.load("world:tiny"), to=tmp_path / "merged", format=None, alpha=0.4)
    assert not (tmp_path / "merged" / "classes.json").exists()
    assert radapter.load(str(tmp_path / "merged")).embed_dim


def test_training_gets_no_test_set_and_no_test_image(masked):
    with pytest.raises(LeakError, match=r"data\.ood was asked for"):
        list(masked.sealed().ood)
    check_disjoint(masked)
    leaking = SegmentationSuite(**{**vars(masked), "ood": {"copy": scenes(0, 30)}})
    with pytest.raises(DataError, match=r"Of the 30 in 'copy' \d+ are also in 'photo'"):
        check_disjoint(leaking)


def test_every_method_of_the_task_trains(masked, recipe, tmp_path):
    for method in ("full-image-tower", "lora"):
        results = run(
            tmp_path / method, masked, recipe, method, rule=AlphaRule(SEGMENTATION[method].alpha, "chosen")
        )
        assert results.rows[1].trained_parameters > 0
        assert results.sweep[-1].ood != results.sweep[0].ood
