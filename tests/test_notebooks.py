"""The notebooks of the documentation run, and are committed without output."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_output(notebook):
    content = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in content.cells if cell.cell_type == "code"]
    assert [cell for cell in cells if cell.outputs or cell.execution_count or cell.metadata] == []
    assert content.metadata.keys() == {"kernelspec", "language_info"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classification", "retrieval"])
def test_a_notebook_runs(name, tmp_path):
    shutil.copy(ROOT / "docs" / "notebooks" / f"{name}.ipynb", tmp_path)
    words = ["-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", f"{name}.ipynb"]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "IPYTHONDIR": str(tmp_path / "ipython")},
    )
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    printed = [output.text for output in outputs if output.get("name") == "stdout"]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    bars = [output for output in outputs if "text/html" in output.get("data", {})]
    assert any("zero-shot" in text and "r-adapter" in text for text in printed)
    assert len(figures) == 2
    assert bars
    assert {output["data"]["text/html"] for output in bars} == {""}  # each bar has removed itself
