"""The exception tree, and the suggestions in messages."""

import inspect

import pytest

from radapter import errors


def _raised() -> list[type[Exception]]:
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]


@pytest.mark.parametrize("error", _raised())
def test_every_error_is_a_radapter_error(error):
    assert issubclass(error, errors.RAdapterError)


@pytest.mark.parametrize("error", _raised())
def test_docstring_draws_every_error(error):
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize(
    ("error", "builtin"), [(errors.ConfigError, ValueError), (errors.MissingExtraError, ImportError)]
)
def test_callers_who_know_only_the_builtin_catch_it(error, builtin):
    assert issubclass(error, builtin)
    assert issubclass(error, errors.InputError)


def test_one_bad_image_is_a_data_error():
    assert issubclass(errors.ImageError, errors.DataError)


def test_nearest_puts_the_best_name_first():
    assert errors.nearest("sketsh", ["photo", "sketch", "sketches"])[0] == "sketch"


def test_nearest_ignores_case_and_keeps_the_known_spelling():
    assert errors.nearest("vit-b-16", ["ViT-B-16", "RN50"]) == ["ViT-B-16"]


def test_did_you_mean_is_empty_where_nothing_is_near():
    assert errors.did_you_mean("zebra", ["photo", "sketch"]) == ""


def test_did_you_mean_is_a_sentence_to_append():
    assert errors.did_you_mean("phot", ["photo", "sketch"]) == " Did you mean 'photo'?"
