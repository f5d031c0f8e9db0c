"""Miniatures of released segmentation sets: images of 4 x 3 pixels, masks of their values, in the real folders."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Rows = Sequence[Sequence[int]]


def add_pair(image: Path, mask: Path, values: Rows, *, palette: bool = False, bits: int = 8) -> None:
    """An image file and its mask file; images differ by the path's letters."""
    for file in (image, mask):
        file.parent.mkdir(parents=True, exist_ok=True)
    shade = sum(image.as_posix().encode()) % 200
    array = np.asarray(values, np.uint8 if bits == 8 else np.uint16)
    Image.new("RGB", array.shape[::-1], (shade, len(image.name), 9)).save(image)
    drawn = Image.fromarray(array)
    if palette:
        drawn = drawn.convert("P")  # of grey values, which are then indices
        drawn.putpalette([(7 * number) % 256 for number in range(768)])
        drawn.putdata(array.flatten().tolist())
    drawn.save(mask)


def ade20k_150(folder: Path) -> Path:
    for split, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        add_pair(
            folder / "images" / split / f"{name}.jpg",
            folder / "annotations" / split / f"{name}.png",
            [[0, 1, 2, 150], [0, 1, 2, 150], [0, 1, 1, 1]],
        )
    (folder / "objectInfo150.txt").write_text("Idx Ratio Train Val Name")
    return folder


def ade20k_847(folder: Path) -> Path:
    for split, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        add_pair(
            folder / "images_detectron2" / split / f"{name}.jpg",
            folder / "annotations_detectron2" / split / f"{name}.tif",
            [[0, 846, 65535, 300], [0, 0, 0, 0], [1, 1, 1, 1]],
            bits=16,
        )
    (folder / "names.txt").write_text("".join(f"thing {number}, object {number}\n" for number in range(847)))
    (folder / "index_ade20k.pkl").write_bytes(b"never to be loaded")
    return folder


def pascal_context_59(folder: Path) -> Path:
    for name in ("2008_000002", "2008_000003"):
        add_pair(
            folder / "JPEGImages" / f"{name}.jpg",
            folder / "SegmentationClassContext" / f"{name}.png",
            [[0, 1, 2, 59], [55, 55, 58, 58], [0, 0, 0, 0]],
        )
    add_list(folder, "SegmentationContext", train=["2008_000002"], val=["2008_000003"])
    Image.new("RGB", (4, 3)).save(folder / "JPEGImages" / "2010_000001.jpg")  # of no list, without a mask
    return folder


def pascal_context_59_ovseg(folder: Path) -> Path:
    add_pair(
        folder / "JPEGImages" / "2008_000003.jpg",
        folder / "annotations_detectron2" / "pc59_val" / "2008_000003.png",
        [[0, 1, 58, 255], [0, 0, 0, 0], [1, 1, 1, 1]],
    )
    lines = ["19: bedclothes", "2: aeroplane", *(f"{number}: class{number}" for number in range(100, 157))]
    (folder / "59_labels.txt").write_text("\n".join(lines) + "\n")
    Image.new("RGB", (4, 3)).save(folder / "JPEGImages" / "2010_000001.jpg")
    return folder


def pascal_context_459(folder: Path) -> Path:
    add_pair(
        folder / "JPEGImages" / "2008_000003.jpg",
        folder / "annotations_detectron2" / "pc459_val" / "2008_000003.tif",
        [[0, 1, 458, 65535], [0, 0, 0, 0], [1, 1, 1, 1]],
        bits=16,
    )
    names = ["accordion", "aeroplane", *(f"class{number}" for number in range(457))]
    (folder / "labels.txt").write_text("".join(f"{i}: {name}\n" for i, name in enumerate(names, 1)))
    return folder


def voc_20(folder: Path) -> Path:
    for name in ("2007_000032", "2007_000033"):
        add_pair(
            folder / "JPEGImages" / f"{name}.jpg",
            folder / "SegmentationClass" / f"{name}.png",
            [[0, 1, 255, 20], [0, 1, 255, 20], [0, 0, 0, 0]],
            palette=True,
        )
    add_list(folder, "Segmentation", train=["2007_000032"], val=["2007_000033"])
    Image.new("RGB", (4, 3)).save(folder / "JPEGImages" / "2007_000001.jpg")
    return folder


def cityscapes(folder: Path) -> Path:
    for split, town in (("train", "aachen"), ("val", "lindau")):
        name = f"{town}/{town}_000000_000019"
        masks = folder / "gtFine" / split
        add_pair(
            folder / "leftImg8bit" / split / f"{name}_leftImg8bit.png",
            masks / f"{name}_gtFine_labelIds.png",
            [[0, 7, 8, 33], [3, 7, 14, 26], [1, 23, 23, 24]],
        )
        Image.new("RGBA", (4, 3)).save(masks / f"{name}_gtFine_color.png")
        Image.new("I;16", (4, 3)).save(masks / f"{name}_gtFine_instanceIds.png")
        (masks / f"{name}_gtFine_polygons.json").write_text("{}")
    return folder


def coco_stuff_171(folder: Path) -> Path:
    for split in ("train2017", "val2017"):
        masks = folder / "annotations" / split
        add_pair(
            folder / "images" / split / "000000000139.jpg",
            masks / "000000000139.png",
            [[0, 12, 181, 255], [0, 10, 91, 255], [89, 89, 89, 89]],
        )
        # what mmsegmentation's converter leaves beside them
        Image.new("L", (4, 3)).save(masks / "000000000139_labelTrainIds.png")
    return folder


def camvid(folder: Path) -> Path:
    for split in ("train", "val", "test"):
        add_pair(
            folder / split / "0001TP_006690.png",
            folder / f"{split}annot" / "0001TP_006690.png",
            [[0, 1, 10, 11], [3, 3, 3, 3], [3, 3, 3, 3]],
        )
        (folder / f"{split}.txt").write_text(f"/SegNet/CamVid/{split}/0001TP_006690.png\n")
    return folder


def camvid_parquet(folder: Path) -> Path:
    """As `$RADAPTER_DATA` has it."""
    folder.mkdir(parents=True, exist_ok=True)
    image = {"bytes": encoded(Image.new("RGB", (4, 3), (1, 2, 3)), "JPEG"), "path": "0001TP_006690.png"}
    values = np.asarray([[0, 1, 10, 11], [3, 3, 3, 3], [3, 3, 3, 3]], np.uint8)
    mask = {"bytes": encoded(Image.fromarray(values), "PNG"), "path": "0001TP_006690.png"}
    pq.write_table(pa.table({"image": [image], "mask": [mask]}), folder / "val.parquet")
    return folder


def add_list(folder: Path, kind: str, **splits: Sequence[str]) -> None:
    for split, ids in splits.items():
        file = folder / "ImageSets" / kind / f"{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(ids) + "\n")


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
