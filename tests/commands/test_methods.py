"""`radapter methods`: the table, as narrow as a terminal may be."""

import pytest

from radapter.methods import METHODS, RETRIEVAL


@pytest.fixture(scope="module")
def lines(radapter) -> list[str]:
    """What is printed 80 columns wide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        return radapter("methods").printed.splitlines()


def test_80_columns_cut_nothing_and_take_at_most_two_lines_a_method(lines):
    table = lines[3 : lines.index("")]
    assert {line.split()[0] for line in table if line[0] != " "} == set(METHODS)
    assert len(table) <= 2 * len(METHODS)
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(lines)


def test_each_paper_is_named_once_with_its_methods(lines):
    said = " ".join(lines)
    assert "Kalajdzievski 2023 (rslora)" in said
    assert said.count("Kim et al. 2024 (r-adapter)") == 1


def test_published_learning_rates_are_named_once_with_their_methods(lines):
    said = " ".join(" ".join(lines).split())
    assert "5e-4 (r-adapter, r-adapter+head, r-adapter:anchored, r-adapter:all-linear, adaptformer)" in said
    assert (
        "3e-5 (full, lp-ft, l2-sp, mask-fill, uniform-soup, greedy-soup, wise-ft, car-ft, model-stock, lines, spd)"
        in said
    )


def test_zero_shot_of_retrieval_has_no_classes():
    assert "class" not in RETRIEVAL["zero-shot"].summary
