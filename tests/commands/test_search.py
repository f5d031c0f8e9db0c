"""`radapter search`: hits in the terminal, a page of them, an index that is kept."""

import shutil

import pytest
import torch
from PIL import Image

from radapter.search import read_index
from radapter.storage import read_json, write_json
from radapter.world import split


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Sixty scenes, named after what they show."""
    folder = tmp_path_factory.mktemp("scenes")
    world = split("id_test", seed=0, size=60)
    for number, (pixels, label) in enumerate(zip(world.images, world.labels, strict=True)):
        file = folder / world.classnames[label] / f"{number} [x].png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)
    return folder


pytestmark = pytest.mark.usefixtures("here")


def hits(answer):
    """Rank, cosine and path of each printed hit."""
    lines = [line.split(maxsplit=2) for line in answer.printed.splitlines()]
    return [(int(line[0]), float(line[1]), line[2]) for line in lines if line and line[0].isdigit()]


def test_search_finds_the_stars(radapter, scenes):
    answer = radapter("search", "world:tiny", "--data", scenes, "a red star", "--top", 3)
    assert answer.code == 0, answer.result.output
    found = hits(answer)
    assert [rank for rank, _, _ in found] == [1, 2, 3]
    assert all(path.startswith(f"{scenes}/star/") for _, _, path in found)
    assert [cosine for _, cosine, _ in found] == sorted((c for _, c, _ in found), reverse=True)


def test_several_texts_are_answered_in_turn_and_one_that_stands_twice_once(radapter, scenes):
    answer = radapter("search", "world:tiny", "--data", scenes, "a moon", "a car", "a moon", "--top", 2)
    assert len(hits(answer)) == 4
    assert answer.printed.index("a moon") < answer.printed.index("a car")
    assert "moon/" in hits(answer)[0][2]


def test_top_above_the_number_of_images_gives_all(radapter, scenes):
    assert len(hits(radapter("search", "world:tiny", "--data", scenes, "a car", "--top", 500))) == 60


def test_a_text_longer_than_the_context_is_reported(radapter, scenes):
    long = "a red star and " * 40
    answer = radapter("search", "world:tiny", "--data", scenes, "a red star", long, "--top", 1)
    assert answer.code == 0
    assert answer.said.count("a text should have at most") == 1
    assert "'a red star and a red star" in answer.said


def test_the_page_is_written(radapter, scenes, here):
    answer = radapter("search", "world:tiny", "--data", scenes, "a <car>", "--out", "hits.html")
    assert answer.code == 0
    assert "open hits.html" in answer.printed
    page = (here / "hits.html").read_text()
    assert page.count("<figure>") == 10
    assert "a &lt;car&gt;" in page


def test_the_index_changes_no_hit_and_is_used_again(radapter, scenes, here):
    plain = radapter("search", "world:tiny", "--data", scenes, "a red star")
    first, second = (
        radapter("search", "world:tiny", "--data", scenes, "a red star", "--index", "i.safetensors")
        for _ in range(2)
    )
    assert hits(plain) == hits(first) == hits(second)
    assert f"--data {scenes} --index i.safetensors --out hits.html" in first.printed
    assert "index: 0 kept, 60 encoded" in first.said
    assert "index: 60 kept, 0 encoded, 0 dropped" in second.said
    assert len(read_index(here / "i.safetensors")) == 60


def of_index(radapter, scenes, *options):
    """A search that keeps its index in i.safetensors."""
    answer = radapter(
        "search", "world:tiny", "--data", scenes, "a red star", "--index", "i.safetensors", *options
    )
    assert answer.code == 0, answer.result.output
    return answer


@pytest.fixture
def tuned(run, here):
    """A run whose chosen alpha is 1: the small one may have chosen 0."""
    shutil.copytree(run, here / "tuned")
    about = read_json(here / "tuned" / "trained.json")
    (here / "tuned" / "manifest.json").unlink()  # changed on purpose
    write_json(here / "tuned" / "trained.json", about | {"alpha": 1.0})
    return here / "tuned"


def test_a_run_is_searched_at_its_alpha_with_an_index_of_its_own(radapter, tuned, scenes, here):
    answer = radapter("search", tuned, "--data", scenes, "a red star", "--index", "run.safetensors")
    assert answer.code == 0, answer.result.output
    radapter("search", "world:tiny", "--data", scenes, "a red star", "--index", "base.safetensors")
    own, base = (read_index(here / f"{name}.safetensors") for name in ("run", "base"))
    assert not torch.allclose(own.features, base.features, atol=1e-4)
    mixed = radapter("search", "world:tiny", "--data", scenes, "a red star", "--index", "run.safetensors")
    assert mixed.code == 2
    assert f"index must be of this model, {base.model}. It is of {own.model}" in mixed.said


def test_a_run_at_alpha_0_is_said_to_be_the_zero_shot_model(radapter, tuned, scenes):
    about = read_json(tuned / "trained.json")
    write_json(tuned / "trained.json", about | {"alpha": 0.0})
    answer = radapter("search", tuned, "--data", scenes, "a red star")
    assert answer.code == 0, answer.result.output
    assert f"Alpha 0 was chosen for '{tuned}', so the zero-shot model is used." in " ".join(
        answer.said.split()
    )


def test_the_features_of_a_run_are_those_of_its_merged_model(radapter, tuned, scenes, here):
    assert radapter("merge", tuned, "--out", "merged").code == 0
    for what, name in ((tuned, "run"), ("merged", "merged")):
        radapter("search", what, "--data", scenes, "a car", "--index", f"{name}.safetensors")
    own, merged = (read_index(here / f"{name}.safetensors") for name in ("run", "merged"))
    assert own.features.allclose(merged.features, atol=1e-5)


def test_unreadable_images_are_reported_and_the_others_found(radapter, here):
    (here / "photos").mkdir()
    Image.new("RGB", (60, 60), (200, 0, 0)).save(here / "photos" / "red.png")
    for number in range(7):
        (here / "photos" / f"{number}.jpg").write_bytes(b"no image")
    answer = radapter("search", "world:tiny", "--data", "photos", "a red star")
    assert (answer.code, len(hits(answer))) == (0, 1)
    assert "Unreadable images, left out: 7" in answer.said
    assert "photos/4.jpg" in answer.said
    assert "and 2 more" in answer.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("world:tiny", "--data", "empty", "a car"), "image folder must hold an image"),
        (("world:tiny", "--data", "nosuch", "a car"), "image folder must exist"),
        (("world:tiny", "--data", "photos", "a car", " "), "a query must hold a word. Number 2 is empty"),
        (("world:tinny", "--data", "photos", "a car"), "Did you mean 'world:tiny'?"),
        (("world:tiny", "--data", "photos", "a car", "--out", "empty"), "--out must be a file"),
        (("world:tiny", "--data", "photos", "a car", "--index", "empty"), "--index must be a file"),
        (("world:tiny", "--data", "photos", "a car", "--index", "text"), "index must be a whole file"),
        (("world:tinny", "--data", "photos", "a car", "--out", "text/h.html"), "text' is not a folder"),
        (("world:tinny", "--data", "photos", "a car", "--index", "text/i.safetensors"), "is not a folder"),
        (
            ("timm:vit_tiny_patch16_224", "--data", "photos", "a car"),
            "model must have a text tower",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_and_nothing_written(radapter, refusal, here, arguments, said):
    (here / "empty").mkdir()
    (here / "photos").mkdir()
    Image.new("RGB", (60, 60)).save(here / "photos" / "a.png")
    (here / "text").write_text("dear")
    assert said in refusal(radapter, "search", *arguments)
