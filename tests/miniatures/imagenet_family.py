"""A miniature of ImageNet and of five shifts of it, in the folders that `recipes/imagenet.yaml` reads."""

import io
import random
from pathlib import Path

from miniatures import layouts
from miniatures.layouts import CLOCK, DIGITAL_CLOCK, GOLDFISH, SHARK, TENCH
from PIL import Image

from radapter.data.splits import key_of

IDS = (TENCH, GOLDFISH, SHARK, CLOCK, DIGITAL_CLOCK)
TRAINED, HELD_OUT = 4, 1


def imagenet_family(root: Path, *, held_out_from: float) -> Path:
    """All six; each class has `TRAINED` training images and `HELD_OUT` from that content fraction on."""
    drawn = random.Random(0)
    for wnid in IDS:
        for number in range(TRAINED + HELD_OUT):
            while ((image := _png(drawn))[1] >= held_out_from) != (number >= TRAINED):
                pass
            _put(root / "imagenet" / "train" / wnid / f"{wnid}_{number}.JPEG", image[0])
        _put(root / "imagenet" / "val" / wnid / f"{wnid}.JPEG", _png(drawn)[0])
        _put(root / "sketch" / wnid / "sketch_0.JPEG", _png(drawn)[0])
    for number in ("0", "1", "2"):
        _put(root / "imagenetv2-matched-frequency-format-val" / number / "a.jpeg", _png(drawn)[0])
    for shift, wnids in (("imagenet-r", (TENCH, GOLDFISH, SHARK)), ("imagenet-a", (GOLDFISH, CLOCK))):
        for wnid in wnids:
            _put(root / shift / wnid / "0.jpg", _png(drawn)[0])
    layouts.objectnet(root / "objectnet-1.0")
    return root


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _png(drawn: random.Random) -> tuple[bytes, float]:
    """A picture of noise, and its content as a fraction of all."""
    file = io.BytesIO()
    Image.frombytes("RGB", (8, 8), drawn.randbytes(192)).save(file, "PNG")
    return file.getvalue(), (key_of(file.getvalue()) % 2**64) / 2**64
