"""Two and four processes against one: weights, gradients, metrics, batches and errors are the same."""

import pytest
import torch
from models.small import siglip_folder
from processes import training
from processes.start import start

from radapter.processes import ALONE
from radapter.training import Checkpoints

WORLDS = (2, pytest.param(4, marks=pytest.mark.slow))
# Float64, AdamW: only the order of sums differs.
CLOSE = {"rtol": 0.0, "atol": 1e-6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("processes")
    training.make_model(place / "model")
    training.make_outcomes(place / "model")
    siglip_folder(place / "siglip")
    return place


@pytest.fixture(scope="module")
def alone(folder):
    """What one process finds."""
    return training.found_by(ALONE, folder)


@pytest.fixture(scope="module")
def found(folder):
    """What each process of every world finds, by size and rank; a world is started when it is first asked for."""

    class Worlds(dict):
        def __missing__(self, size):
            assert start(training.run, size, str(folder)) == [0] * size
            self[size] = [torch.load(folder / f"{size}-{rank}.pt", weights_only=True) for rank in range(size)]
            return self[size]

    return Worlds()


def assert_close(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        # A softmax does not feel its keys' bias. AdamW divides the last bits of a zero gradient by themselves.
        if str(name).endswith("k_proj.bias"):
            continue
        torch.testing.assert_close(other[name], one[name], msg=lambda m, n=name: f"{n}: {m}", **tolerance)


@pytest.mark.parametrize("case", training.TRAININGS)
@pytest.mark.parametrize("size", WORLDS)
def test_a_training_gives_the_weights_of_one_process(alone, found, size, case):
    expected = alone["trained"][case]
    assert len(expected["steps"]) >= 5
    for of_rank in found[size]:
        assert_close(expected["weights"], of_rank["trained"][case]["weights"], **CLOSE)
        torch.testing.assert_close(of_rank["trained"][case]["steps"], expected["steps"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", training.TRAININGS)
@pytest.mark.parametrize("size", WORLDS)
def test_every_process_ends_with_the_same_averages_bitwise(found, size, case):
    first, *others = (of_rank["trained"][case]["weights"] for of_rank in found[size])
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)


def test_a_training_changes_something(alone):
    weights = {case: alone["trained"][case]["weights"] for case in training.TRAININGS}
    name = next(name for name in weights["r-adapter"] if "radapter_A" in name)
    assert weights["r-adapter"][name].abs().max() > 1e-3
    assert not torch.allclose(weights["r-adapter"][name], weights["single-positive"][name], **CLOSE)


@pytest.mark.parametrize("task", ["classification", "retrieval"])
@pytest.mark.parametrize("size", WORLDS)
def test_the_gradient_is_that_of_the_whole_batch(alone, found, size, task):
    expected = alone["gradients"][task]
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
    for of_rank in found[size]:
        assert_close(expected, of_rank["gradients"][task], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", training.LOSSES)
@pytest.mark.parametrize("size", WORLDS)
def test_a_loss_of_parts_is_that_of_the_batch_and_its_gradients_average_to_the_batch_s(
    alone, found, size, name
):
    value, images, others = alone["losses"][name]
    values, image_parts, other_parts = zip(*(of_rank["losses"][name] for of_rank in found[size]), strict=True)
    close = {"rtol": 1e-12, "atol": 1e-14}
    assert all(torch.allclose(of_rank, value, **close) for of_rank in values)
    assert torch.allclose(torch.cat(image_parts) / size, images, **close)
    if name == "cross-entropy":  # a head is whole in every process
        assert all(torch.allclose(of_rank, others, **close) for of_rank in other_parts)
    else:
        assert torch.allclose(torch.cat(other_parts) / size, others, **close)


@pytest.mark.parametrize("size", [1, *WORLDS])
def test_a_stop_of_one_process_stops_all_and_they_resume_bitwise(alone, found, size):
    results = [alone] if size == 1 else found[size]
    for of_rank in results:
        whole, resumed = of_rank["trained"]["r-adapter"]["weights"], of_rank["resumed"]["weights"]
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)
        assert len(of_rank["resumed"]["steps"]) == 2


@pytest.mark.parametrize("size", WORLDS)
def test_another_number_of_processes_continues_from_a_checkpoint(alone, found, folder, size):
    assert found[size]
    kept = folder / f"world-{size}" / "kept"
    assert Checkpoints(kept).newest().step == 4
    resumed = training.trained("r-adapter", folder / "model", ALONE, kept, resume=True)
    assert_close(alone["trained"]["r-adapter"]["weights"], resumed["weights"], **CLOSE)


@pytest.mark.parametrize("task", ["classification", "retrieval"])
@pytest.mark.parametrize("size", WORLDS)
def test_metrics_are_those_of_one_process_to_the_last_bit(alone, found, size, task):
    rows, _ = alone["metrics"][task]
    assert rows[0] != rows[1]
    for of_rank in found[size]:
        assert of_rank["metrics"][task] == alone["metrics"][task]


@pytest.mark.parametrize("size", WORLDS)
def test_every_sample_of_a_set_is_evaluated_exactly_once(found, size):
    for of_rank in found[size]:
        for (samples, _), seen in of_rank["loading"]["evaluated"].items():
            assert seen == list(range(samples))
        assert of_rank["loading"]["readable"] == [2, 3, 4, 6, 7, 8]


@pytest.mark.parametrize("size", WORLDS)
def test_batches_are_those_of_one_process_however_many_images_are_damaged(alone, found, size):
    for of_rank in found[size]:
        assert of_rank["loading"] == alone["loading"]


@pytest.mark.parametrize("size", WORLDS)
def test_an_error_in_one_process_is_raised_in_all(found, size):
    for of_rank in found[size]:
        fails = of_rank["fails"]
        assert fails["last"] == ("DataError", "here", [f"In process {size - 1} of {size}."])
        assert fails["all"] == fails["main"] == ("DataError", "everywhere", [])


@pytest.mark.parametrize("size", WORLDS)
def test_a_step_that_is_not_finite_in_one_process_is_skipped_by_all(alone, found, size):
    for of_rank in found[size]:
        assert of_rank["poisoned"]["skipped"] == alone["poisoned"]["skipped"] == 1
        assert_close(alone["poisoned"]["weights"], of_rank["poisoned"]["weights"], **CLOSE)


@pytest.mark.parametrize("size", WORLDS)
def test_processes_with_another_model_or_other_images_are_refused_before_anything_is_written(found, size):
    for of_rank in found[size]:
        unlike = of_rank["unlike"]
        assert unlike["model"][0] == "ModelError"
        assert f"in process {size - 1}" in unlike["model"][1]
        assert unlike["data"][0] == "DataError"
        assert f"in process {size - 1}" in unlike["data"][1]
        assert not unlike["written"]


@pytest.mark.parametrize("case", ["too many", "evaluated", "none"])
@pytest.mark.parametrize("size", WORLDS)
def test_too_many_damaged_images_end_all_processes_as_they_end_one(alone, found, size, case):
    kind, message, _ = alone["fails"][case]
    assert kind == "DataError"
    for of_rank in found[size]:
        assert of_rank["fails"][case][:2] == found[size][0]["fails"][case][:2]
        assert of_rank["fails"][case][0] == kind
        if case != "evaluated":  # there each process meets its own images first
            assert of_rank["fails"][case][1] == message


@pytest.mark.parametrize("case", training.SHARDED)
def test_fsdp_gives_the_weights_of_one_process(alone, found, case):
    for of_rank in found[2]:
        assert_close(
            alone["trained"][case]["weights"], of_rank["sharded"]["trained"][case]["weights"], **CLOSE
        )


@pytest.mark.parametrize(("name", "method"), training.FAMILIES)
def test_fsdp_parts_the_blocks_of_every_library(found, name, method):
    for of_rank in found[2]:
        assert of_rank["sharded"]["families"][name, method] < 1e-9


def test_fsdp_resumes_bitwise(found):
    for of_rank in found[2]:
        whole, resumed = (of_rank["sharded"][key] for key in ("trained", "resumed"))
        weights = whole["r-adapter"]["weights"]
        assert all(torch.equal(weights[name], resumed["weights"][name]) for name in weights)
