"""What a sample of a shard holds beside its image: JSON and, for a class, the cls file of webdataset.

    labelled images   key.jpg, key.cls: 3, key.json: {"content_key": "9f3a..."}
    image-text pairs  key.jpg, key.json: {"captions": [...], "group": 5, "target": 3, "content_key": "9f3a..."}

The content key is the first 8 bytes of the SHA-256 of the image at its source. It identifies the image for
augmentation, splits and the leak guard, even if it was changed or encoded again on the way into the shard.
"""

import json
import re
from collections.abc import Mapping

IMAGES = {
    "JPEG": "jpg",
    "MPO": "jpg",  # phones append a second image to a JPEG; every reader shows the first
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


def content_key(content: Mapping[str, object]) -> int | None:
    """The content key in a sample's JSON, int64; None if there is none."""
    found = content.get(_KEY)
    if not isinstance(found, str) or not re.fullmatch("[0-9a-f]{16}", found):
        return None
    return int.from_bytes(bytes.fromhex(found), "big", signed=True)


def sample_json(key: int, **content: object) -> bytes:
    """The JSON of a sample with this content key."""
    hexadecimal = key.to_bytes(8, "big", signed=True).hex()
    return json.dumps({**content, _KEY: hexadecimal}, ensure_ascii=False).encode("utf-8")
