"""Two processes that read one stream: every image once, one process's weights, errors in both."""

import pytest
import torch
from processes import streams
from processes.start import start

from radapter.processes import ALONE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("streams")
    streams.prepare(place)
    return place


@pytest.fixture(scope="module")
def alone(folder):
    return streams.found_by(ALONE, folder)


@pytest.fixture(scope="module")
def found(folder):
    assert start(streams.run, 2, str(folder)) == [0, 0]
    return [torch.load(folder / f"2-{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_every_image_is_in_one_step_once_and_steps_are_as_large_as_one_process_s(alone, found):
    (expected, _), *others = alone["steps"], *(of_rank["steps"] for of_rank in found)
    for steps, bad in others:
        assert bad == 0
        assert [len(step) for step in steps] == [len(step) for step in expected] == [6, 6, 6, 5]
        assert sorted(index for step in steps for index in step) == list(range(streams.IMAGES))
    assert found[0]["steps"] == found[1]["steps"]


def test_an_unreadable_image_is_counted_by_both(alone, found):
    for steps, bad in (alone["unreadable"], *(of_rank["unreadable"] for of_rank in found)):
        assert bad == 1
        assert len([index for step in steps for index in step]) == streams.IMAGES - 1


@pytest.mark.parametrize(("case", "said"), [("cut", "00001.tar"), ("too many", "max_bad")])
def test_an_error_in_one_process_is_raised_in_both(alone, found, case, said):
    for kind, message, _ in (alone[case], *(of_rank[case] for of_rank in found)):
        assert kind == "DataError"
        assert said in message


@pytest.mark.parametrize("case", streams.TRAININGS)
def test_weights_are_those_of_one_process(alone, found, case):
    expected = alone["trained"][case]
    for of_rank in found:
        for name, weight in of_rank["trained"][case].items():
            # float64, AdamW: only the order of sums differs
            torch.testing.assert_close(weight, expected[name], rtol=0.0, atol=1e-6)


def test_checkpointing_goes_with_fsdp(alone, found):
    expected = alone["trained"]["checkpointed"]
    for of_rank in found:
        for name, weight in of_rank["fsdp"].items():
            torch.testing.assert_close(weight, expected[name], rtol=0.0, atol=1e-6)


def test_the_trainings_differ(alone):
    adapters = [
        torch.cat([t.flatten() for n, t in alone["trained"][case].items() if "image" in n or "vision" in n])
        for case in ("stream", "checkpointed", "frozen text tower")
    ]
    assert all(adapter.abs().max() > 1e-4 for adapter in adapters)
    assert not torch.allclose(adapters[0], adapters[1], atol=1e-6)
    assert not torch.allclose(adapters[1], adapters[2], atol=1e-6)
