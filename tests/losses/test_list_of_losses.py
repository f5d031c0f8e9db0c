"""The list of losses: what a new entry needs, and what each entry reads."""

from functools import partial

import pytest
import torch

from radapter.errors import ConfigError
from radapter.losses import LOSSES, Loss, bound_loss


def test_a_loss_in_the_list_is_bound_with_its_settings(monkeypatch):
    def margin_of(images, texts, targets, scale, parts=None, *, margin):
        return torch.tensor(margin)

    monkeypatch.setitem(LOSSES, "mine", Loss("mine", margin_of, {"margin": 0.3}))
    features = torch.ones(1, 1)
    for given, used in ((None, 0.3), (0.7, 0.7)):
        loss = bound_loss("mine", margin=given, label_smoothing=None, logit_bias=None)
        assert loss(features, features, features, features).item() == pytest.approx(used)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("key", ["margin", "label_smoothing"])
def test_a_setting_that_a_loss_does_not_read_is_refused_with_the_losses_that_read_it(name, key):
    given = {"margin": None, "label_smoothing": None, key: 0.1}
    bound = partial(bound_loss, name, **given, logit_bias=torch.zeros(()))
    if key in LOSSES[name].settings:
        assert bound().keywords[key] == 0.1
        return
    readers = ", ".join(other for other in LOSSES if key in LOSSES[other].settings)
    with pytest.raises(ConfigError, match=f"loss.{key} is for {readers}. Got 0.1 with '{name}'"):
        bound()
