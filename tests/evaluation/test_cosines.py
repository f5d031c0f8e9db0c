"""The nearest items: exact, in a stated order, whatever the parts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from radapter.evaluation.cosines import in_tiles, nearest

DIRECTIONS = torch.cat((torch.eye(3), -torch.eye(3)))


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.integers(1, 13),
    st.integers(1, 5),
)
def test_nearest_equals_sorting_with_the_earlier_of_equals_first(queries, items, top, tile):
    rows, columns = DIRECTIONS[queries], DIRECTIONS[items]
    cosines, found = nearest(rows, in_tiles(columns, tile), top=top)
    scores = rows @ columns.T
    expected = [sorted(range(len(items)), key=lambda i: (-row[i], i))[:top] for row in scores.tolist()]
    assert found.tolist() == expected
    assert cosines.equal(scores.gather(1, found).double())


def test_nearest_of_any_features_does_not_depend_on_the_parts():
    generator = torch.Generator().manual_seed(0)
    queries, items = (normalize(torch.randn(n, 33, generator=generator)) for n in (5, 200))
    items[150:] = items[:50]  # copies in other parts
    whole = nearest(queries, [items], top=20)
    for tile in (1, 7, 64):
        parts = nearest(queries, in_tiles(items, tile), top=20)
        assert all(part.equal(one) for part, one in zip(parts, whole, strict=True))


def test_nearest_refuses_no_hits():
    with pytest.raises(ValueError, match="top must be >= 1"):
        nearest(DIRECTIONS, [DIRECTIONS], top=0)
