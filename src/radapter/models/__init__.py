"""Models: one dual encoder over transformers, open_clip and timm, loaded by name and exported as plain folders.

Reading order: `encoder` (the public class), `loading` (names), `folders` (checks of a directory),
`hf`, `openclip`, `timm_vit` (one library each), `tokenizing`, `merging`, `crossing`, `token_crossing`,
`certificate`, `export`, `inspection`.
"""

from radapter.models.encoder import DualEncoder
from radapter.models.export import ClassHead, export
from radapter.models.inspection import Inspection, inspect
from radapter.models.loading import load
from radapter.models.merging import fingerprint

__all__ = ["ClassHead", "DualEncoder", "Inspection", "export", "fingerprint", "inspect", "load"]
