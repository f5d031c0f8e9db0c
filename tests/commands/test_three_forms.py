"""A run, its merged directory and its ONNX files give the same probabilities."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime", reason="onnxruntime absent: pip install 'radapter[onnx]'")

WITHOUT_TORCH = """
import runpy, sys
from importlib.abc import MetaPathFinder
class Refuse(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "radapter"):
            raise AssertionError(name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for number in range(12):
        height, width = generator.integers(30, 200, 2)
        pixels = generator.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((width, height)).save(folder / f"{number:02d}.jpg")
    return folder


def test_probabilities_are_equal(radapter, run, images, tmp_path):
    found = {}
    for form, options in (("merged", ()), ("onnx", ("--format", "onnx"))):
        answer = radapter("merge", run, "--alpha", "0.5", "--out", tmp_path / form, *options)
        assert answer.code == 0, answer.result.output
    for form, words in (("run", (run, "--alpha", "0.5")), ("merged", (tmp_path / "merged",))):
        file = tmp_path / f"{form}.csv"
        assert radapter("predict", *words, "--data", images, "--out", file).code == 0
        with file.open() as rows:
            found[form] = [(row["label"], float(row["probability"])) for row in csv.DictReader(rows)]
    code = f"{WITHOUT_TORCH}runpy.run_path({str(tmp_path / 'onnx' / 'example.py')!r}, run_name='__main__')"
    command = [sys.executable, "-c", code, *map(str, sorted(images.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    found["onnx"] = [(label, float(probability)) for _, label, probability in lines]
    for form in ("merged", "onnx"):
        for (label, probability), (other, another) in zip(found["run"], found[form], strict=True):
            assert label == other
            assert another == pytest.approx(probability, abs=1e-5)  # what the issue asks for
