"""The kinds of source of masked images. A new one is a file with its class, and a line in `MASKS`."""

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from radapter.data.masks.layouts import MaskLayoutSource
from radapter.data.masks.source import MaskFolderSource, MaskParquetSource, MaskSource
from radapter.data.masks.world import MaskWorldSource
from radapter.data.source import Spec, checked, source_type

MASKS: list[type[MaskSource]] = [MaskFolderSource, MaskParquetSource, MaskLayoutSource, MaskWorldSource]
if TYPE_CHECKING:
    MaskDataSource = MaskSource
else:
    MaskDataSource = source_type(MASKS, words="a source of masked images", may_be_path=False)

_ADAPTER: TypeAdapter[MaskDataSource] = TypeAdapter(MaskDataSource)


def mask_source(spec: Spec) -> MaskSource:
    """A source from a mapping as in run.yaml, or from one of the kinds; raises ConfigError as `checked`."""
    source: MaskSource = checked(spec, _ADAPTER)
    return source
