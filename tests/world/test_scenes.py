"""Scenes: the description of every image."""

import pytest
import torch

from radapter import world
from radapter.hashing import pick, uniform
from radapter.world.scenes import own_attributes


def test_scene_depends_on_seed_and_index_alone():
    whole = world.sample(5, torch.arange(50))
    part = world.sample(5, torch.tensor([41, 7]))
    for name in ("style", "classes", "rgb", "offset", "warp"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[[41, 7]])


def test_another_seed_is_another_scene():
    index = torch.arange(200)
    assert not torch.equal(world.sample(0, index).rgb, world.sample(1, index).rgb)
    assert len(set(world.sample(0, index).keys.tolist() + world.sample(1, index).keys.tolist())) == 400


def test_uniform_numbers_fill_the_unit_interval_evenly():
    unit = uniform(3, torch.arange(20_000), "any", 2)
    assert unit.min() >= 0
    assert unit.max() < 1
    counts = torch.histc(unit, 10, 0, 1)
    assert (counts / 4000 - 1).abs().max() < 0.08  # five standard errors of a tenth of 40,000 draws


def test_streams_are_uncorrelated():
    a, b = uniform(0, torch.arange(20_000), "a")[:, 0], uniform(0, torch.arange(20_000), "b")[:, 0]
    assert torch.corrcoef(torch.stack([a, b]))[0, 1].abs() < 0.03


def test_pick_follows_its_weights():
    drawn = pick(uniform(0, torch.arange(30_000), "pick")[:, 0], torch.tensor([1.0, 0.0, 3.0]))
    assert torch.bincount(drawn, minlength=3)[1] == 0
    assert (drawn == 2).float().mean().item() == pytest.approx(0.75, abs=0.015)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 1.0])
def test_correlation_ties_three_attributes_to_the_class(correlation):
    scenes = world.sample(0, torch.arange(20_000), correlation=correlation)
    own_colour, own_background, own_pattern = own_attributes(scenes.classes[:, 0])
    # The rest is uniform, so an attribute is the class's own a little more often than the correlation.
    agree = (scenes.colour[:, 0] == own_colour).float().mean().item()
    assert agree == pytest.approx(correlation + (1 - correlation) / 10, abs=0.02)
    agree = (scenes.pattern == own_pattern).float().mean().item()
    assert agree == pytest.approx(correlation + (1 - correlation) / 6, abs=0.02)
    # A background of the object's colour moves on, which costs the background some of its agreement.
    agree = (scenes.background == own_background).float().mean().item()
    assert agree == pytest.approx(correlation + (1 - correlation) / 10, abs=0.05)


def test_no_object_has_the_colour_of_its_background():
    scenes = world.sample(0, torch.arange(5000), correlation=0.8)
    assert (scenes.colour != scenes.background[:, None]).all()
    colour, background, _ = own_attributes(torch.arange(20))
    assert (colour != background).all()


def test_two_objects_differ_and_come_as_often_as_asked():
    scenes = world.sample(0, torch.arange(10_000), two_objects=0.15)
    assert scenes.has_two.float().mean().item() == pytest.approx(0.15, abs=0.015)
    assert (scenes.classes[:, 0] != scenes.classes[:, 1]).all()
    assert not world.sample(0, torch.arange(100), two_objects=0.0).has_two.any()


def test_difficulty_makes_objects_smaller_and_more_turned():
    easy, hard = (world.sample(0, torch.arange(2000), difficulty=d, two_objects=0.0) for d in (0.0, 1.5))
    assert hard.scale.mean() < 0.8 * easy.scale.mean()
    assert easy.rotation.abs().max() == 0
    assert easy.offset.abs().max() == 0
    assert hard.rotation.abs().max() > 0.5
