"""The kinds of source of labelled images. A new one is a file with its class, and a line in `LABELLED`."""

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from radapter.data.labelled.coop import CoopSource
from radapter.data.labelled.folder import FolderSource
from radapter.data.labelled.layouts import LayoutSource
from radapter.data.labelled.shards import ShardsSource
from radapter.data.labelled.source import LabelledSource
from radapter.data.labelled.tables import CsvSource, HubSource, ParquetSource
from radapter.data.labelled.world import WorldSource
from radapter.data.paths import place
from radapter.data.source import Spec, checked, kind_of, source_type

LABELLED: list[type[LabelledSource]] = [
    FolderSource,
    CsvSource,
    ParquetSource,
    HubSource,
    WorldSource,
    CoopSource,
    LayoutSource,
    ShardsSource,
]
if TYPE_CHECKING:
    DataSource = str | LabelledSource
else:
    DataSource = source_type(LABELLED, words="a source")

_ADAPTER: TypeAdapter[DataSource] = TypeAdapter(DataSource)


def labelled_source(spec: Spec) -> LabelledSource:
    """A source of labelled images from a path, a mapping or one of the kinds; raises ConfigError if it is wrong."""
    source = checked(spec, _ADAPTER)
    if isinstance(source, str):
        kind = kind_of(place(source), LABELLED) or FolderSource
        source = kind.model_validate({kind.key(): source})
    assert isinstance(source, LabelledSource)
    return source
