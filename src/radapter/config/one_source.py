"""`data: {folder: photos}`: one source for training, validation and test, written out as three."""

from collections.abc import Mapping
from typing import Any

from radapter.config.schema import CommonConfig, CommonData
from radapter.config.sources import CorruptedCopy
from radapter.data.dividing import divided
from radapter.errors import ConfigError, did_you_mean

_SETS = ("train", "id_val", "id_test")


def written_out(data: Mapping[str, Any], task: str, schema: type[CommonConfig]) -> dict[str, Any]:
    """The section `data` with a source that stands in it replaced by the three sets that it gives.

    The keys of the source are taken out; all others stay. A section without a source comes back as it is.

    Args:
        data: as in run.yaml.
        task: decides which kinds of source there are.
        schema: of the task.

    Raises:
        ConfigError: the source stands beside one of the sets, is cut already, or a key is neither its nor data's.
    """
    others = schema.model_fields["data"].annotation
    assert isinstance(others, type)
    assert issubclass(others, CommonData)
    told = [kind for kind in others.source_kinds if kind is not CorruptedCopy and kind.key() in data]
    if "stream" in data:
        raise ConfigError(
            "a stream is for data.train alone: its images are not listed, so it cannot be cut. Give "
            "data.train: {stream: FOLDER}, and other sources for data.id_val and data.id_test."
        )
    if not told:
        return dict(data)
    kind = told[0].key()
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
    if task == "segmentation" and kind == "layout" and data.get("split") is None:
        raise ConfigError(
            "data.layout is one source for all sets. Give data.split, the split to cut by content, or give "
            "data.train, data.id_val and data.id_test a layout with a split each."
        )
    keys = {key for other in told for key in other.model_fields}
    for key in data:
        if key not in keys and key not in others.model_fields:
            known = (*keys, *others.model_fields)
            raise ConfigError(f"unknown key 'data.{key}' beside data.{kind}.{did_you_mean(str(key), known)}")
    source = {key: value for key, value in data.items() if key in keys and value is not None}
    sets = divided(source, labelled=task == "classification")
    if task == "segmentation":
        sets["train"] = {"from_masks": sets["train"]}
    return {**sets, **{key: value for key, value in data.items() if key not in keys and key not in _SETS}}
