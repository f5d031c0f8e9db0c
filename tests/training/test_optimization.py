import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radapter.training.optimization import cosine_with_warmup


def test_warmup_rises_linearly_to_one():
    factors = [cosine_with_warmup(step, steps=100, warmup_steps=4) for step in range(4)]
    assert factors == [0.25, 0.5, 0.75, 1.0]


def test_cosine_starts_at_one_is_half_in_the_middle_and_ends_near_zero():
    assert cosine_with_warmup(10, steps=110, warmup_steps=10) == 1.0
    assert cosine_with_warmup(60, steps=110, warmup_steps=10) == pytest.approx(0.5)
    last = cosine_with_warmup(109, steps=110, warmup_steps=10)
    assert last == pytest.approx((1 + math.cos(math.pi * 0.99)) / 2)


@given(st.integers(0, 500), st.integers(1, 400), st.integers(0, 400))
def test_factor_stays_in_the_unit_interval(step: int, steps: int, warmup_steps: int):
    assert 0 <= cosine_with_warmup(step, steps=steps, warmup_steps=warmup_steps) <= 1
