"""Classifies images without torch, with the files beside this script: python example.py IMAGE ..."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent


def prepare(image: Image.Image, about: dict[str, Any]) -> np.ndarray:
    """Returns the pixels (3, H, W) of an image; `about` is the content of preprocessor.json."""
    sides = image.size if about["mode"] == "shortest" else (1, 1)
    size = [int(about["resize"] * side / min(sides)) for side in sides]
    image = image.convert("RGB").resize((size[0], size[1]), Image.Resampling[about["resample"]])
    half = math.floor if about["offset"] == "floor" else round
    left, top = (half((side - about["crop"]) / 2) for side in image.size)
    cropped = image.crop((left, top, left + about["crop"], top + about["crop"]))
    pixels: np.ndarray = np.asarray(cropped, np.float64) / 255
    pixels = (pixels - np.array(about["mean"])) / np.array(about["std"])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)


if __name__ == "__main__":
    about = json.loads((FOLDER / "preprocessor.json").read_text())
    classes = json.loads((FOLDER / "classes.json").read_text())
    session = onnxruntime.InferenceSession(FOLDER / "image_classifier.onnx")
    images = [ImageOps.exif_transpose(Image.open(path)) for path in sys.argv[1:]]
    probabilities, _ = session.run(None, {"pixels": np.stack([prepare(each, about) for each in images])})
    for path, row in zip(sys.argv[1:], probabilities, strict=True):
        print(path, classes[row.argmax()], f"{row.max():.7f}", sep="\t")
