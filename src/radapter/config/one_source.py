"""`data: {folder: photos}`: one source for training, validation and test, written out as three."""

from collections.abc import Mapping
from typing import Any

from radapter.config.schema import CommonConfig, CommonData
from radapter.config.sources import CorruptedCopy
from radapter.errors import ConfigError, did_you_mean

_SETS = ("train", "id_val", "id_test")


def written_out(data: Mapping[str, Any], schema: type[CommonConfig]) -> dict[str, Any]:
    """Return the section `data` with a source in it replaced by the three sets that it gives.

    The keys of the source are removed; all others stay. A section without a source is returned as it is.

    Args:
        data: as in run.yaml.
        schema: of the task.

    Raises:
        ConfigError: one of the sets is given too, the source is cut already, or a key is unknown.
    """
    section = schema.model_fields["data"].annotation
    assert isinstance(section, type)
    assert issubclass(section, CommonData)
    data = {key: value for key, value in data.items() if key != "stream" or value is not None}
    if "stream" in data:
        raise ConfigError(
            "a stream is for data.train alone: its images are not listed, so it cannot be cut. Give "
            "data.train: {stream: FOLDER}, and other sources for data.id_val and data.id_test."
        )
    found = [kind for kind in section.source_kinds if kind is not CorruptedCopy and kind.key() in data]
    if not found:
        return data
    kind = found[0].key()
    given = [name for name in _SETS if data.get(name) is not None]
    if given:
        raise ConfigError(
            f"data.{kind} is one source for all sets. Got it beside data.{given[0]}. Remove one of the two."
        )
    if data.get("part") is not None:
        raise ConfigError(
            f"data.{kind} is cut into training, validation and test by content. Got data.part too. Leave it out, or "
            "give data.train, data.id_val and data.id_test."
        )
    keys = {key for other in found for key in other.model_fields}
    for key in data:
        if key not in keys and key not in section.model_fields:
            known = (*keys, *section.model_fields)
            raise ConfigError(f"unknown key 'data.{key}' beside data.{kind}.{did_you_mean(str(key), known)}")
    source = {key: value for key, value in data.items() if key in keys and value is not None}
    others = {key: value for key, value in data.items() if key not in keys and key not in _SETS}
    return {**section.divided(source), **others}
