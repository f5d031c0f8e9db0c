"""Miniatures of released data sets: real image files in the real folders."""

import json
from pathlib import Path

from PIL import Image

TENCH, GOLDFISH, SHARK = "n01440764", "n01443537", "n01484850"
CLOCK, DIGITAL_CLOCK = "n02708093", "n03196217"
NAMES = {
    TENCH: "tench",
    GOLDFISH: "goldfish",
    SHARK: "great white shark",
    CLOCK: "analog clock",
    DIGITAL_CLOCK: "digital clock",
}


def add_images(folder: Path, *names: str, size: tuple[int, int] = (12, 10)) -> Path:
    """Image files that differ in one colour, by their path."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shade = sum(str(file.relative_to(folder.parent)).encode()) % 256
        Image.new("RGB", size, (shade, len(name), 0)).save(file)
    return folder


def imagenet(folder: Path) -> Path:
    add_images(folder, f"train/{TENCH}/{TENCH}_1.JPEG", f"train/{GOLDFISH}/{GOLDFISH}_7.JPEG")
    return add_images(folder, f"val/{GOLDFISH}/ILSVRC2012_val_00000003.JPEG", f"val/{TENCH}/a.JPEG")


def imagenet_v2(folder: Path) -> Path:
    return add_images(folder, "0/a.jpeg", "10/b.jpeg", "2/c.jpeg", "2/d.jpeg")


def imagenet_r(folder: Path) -> Path:
    add_images(folder, f"{TENCH}/art_0.jpg", f"{GOLDFISH}/sketch_1.jpg")
    (folder / "README.txt").write_text("ImageNet-R")
    return folder


def imagenet_c(folder: Path) -> Path:
    return add_images(folder, f"fog/1/{TENCH}/a.JPEG", f"fog/3/{TENCH}/a.JPEG", f"snow/3/{GOLDFISH}/b.JPEG")


def objectnet(folder: Path) -> Path:
    """Two shared classes, one of them two of ImageNet's, and one that ImageNet lacks; red borders."""
    for name in ("alarm_clock/1.png", "fish/2.png", "fish/3.png", "air_freshener/4.png"):
        file = folder / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (20, 16), (255, 0, 0))
        image.paste((0, 0, 200), (2, 2, 18, 14))
        image.save(file)
    labels = {"alarm_clock": "Alarm clock", "fish": "Fish", "air_freshener": "Air freshener"}
    write_mapping(folder, "folder_to_objectnet_label.json", labels)
    meant = {"Alarm clock": "analog clock; digital clock", "Fish": "goldfish, Carassius auratus"}
    write_mapping(folder, "objectnet_to_imagenet_1k.json", meant)
    # lines in an order of their own, and for each class number the line
    lines = ["digital clock", "goldfish, Carassius auratus", "analog clock"]
    (folder / "mappings" / "imagenet_to_label_2012_v2").write_text("\n".join(lines) + "\n")
    write_mapping(folder, "pytorch_to_imagenet_2012_id.json", {"530": 0, "1": 1, "409": 2})
    return folder


def write_mapping(folder: Path, name: str, content: object) -> None:
    (folder / "mappings").mkdir(exist_ok=True)
    (folder / "mappings" / name).write_text(json.dumps(content))


def office_home(folder: Path) -> Path:
    add_images(folder, "Art/Alarm_Clock/1.jpg", "Art/Bed/2.jpg", "Clipart/Alarm_Clock/3.jpg")
    return add_images(folder, "Product/Bed/4.jpg", "Product/Bed/5.jpg")


def domainnet(folder: Path) -> Path:
    add_images(folder, "clipart/dog/c_1.jpg", "clipart/dog/c_2.jpg", "real/dog/r_1.jpg", "real/ant/r_2.jpg")
    (folder / "clipart_train.txt").write_text("clipart/dog/c_1.jpg 85\n")
    (folder / "clipart_test.txt").write_text("clipart/dog/c_2.jpg 85\n")
    (folder / "real_train.txt").write_text("real/dog/r_1.jpg 85\nreal/ant/r_2.jpg 3\n")
    return folder
