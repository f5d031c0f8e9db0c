"""What each set of a run holds and where it comes from, in one line."""

import logging
from collections.abc import Mapping
from typing import Any

import yaml

from radapter.config import CommonConfig
from radapter.config.building import AnySuite
from radapter.data import ClassificationSet
from radapter.data.labelled.kinds import LABELLED
from radapter.data.masks.kinds import MASKS
from radapter.data.pairs.kinds import PAIRS
from radapter.data.regions import REGIONS
from radapter.data.shards.stream import StreamSource
from radapter.data.source import Source, written

_KINDS: list[type[Source]] = [*LABELLED, *PAIRS, *MASKS, *REGIONS, StreamSource]
_KEYS = {kind.key() for kind in _KINDS}
_SHOWN = 3  # classes without an image

_log = logging.getLogger(__name__)


def report_sets(suite: AnySuite, config: CommonConfig) -> None:
    """Logs one line for each set of a run: images, classes, those without an image, and the source."""
    data = config.data
    tested = {
        ("id_val", "id_val"): data.id_val,
        **{("id", name): spec for name, spec in data.id_test.items()},
        **{("ood", name): spec for name, spec in data.ood.items()},
    }
    _report("train", suite.train, data.train, is_whole=True)
    for (role, name), opened in suite.sets("id_val", "id", "ood").items():
        label = name if name in ("id_val", "id_test") else f"{'id_test' if role == 'id' else role} {name}"
        _report(label, opened, tested[role, name], is_whole=role != "ood")


def set_in_words(per_class: Mapping[str, int]) -> str:
    """Images and classes of a set, from the images of each class: "12 images of 3 of 4 classes, none of cup"."""
    absent = [name for name, count in per_class.items() if count == 0]
    images = f"{sum(per_class.values()):,} images of"
    if not absent:
        return f"{images} {len(per_class):,} classes"
    shown = ", ".join(absent[:_SHOWN]) + (" ..." if len(absent) > _SHOWN else "")
    return f"{images} {len(per_class) - len(absent):,} of {len(per_class):,} classes, none of {shown}"


def in_flow(source: object) -> str:
    """A source, or a list of them, as one line of YAML, its kind first."""
    spec = written(source)
    if isinstance(spec, list) and len(spec) == 1:
        (spec,) = spec
    if isinstance(spec, Mapping):
        spec = {key: spec[key] for key in sorted(spec, key=lambda key: key not in _KEYS)}
    return (
        yaml.safe_dump(spec, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
        .removesuffix("...\n")
        .strip()
    )


def _report(name: str, opened: Any, spec: object, *, is_whole: bool) -> None:
    if isinstance(opened, ClassificationSet) and is_whole:
        counts = opened.labels.bincount(minlength=len(opened.classnames)).tolist()
        what = set_in_words(dict(zip(opened.classnames, counts, strict=True)))
    else:
        what = f"{len(opened):,} images"
    _log.info("%s: %s, from %s", name, what, in_flow(spec))
