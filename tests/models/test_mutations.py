"""Every value of every JSON file of a model's directory, replaced: the model works, or the error names the file.

A sample runs always. RADAPTER_ALL_MUTATIONS=1 runs all of them, which takes some minutes.
"""

import copy
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from radapter.errors import RAdapterError
from radapter.models import ClassHead, export, load
from radapter.runs.merging import folder_classifier, merged_facts
from radapter.storage import read_json

LIKE = 3  # items of a list or object that are changed, where all are alike
SAMPLE = 25
Path_ = tuple[str | int, ...]


@pytest.fixture(scope="session")
def folders(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory of each kind; the merged one has a classifier and a run's facts."""
    place, tiny = tmp_path_factory.mktemp("models"), load("world:tiny")
    head = ClassHead(torch.eye(2, tiny.embed_dim), ["star", "moon"])
    about = {"task": "classification", "method": "full", "templates": ["a {}."]}
    return {
        "transformers": clip,
        "open_clip": export(tiny, to=place / "open_clip", format="open_clip"),
        "timm": export(load("timm:vit_tiny_patch16_224"), to=place / "timm"),
        "merged": export(tiny, to=place / "merged", head=head, about=about),
    }


def places(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Where a JSON value has values, itself aside."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, inner in items[: LIKE if len(items) > 30 else None]:
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*at, key))


def mutations(folder: Path) -> list[tuple[str, Path_, Any]]:
    """File, place and new value."""
    found = []
    for file in sorted(folder.glob("*.json")):
        about = read_json(file)
        for place in places(about):
            old = about
            for key in place:
                old = old[key]
            wrong = "x" if not isinstance(old, str) else 5
            found += [(file.name, place, new) for new in (wrong, None, 10**12, -1, []) if new != old]
    return found


def mutated(value: Any, place: Path_, new: Any) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return changed


def forget_hashes(folder: Path) -> None:
    """Remove the record of the files: every change would be refused as damage."""
    (folder / "manifest.json").unlink(missing_ok=True)
    if (folder / "certificate.json").is_file():
        certificate = read_json(folder / "certificate.json")
        (folder / "certificate.json").write_text(json.dumps({**certificate, "sha256": {}}))


def use(folder: Path) -> None:
    """All that `radapter evaluate` reads of a directory, on one image and one text."""
    merged_facts(folder)
    encoder = load(folder)
    with torch.no_grad():
        encoder.encode_image(encoder.preprocess(Image.new("RGB", (40, 60)))[None])
        if encoder.context_length:
            encoder.encode_text(encoder.tokenize(["a red star"]))
            encoder.token_counts(["a red star"])
            encoder.unknown_id()
    folder_classifier(folder, encoder.embed_dim)


@pytest.mark.parametrize("kind", ["transformers", "open_clip", "timm", "merged"])
def test_a_changed_value_works_or_is_an_error_of_the_input(
    folders: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders[kind], tmp_path / kind))
    forget_hashes(folder)
    use(folder)
    tried = mutations(folder)
    if "RADAPTER_ALL_MUTATIONS" not in os.environ:
        tried = random.Random(0).sample(tried, SAMPLE)
    faults = []
    for name, place, new in tried:
        before = (folder / name).read_text()
        (folder / name).write_text(json.dumps(mutated(json.loads(before), place, new)))
        try:
            use(folder)
        except RAdapterError as error:
            if not str(error):
                faults.append(f"{name} {place} = {new!r}: empty message")
        except BaseException as error:
            faults.append(f"{name} {place} = {new!r}: {type(error).__name__}: {error}"[:300])
        finally:
            (folder / name).write_text(before)
    assert not faults, f"{len(faults)} of {len(tried)}:\n" + "\n".join(faults)
