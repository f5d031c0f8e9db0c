"""`make tables`: the tables of README.md and docs/ come from the results.json files."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import tables  # noqa: E402

RESULTS = {
    "rows": [{"name": "a", "share": 0.25, "of": {"size": 1234}}, {"name": "b", "share": 0.5}],
    "all": 2,
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    return tmp_path


def block(asked, content=""):
    return f"before\n<!-- table: {asked} -->{content}\n<!-- end -->\nafter\n"


def test_every_block_and_figure_is_current():
    assert list(tables.stale(ROOT)) == []


@pytest.mark.parametrize("name", tables.SOURCES)
def test_the_page_of_keys_has_every_kind_of_source_with_its_keys(name):
    page = (ROOT / "docs" / "configuration.md").read_text()
    own = page[page.index(f"<!-- sources: {name} -->") :].partition("<!-- end -->")[0]
    base, kinds = tables.SOURCES[name]
    for kind in kinds:
        section = own if len(kinds) == 1 else own[own.index(f"### `{kind.key()}`\n") :].split("\n### ")[0]
        for key, field in kind.model_fields.items():
            lines = (own if key in base.model_fields else section).splitlines()
            assert any(line.startswith(f"| `{key}` |") and field.description in line for line in lines)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}" for name in ("results.md",))])
def test_a_page_of_results_has_no_table_of_numbers_outside_a_block(page):
    text = (ROOT / page).read_text()
    outside = re.sub(r"<!-- (?:table|compared): .*?<!-- end -->", "", text, flags=re.DOTALL)
    measured = [line for line in outside.splitlines() if re.match(r"\|.*\b\d+\.\d+\b.*\|", line)]
    assert measured == []


def test_a_table_is_written_between_its_marks_and_again_changes_nothing(root):
    asked = 'results.json rows "Name = name" "Share = share:percent" "Size = of/size:,d"'
    page = tables.written(block(asked, "\nold"), root)
    assert "| Name | Share | Size |\n|---|---:|---:|\n| a | 25.0 | 1,234 |\n| b | 50.0 | - |" in page
    assert page.startswith("before\n<!-- table: ")
    assert page.endswith("<!-- end -->\nafter\n")
    assert "old" not in page
    assert tables.written(page, root) == page


def test_a_value_is_written_into_a_sentence(root):
    page = "It is <!-- value: results.json rows/name=b/share:points --><!-- end --> of all."
    assert tables.written(page, root) == page.replace(" --><", " -->+50.0<")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (block("gone.json rows"), "gone.json' is missing"),
        (block("results.json"), "must have a name or a place"),
        (block("results.json rows"), "must be one of levels, differences"),
        (block("results.json lines 'A = name'"), "'lines' of 'lines' is not there"),
        ("<!-- value: results.json rows/name=c/share -->1<!-- end -->", "is not in 'results.json'"),
        ("<!-- table: results.json rows -->", "must have its '<!-- end -->'"),
        ("<!-- sources: photos -->\n<!-- end -->", "must be one of labelled, pairs"),
        (block("results.json levels"), "was written by schema 1; this radapter reads 3"),
    ],
)
def test_a_wrong_block_is_an_error(root, page, said):
    with pytest.raises(tables.InputError, match=re.escape(said)):
        tables.written(page, root)
