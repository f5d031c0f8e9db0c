"""Models: one dual encoder over transformers, open_clip and timm, loaded by name and exported as plain folders."""

from radapter.models.encoder import DualEncoder
from radapter.models.fingerprint import fingerprint
from radapter.models.loading import load

__all__ = ["DualEncoder", "fingerprint", "load"]
