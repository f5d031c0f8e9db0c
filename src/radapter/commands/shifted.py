"""The sources of data.ood, with corrupted copies of test sets written out."""

from collections.abc import Callable
from typing import Any

from radapter.config import CommonConfig
from radapter.config.sources import copied


def shifted_sources(config: CommonConfig, kind_of: Callable[[str], str]) -> dict[str, Any]:
    """Return the name and the source of every shifted test set.

    A copy has the content hashes of its originals, so the leak guard treats it as it treats them.

    Args:
        config: of any task; its copies name sets of data.id_test.
        kind_of: the telling key that a path alone stands for.
    """
    found: dict[str, Any] = {}
    for name, spec in config.data.ood.items():
        copy = copied(spec)
        if copy is None:
            found[name] = spec
            continue
        original = config.data.id_test[copy.corrupt]
        source = {kind_of(original): original} if isinstance(original, str) else original
        found[name] = source | {"corrupt": copy.model_dump(exclude={"corrupt"})}
    return found
