"""Models: one dual encoder over transformers, open_clip and timm, loaded by name and exported as plain folders.

Reading order: `encoder` (what everybody uses), `loading` (names), `folders` and `building` (what a directory may
hold), `hf`, `openclip`, `timm_vit` (one library each), `prefixes`, `fingerprint`,
`merging`, `crossing`, `token_crossing`, `certificate`, `export`, `inspection`.
"""

from radapter.models.encoder import DualEncoder
from radapter.models.export import ClassHead, export
from radapter.models.fingerprint import fingerprint
from radapter.models.inspection import Inspection, inspect
from radapter.models.loading import load

__all__ = ["ClassHead", "DualEncoder", "Inspection", "export", "fingerprint", "inspect", "load"]
