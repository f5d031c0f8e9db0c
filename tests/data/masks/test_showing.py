"""Images by the classes they show."""

import pytest

from radapter.data import open_masks
from radapter.errors import ConfigError, DataError

SCENES = {"world": "scenes", "size": 60, "background": False}


def shown(spec):
    return [{int(label) for label in labels.unique()} - {-1} for _, labels, _ in open_masks(spec)]


def test_only_and_without_choose_images_by_what_they_show():
    names = open_masks(SCENES).classnames
    everything = shown(SCENES)
    chosen = {names.index(name) for name in names[:8]}
    only = shown({**SCENES, "only": list(names[:8])})
    assert only == [each for each in everything if each <= chosen]
    assert shown({**SCENES, "without": list(names[:8])}) == [each for each in everything if not each & chosen]
    assert 0 < len(only) < len(everything)


def test_a_name_that_is_no_class_is_refused_and_so_is_an_empty_set():
    with pytest.raises(ConfigError, match=r"Got 'bota'\. Did you mean 'boat'"):
        open_masks({**SCENES, "only": ["bota"]})
    with pytest.raises(DataError, match="none is left after only and without"):
        open_masks({**SCENES, "only": ["boat"], "without": ["boat"]})
