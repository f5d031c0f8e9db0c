"""`radapter segment`: an overlay, a label map and regions of each image; what cannot be done is said."""

import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from segmentation import small_proposers

from radapter.segmentation import MaskPrompts, label_regions
from radapter.segmentation.mask_files import decode, encode
from radapter.storage import read_json, write_json
from radapter.world import draw, sample


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three scenes in two folders."""
    folder = tmp_path_factory.mktemp("scenes")
    images, _ = draw(sample(21, torch.tensor([12, 2, 15]), two_objects=1.0, styles=("photo",)))
    for name, pixels in zip(("boat.png", "in/star.png", "car.jpg"), images, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def segment(radapter, scenes):
    """Segments boat.png, or what is given."""

    def run(
        *more, image=scenes / "boat.png", classes="boat, moon, background", to="out.png", model="world:tiny"
    ):
        return radapter("segment", model, "--data", image, "--classes", classes, "--out", to, *more)

    return run


def labels_of(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_an_image_gives_an_overlay_a_label_map_and_regions(segment, here):
    answer = segment()
    assert answer.code == 0, answer.result.output
    assert "open out.png" in answer.printed
    assert "boat.png: " in answer.printed
    labels, document = labels_of("out.labels.png"), read_json("out.json")
    assert labels.shape == (48, 48)
    assert set(np.unique(labels)) <= {0, 1, 2}
    with Image.open("out.png") as drawn:
        assert drawn.width > 960
    assert document["classes"] == ["boat", "moon", "background"]
    assert document["model"] == "world:tiny"
    assert document["size"] == [48, 48]
    covered = sum(
        decode(region["segmentation"], size=(48, 48), where="").int() for region in document["regions"]
    )
    assert (covered > 0).all()
    shares = {
        line.split()[0]: float(line.split()[1]) for line in answer.printed.splitlines() if line.endswith("%")
    }
    assert shares["boat"] == pytest.approx(100 * (labels == 0).mean(), abs=0.06)


def test_the_same_call_writes_the_same_bytes(segment, here):
    first, second = (segment(to=name) for name in ("a.png", "b.png"))
    assert first.code == second.code == 0
    for suffix in ("png", "labels.png", "json"):
        assert (here / f"a.{suffix}").read_bytes() == (here / f"b.{suffix}").read_bytes()


def test_a_folder_is_done_image_by_image_and_a_bad_one_is_said(segment, scenes, here, tmp_path):
    folder = shutil.copytree(scenes, tmp_path / "images")
    (folder / "broken.jpg").write_bytes(b"no image")
    answer = segment(image=folder, to="done")
    assert answer.code == 0, answer.result.output
    assert "Images left out: 1" in answer.said
    assert "broken.jpg" in answer.said
    written = {str(path.relative_to(here / "done")) for path in (here / "done").rglob("*") if path.is_file()}
    assert written == {
        f"{name}.{suffix}" for name in ("boat", "car", "in/star") for suffix in ("png", "labels.png", "json")
    }
    alone = segment(image=folder / "in" / "star.png", to="alone.png")
    assert alone.code == 0
    assert (here / "alone.labels.png").read_bytes() == (here / "done/in/star.labels.png").read_bytes()


def test_a_folder_without_one_good_image_is_refused(segment, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no")
    answer = segment(image=tmp_path / "bad", to="done")
    assert answer.code == 2
    assert "not one image" in answer.said


def test_regions_written_are_masks_that_can_be_given_again(segment, here, scenes):
    assert segment().code == 0
    (here / "masks").mkdir()
    (here / "out.json").rename(here / "masks" / "boat.json")
    answer = segment("--proposer", "files:masks", to="again.png")
    assert answer.code == 0, answer.result.output
    assert np.array_equal(labels_of("out.labels.png"), labels_of("again.labels.png"))


def test_synonyms_and_a_file_of_classes(segment, here):
    (here / "classes.txt").write_text("boat, umbrella\nmoon\n\nbackground\n")
    inline = segment("--synonyms", "max", classes="boat, umbrella; moon; background", to="a.png")
    from_file = segment("--synonyms", "max", classes="classes.txt", to="b.png")
    assert inline.code == from_file.code == 0, inline.result.output
    assert read_json("a.json")["classes"] == ["boat, umbrella", "moon", "background"]
    assert (here / "a.labels.png").read_bytes() == (here / "b.labels.png").read_bytes()


def scores_of(path):
    return [region["score"] for region in read_json(path)["regions"]]


def test_every_option_changes_the_scores(segment, here, encoder):
    assert segment(to="plain.png", classes="boat, car; moon; background").code == 0
    MaskPrompts(encoder, seed=1).save(here / "prompts.safetensors")
    with torch.no_grad():
        prompts = MaskPrompts(encoder, seed=1)
        prompts.tokens.mul_(50)
        prompts.save(here / "prompts.safetensors")
    options = (
        ("--synonyms", "max"),
        ("--templates", "a sketch of a {}."),
        ("--ovseg-compat",),
        ("--mask-prompts", "prompts.safetensors"),
    )
    for number, option in enumerate(options):
        answer = segment(*option, to=f"{number}.png", classes="boat, car; moon; background")
        assert answer.code == 0, answer.result.output
        assert scores_of(f"{number}.json") != scores_of("plain.json"), option


@pytest.fixture(scope="module")
def proposer(tmp_path_factory):
    """A tiny Mask2Former that knows sky, road and tree."""
    return small_proposers.folder(tmp_path_factory.mktemp("proposer"), "mask2former")


def test_a_mask2former_gives_its_queries_and_every_ensemble_other_scores(segment, proposer):
    given = ("--proposer", f"transformers:{proposer}")
    found = {}
    for ensemble in ("region", "ovseg", "zsseg", "fcclip"):
        answer = segment(*given, "--ensemble", ensemble, to=f"{ensemble}.png", classes="sky, road, tree")
        assert answer.code == 0, answer.result.output
        found[ensemble] = scores_of(f"{ensemble}.json")
    assert len({tuple(scores) for scores in found.values()}) == 4
    weighted = segment(
        *given,
        "--ensemble",
        "zsseg",
        "--weight",
        "0.2",
        "--seen",
        "sky",
        to="w.png",
        classes="sky, road, tree",
    )
    assert weighted.code == 0, weighted.result.output
    assert scores_of("w.json") != found["zsseg"]


def test_a_run_is_used_at_its_alpha_with_its_templates(segment, run, here):
    shutil.copytree(run, here / "tuned")  # the small run may have chosen alpha 0
    about = read_json(here / "tuned" / "trained.json")
    (here / "tuned" / "manifest.json").unlink()  # changed on purpose
    write_json(here / "tuned" / "trained.json", about | {"alpha": 1.0, "templates": ["a {}.", "one {}."]})
    (here / "tuned.txt").write_text("a {}.\none {}.\n")
    answer = segment(model="tuned")
    assert answer.code == 0, answer.result.output
    assert read_json("out.json")["templates"] == ["a {}.", "one {}."]
    plain = segment("--templates", "tuned.txt", to="plain.png")
    assert plain.code == 0
    assert scores_of("out.json") != scores_of("plain.json")


def test_tiles_are_segmented_each_by_itself(segment, scenes, here):
    with Image.open(scenes / "boat.png") as image:
        whole = image.convert("RGB").resize((100, 70))
    whole.save("large.png")
    answer = segment("--tile", 64, image="large.png", to="out.png")
    assert answer.code == 0, answer.result.output
    whole.crop((50, 35, 100, 70)).save("corner.png")
    assert segment(image="corner.png", to="part.png").code == 0
    assert np.array_equal(labels_of("out.labels.png")[35:, 50:], labels_of("part.labels.png"))
    left, top, *_ = read_json("out.json")["regions"][-1]["bbox"]
    assert left >= 50
    assert top >= 35


def test_a_one_pixel_image_is_one_region(segment, here):
    Image.new("RGB", (1, 1), "red").save("dot.png")
    answer = segment(image="dot.png", to="out.png")
    assert answer.code == 0, answer.result.output
    assert len(read_json("out.json")["regions"]) == 1


def test_a_very_large_image_is_refused_from_its_header(segment, here):
    file = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(file, "PNG")
    (here / "huge.png").write_bytes(file.getvalue())
    answer = segment(image="huge.png", to="out.png")
    assert answer.code == 2
    assert "12000 x 9000 = 108,000,000. Use --tile 1024" in answer.said
    assert not (here / "out.png").exists()


def test_a_smaller_limit_refuses_smaller_images(segment):
    answer = segment("--max-pixels", 1000)
    assert answer.code == 2
    assert "at most 1,000 pixels" in answer.said


def test_zero_proposals_are_said(segment, here, scenes):
    (here / "masks").mkdir()
    (here / "masks" / "boat.json").write_text("[]")
    answer = segment("--proposer", "files:masks")
    assert answer.code == 2
    assert "must have a region" in answer.said


def test_masks_of_another_size_are_said(segment, here):
    (here / "masks").mkdir()
    masks, _ = label_regions(torch.zeros(4, 5, dtype=torch.int64))
    write_json(here / "masks" / "boat.json", [{"segmentation": encode(mask)} for mask in masks])
    answer = segment("--proposer", "files:masks")
    assert answer.code == 2
    assert "image's size, 48 x 48" in answer.said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"classes": "boat"}, "--classes must hold two or more. Got only 'boat'"),
        ({"classes": "boat, boat"}, "class names must differ"),
        ({"classes": "boat, , moon"}, "must not be empty"),
        ({"image": "absent.png"}, "'absent.png' is neither"),
        ({"to": "out.jpg"}, "must be the name of a PNG"),
        ({"more": ("--proposer", "felzenswalb")}, "Did you mean 'felzenszwalb'"),
        ({"more": ("--proposer", "files:absent")}, "'absent' is none"),
        ({"more": ("--proposer", "transformers:absent")}, "must have config.json"),
        ({"more": ("--ensemble", "ovseg")}, "needs a proposer with class scores"),
        ({"more": ("--weight", "0.5")}, "takes no weight"),
        ({"more": ("--weight", "a")}, "must be a number"),
        ({"more": ("--seen", "boat")}, "--seen is for the ensembles"),
        ({"more": ("--templates", "no place")}, "templates must be"),
        ({"more": ("--mask-prompts", "absent.safetensors")}, "mask prompts must be"),
        ({"model": "wrld:tiny"}, "model must be"),
    ],
)
def test_wrong_input_is_said_and_nothing_written(segment, here, options: dict, says: str):
    more = options.pop("more", ())
    answer = segment(*more, **options)
    assert answer.code == 2, answer.result.output
    assert says in " ".join(answer.said.split())
    assert not list(here.glob("out*"))


def test_files_and_tiles_do_not_go_together(segment, here):
    (here / "masks").mkdir()
    answer = segment("--proposer", "files:masks", "--tile", 64)
    assert answer.code == 2
    assert "Leave one out" in answer.said


def test_an_ensemble_needs_classes_that_the_proposer_knows(segment, proposer):
    answer = segment("--proposer", f"transformers:{proposer}", "--ensemble", "ovseg")
    assert answer.code == 2
    assert "'boat' is not among its 3" in answer.said
    given = ("--proposer", f"transformers:{proposer}", "--ensemble", "zsseg", "--seen", "sea")
    answer = segment(*given, classes="sky, road")
    assert answer.code == 2
    assert "Got 'sea'" in answer.said


def test_images_are_never_written_over(segment, here, scenes):
    shutil.copy(scenes / "boat.png", "boat.png")
    answer = segment(image="boat.png", to="boat.png")
    assert answer.code == 2
    assert "must not replace an image" in answer.said
    (here / "images").mkdir()
    for name in ("a.png", "a.jpg"):
        shutil.copy(scenes / "boat.png", here / "images" / name)
    answer = segment(image=here / "images", to="done")
    assert answer.code == 2
    assert "'a.jpg' and 'a.png' would both be" in answer.said
