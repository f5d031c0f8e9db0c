import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radapter import processes
from radapter.errors import ConfigError, DataError
from radapter.processes import ALONE, is_shared, join, launched, share


@given(st.integers(0, 200), st.integers(1, 17))
def test_shares_are_neighbours_cover_everything_once_and_differ_by_one_at_most(total, size):
    shares = [share(total, rank, size) for rank in range(size)]
    assert [i for share in shares for i in share] == list(range(total))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


def test_one_process_does_everything_itself():
    assert (ALONE.rank, ALONE.size, ALONE.is_main) == (0, 1, True)
    assert ALONE.gather("a") == ALONE.gather_on_main("a") == ALONE.together(lambda: "a") == ["a"]
    assert ALONE.on_main(lambda: 3) == ALONE.everywhere(lambda: 3) == 3
    parts = list(ALONE.in_turn([1, 2, 3], lambda part: torch.tensor([part])))
    assert torch.equal(torch.cat(parts), torch.tensor([1, 2, 3]))
    assert ALONE.shares(5) == (5,)


def test_one_process_raises_what_it_raises():
    def fail() -> None:
        raise DataError("here")

    with pytest.raises(DataError, match="here") as raised:
        ALONE.everywhere(fail)
    assert not is_shared(raised.value)


@pytest.fixture
def environment(monkeypatch):
    """Sets variables as a launcher does; `join` is asked anew."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    processes._JOINED.clear()
    yield lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]
    processes._JOINED.clear()


def test_without_a_launcher_a_process_is_alone(environment):
    assert launched() == 1
    assert join() is ALONE


def test_a_launcher_is_recognised_by_rank_and_size(environment):
    environment(WORLD_SIZE="8")
    assert launched() == 1  # some machines set a size for all programs
    environment(RANK="3")
    assert launched() == 8


@pytest.mark.parametrize(("flag", "option"), [("FSDP", "--use_fsdp"), ("DEEPSPEED", "--use_deepspeed")])
def test_a_launcher_that_would_wrap_the_model_is_refused(environment, monkeypatch, flag, option):
    monkeypatch.setenv(f"ACCELERATE_USE_{flag}", "true")
    with pytest.raises(ConfigError, match=f"{option} was given"):
        join()


def test_accelerate_s_cpu_launcher_is_reported_to_start_one_process(environment, caplog):
    environment(ACCELERATE_USE_CPU="True", MASTER_ADDR="127.0.0.1")
    assert join() is ALONE
    assert "has started one process" in caplog.text
