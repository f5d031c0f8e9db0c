"""The kinds of source of image-text pairs. A new one is a file with its class, and a line in `PAIRS`."""

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from radapter.data.pairs.classes import ClassNameSource
from radapter.data.pairs.source import PairSource
from radapter.data.pairs.split_files import Flickr8kSource, KarpathySource
from radapter.data.pairs.tables import PairCsvSource, PairHubSource, PairJsonlSource, PairParquetSource
from radapter.data.pairs.tars import ClipBenchmarkSource, WebdatasetSource
from radapter.data.pairs.world import PairWorldSource
from radapter.data.paths import place
from radapter.data.source import Spec, checked, kind_of, source_type
from radapter.errors import ConfigError

PAIRS: list[type[PairSource]] = [
    PairCsvSource,
    PairJsonlSource,
    PairParquetSource,
    PairHubSource,
    KarpathySource,
    Flickr8kSource,
    ClipBenchmarkSource,
    WebdatasetSource,
    PairWorldSource,
    ClassNameSource,
]
if TYPE_CHECKING:
    PairDataSource = str | PairSource
else:
    PairDataSource = source_type(PAIRS, words="a source of pairs")

_ADAPTER: TypeAdapter[PairDataSource] = TypeAdapter(PairDataSource)


def pair_source(spec: Spec) -> PairSource:
    """A source of image-text pairs from a path, a mapping or one of the kinds; raises ConfigError if it is wrong."""
    source = checked(spec, _ADAPTER)
    if isinstance(source, str):
        kind = kind_of(place(source), PAIRS)
        if kind is None:
            suffixes = [suffix for each in PAIRS for suffix in each.suffixes]
            raise ConfigError(
                f"a path to image-text pairs must end in {', '.join(suffixes)}, or be a folder of save_to_disk or "
                f"CLIP_benchmark. Got '{source}'. Give a mapping with one of the keys "
                f"{', '.join(each.key() for each in PAIRS)}."
            )
        source = kind.model_validate({kind.key(): source})
    assert isinstance(source, PairSource)
    return source
