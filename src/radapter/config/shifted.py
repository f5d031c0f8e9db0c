"""The sources of data.ood, with corrupted copies of test sets written out."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from radapter.config.sources import CorruptedCopy
from radapter.data.source import Source

AnySource = TypeVar("AnySource", bound=Source)


def shifted_sources(
    ood: Mapping[str, str | AnySource | CorruptedCopy],
    id_test: Mapping[str, str | AnySource],
    source_of: Callable[[str | AnySource], AnySource],
) -> dict[str, str | AnySource]:
    """Return the name and the source of every shifted test set.

    A copy has the content hashes of its originals, so the leak guard treats it as it treats them.

    Args:
        ood: as data.ood; copies in it name sets of `id_test`.
        id_test: as data.id_test.
        source_of: the source of a path.
    """
    found: dict[str, str | AnySource] = {}
    for name, source in ood.items():
        if isinstance(source, CorruptedCopy):
            corruption = {"type": source.type, "severity": source.severity, "seed": source.seed}
            found[name] = source_of(id_test[source.corrupt]).replaced(corrupt=corruption)
        else:
            found[name] = source
    return found
