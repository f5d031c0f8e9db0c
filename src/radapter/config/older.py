"""Keys of run.yaml in schema 1: an error names the new ones for a user's file; a run directory's file is read."""

from collections.abc import Mapping
from typing import Any

import yaml

from radapter.config.methods import DEFAULT_METHOD
from radapter.methods import RENAMED, TABLES

Location = tuple[str, ...]
_ALPHA, _DECAY = "alpha", "ema_decay"


def moved(settings: Mapping[str, Any]) -> dict[Location, str]:
    """Return a sentence with the new key for each key of the section `adapter`, by its location."""
    section = settings.get("adapter", {})
    if not isinstance(section, Mapping):
        return {
            ("adapter",): f"adapter is now method, select and train.ema_decay. Got {section!r}. Leave it out."
        }
    method = settings.get("method", DEFAULT_METHOD)
    name = method.get("name", DEFAULT_METHOD) if isinstance(method, Mapping) else method
    sentences: dict[Location, str] = {}
    for key, value in section.items():
        new, written = {
            _ALPHA: ("select.alpha", {"select": {"alpha": value}}),
            _DECAY: ("train.ema_decay", {"train": {"ema_decay": value}}),
        }.get(key, (f"method.{key}", {"method": {"name": name, key: value}}))
        flow = yaml.safe_dump(written, default_flow_style=True, sort_keys=False, width=1000).strip()
        sentences["adapter", key] = f"adapter.{key} is now {new}. Got {value!r}. Write {flow[1:-1]}."
    return sentences or {("adapter",): "adapter is now method, select and train.ema_decay. Leave it out."}


def renewed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a config.yaml of schema 1, which holds every key, with today's keys."""
    task, method, adapter = settings.get("task"), settings.get("method"), settings.get("adapter")
    if not (isinstance(task, str) and isinstance(method, str) and isinstance(adapter, dict)):
        return settings
    renamed = RENAMED.get(task, {})
    name = renamed.get(method, method)
    if name not in TABLES.get(task, {}):
        return settings
    given = {key: adapter[key] for key in TABLES[task][name].keys if adapter.get(key) is not None}
    compare = settings.get("compare", {})
    rates = {renamed.get(key, key): rate for key, rate in compare.get("rates", {}).items()}
    return {
        **{key: value for key, value in settings.items() if key != "adapter"},
        "method": {"name": name, **given},
        "select": {"alpha": adapter.get(_ALPHA, "auto")},
        "train": {**settings.get("train", {}), "ema_decay": adapter.get(_DECAY, "auto")},
        "compare": {**compare, "rates": rates},
    }
