"""An image assembled from tiles, and its files."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from reference import regions

from radapter.segmentation import NOTHING, Proposals, Segmentation
from radapter.segmentation.canvas import Canvas, tiles
from radapter.segmentation.overlay import colour

NAMES = ("sky", "road", "tree")


def random_image(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("width", "height", "side"), [(100, 70, 40), (7, 5, 64), (64, 64, 32), (1, 1, 32), (9, 9, None)]
)
def test_tiles_make_up_the_image(width: int, height: int, side: int | None):
    image = random_image(width, height)
    joined, seen = Image.new("RGB", image.size), np.zeros((height, width), int)
    for tile in tiles(image, side):
        assert side is None or max(tile.image.size) <= side
        joined.paste(tile.image, (tile.left, tile.top))
        seen[tile.top : tile.top + tile.image.height, tile.left : tile.left + tile.image.width] += 1
    assert (seen == 1).all()
    assert joined.tobytes() == image.tobytes()


def filled(side: int | None) -> tuple[Canvas, list[torch.Tensor]]:
    """A canvas of 30 x 20 with three random regions a tile, and their masks at full size."""
    canvas, masks = Canvas((30, 20), NAMES), []
    for number, tile in enumerate(tiles(random_image(30, 20), side)):
        width, height = tile.image.size
        found = regions.random_masks(3, height, width, seed=number)
        found[1] = False
        labels = torch.full((height, width), number % 3)
        scores = torch.eye(3)[[number % 3, 0, 1]] * 0.5
        valid = found.flatten(1).any(1)
        canvas.add(
            tile, Proposals(found.half(), torch.tensor([0.25, 1, 1])), Segmentation(labels, scores, valid)
        )
        for mask in found[valid]:
            whole = torch.zeros(20, 30, dtype=torch.bool)
            whole[tile.top : tile.top + height, tile.left : tile.left + width] = mask
            masks.append(whole)
    return canvas, masks


@pytest.mark.parametrize("side", [None, 12])
def test_regions_are_coco_s_annotations_of_the_whole_image(side: int | None):
    canvas, masks = filled(side)
    assert len(canvas.regions) == len(masks)
    for region, mask in zip(canvas.regions, masks, strict=True):
        packed = coco.encode(np.asfortranarray(mask.numpy(), dtype=np.uint8))
        assert region["segmentation"] == {"size": [20, 30], "counts": packed["counts"].decode()}
        assert region["bbox"] == coco.toBbox(packed).tolist()
        assert region["area"] == int(coco.area(packed))
    assert canvas.regions[0]["objectness"] == 0.25
    assert canvas.regions[0]["score"] == 0.5
    assert canvas.regions[0]["class"] == "sky"


def test_tiles_are_labelled_in_their_place():
    canvas, _ = filled(12)
    for number, tile in enumerate(tiles(random_image(30, 20), 12)):
        width, height = tile.image.size
        assert canvas.labels[tile.top : tile.top + height, tile.left : tile.left + width].eq(number % 3).all()


def written(canvas: Canvas) -> Image.Image:
    file = io.BytesIO()
    canvas.write_labels(file)
    return Image.open(file)


def test_the_label_map_is_an_indexed_png():
    canvas = Canvas((4, 2), NAMES)
    canvas.labels[0, :3] = torch.tensor([0, 1, 2], dtype=torch.int32)
    image = written(canvas)
    assert image.mode == "P"
    assert np.asarray(image).tolist() == [[0, 1, 2, 255], [255] * 4]
    assert image.convert("RGB").getpixel((1, 0)) == colour(1)


@pytest.mark.parametrize(
    ("classes", "mode", "none"), [(255, "P", 255), (256, "I;16", 65535), (847, "I;16", 65535)]
)
def test_more_classes_than_eight_bits_hold_take_sixteen(classes: int, mode: str, none: int):
    canvas = Canvas((2, 1), [f"class {number}" for number in range(classes)])
    canvas.labels[0, 0] = classes - 1
    image = written(canvas)
    assert image.mode == mode
    assert np.asarray(image).tolist() == [[classes - 1, none]]


def test_the_document_describes_the_image():
    canvas, _ = filled(None)
    document = canvas.document({"image": "a.jpg"})
    assert list(document) == ["image", "size", "classes", "regions"]
    assert document["size"] == [20, 30]
    assert document["classes"] == list(NAMES)


def test_a_canvas_without_tiles_has_no_label():
    assert Canvas((3, 2), NAMES).labels.eq(NOTHING).all()
