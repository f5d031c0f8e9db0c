"""What a sample of a shard says beside its image, as JSON and, for a class, in the cls file of webdataset.

    labelled images   key.jpg, key.cls: 3, key.json: {"content_key": "9f3a..."}
    image-text pairs  key.jpg, key.json: {"captions": [...], "group": 5, "target": 3, "content_key": "9f3a..."}

The content key is the first 8 bytes of the SHA-256 of what the image was at its source: augmentation, splits and the
leak guard know the image by it, also where it was changed or encoded anew on the way into the shard.
"""

import json
import re
from collections.abc import Mapping, Sequence

IMAGES = {
    "JPEG": "jpg",
    "MPO": "jpg",  # phones append a second image to a JPEG; its first is what every reader shows
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "PPM": "ppm",
    "JPEG2000": "jp2",
    "AVIF": "avif",
}
"""Format of an image file -> its extension in a shard."""

_KEY = "content_key"
_HEX = re.compile("[0-9a-f]{16}")


def labelled_parts(label: int, key: int) -> dict[str, bytes]:
    """What is written beside a labelled image."""
    return {"cls": str(label).encode(), "json": _json({_KEY: _hex(key)})}


def paired_parts(captions: Sequence[str], group: int, target: int, key: int) -> dict[str, bytes]:
    """What is written beside a captioned image."""
    return {
        "json": _json({"captions": list(captions), "group": group, "target": target, _KEY: _hex(key)}),
    }


def content_key(content: Mapping[str, object]) -> int | None:
    """The content key that a sample's JSON tells, int64; None where it tells none."""
    told = content.get(_KEY)
    if not isinstance(told, str) or not _HEX.fullmatch(told):
        return None
    return int.from_bytes(bytes.fromhex(told), "big", signed=True)


def _hex(key: int) -> str:
    return key.to_bytes(8, "big", signed=True).hex()


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8")
