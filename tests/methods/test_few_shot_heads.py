"""CLIP-Adapter and Tip-Adapter equal their papers, and start where they should."""

import pytest
import torch
from reference import few_shot
from torch.nn import functional as F

from radapter.methods.clip_adapter import AdapterHead
from radapter.methods.method import EncodedImages
from radapter.methods.tip_adapter import ALPHAS, BETAS, CacheHead, TipAdapterSettings, grid, remember, search
from radapter.zeroshot import LinearHead

SCALE, EMBED, CLASSES = 14.0, 8, 3


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def rows() -> tuple[torch.Tensor, LinearHead]:
    embeddings = unit(CLASSES, EMBED)
    return embeddings, LinearHead.zero_shot(embeddings, SCALE)


def test_clip_adapter_on_unit_features_is_the_release_on_raw_ones():
    embeddings, zero_shot = rows()
    head = AdapterHead(zero_shot, hidden=2, ratio=0.2)
    raw = 7 * torch.randn(5, EMBED, dtype=torch.float64)
    expected = few_shot.clip_adapter(raw, head.down.weight.T, head.up.weight.T, embeddings, 0.2, SCALE)
    torch.testing.assert_close(head(F.normalize(raw, dim=-1)), expected)
    head.ratio.fill_(0)
    torch.testing.assert_close(head(F.normalize(raw, dim=-1)), zero_shot(F.normalize(raw, dim=-1)))


def test_clip_adapter_keeps_its_adapter_for_other_classes():
    _, zero_shot = rows()
    head = AdapterHead(zero_shot, hidden=2, ratio=0.2)
    other = LinearHead.zero_shot(unit(5, EMBED), SCALE)
    features = unit(4, EMBED)
    found = head.for_classes([], other)
    assert found(features).shape == (4, 5)
    assert not torch.allclose(found(features), other(features))
    assert torch.equal(found.down.weight, head.down.weight)


def cached(views: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, CacheHead]:
    embeddings, zero_shot = rows()
    head = CacheHead(zero_shot, images=0, alpha=1.17, beta=1.0)
    remember(head, EncodedImages(views, labels))
    return embeddings, head


def test_tip_adapter_is_its_equation():
    views, labels = 3 * torch.randn(4, 6, EMBED, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 1])
    embeddings, head = cached(views, labels)
    features = unit(5, EMBED)
    expected = few_shot.tip_adapter(
        features, few_shot.cache_keys(views), labels, embeddings, alpha=1.17, beta=1.0, scale=SCALE
    )
    torch.testing.assert_close(head(features), expected)


def test_an_unreadable_image_is_left_out_of_the_cache():
    views, labels = torch.randn(2, 3, EMBED, dtype=torch.float64), torch.tensor([0, 1, 2])
    views[:, 1] = torch.nan
    _, head = cached(views, labels)
    assert head.labels.tolist() == [0, 2]
    assert head.keys.isfinite().all()


@pytest.mark.parametrize(("alpha", "beta"), [(None, None), (0.7, None), (None, 2.5)])
def test_the_search_is_the_release_s_on_validation(alpha, beta):
    labels = torch.tensor([0, 1, 2, 0, 1, 1])
    embeddings, head = cached(torch.randn(1, 6, EMBED, dtype=torch.float64), labels)
    features, truth = unit(40, EMBED), torch.randint(CLASSES, (40,))
    settings = TipAdapterSettings(alpha=alpha, beta=beta)
    alphas, betas = grid(alpha, 3.0, ALPHAS), grid(beta, 7.0, BETAS)
    keys = head.keys.detach()

    def logits(alpha: float, beta: float) -> torch.Tensor:
        return (
            SCALE * features @ embeddings.T
            + alpha * torch.exp(-beta * (1 - features @ keys.T)) @ F.one_hot(labels, CLASSES).double()
        )

    search(head, settings, features, truth)
    assert (head.alpha.item(), head.beta.item()) == few_shot.search(logits, truth, alphas, betas)


def test_the_grids_end_below_their_largest_value():
    alphas, betas = grid(None, 3.0, ALPHAS), grid(None, 7.0, BETAS)
    assert (len(alphas), len(betas)) == (20, 200)
    assert (alphas[0], betas[0]) == (0.1, 0.1)
    assert alphas[-1] == pytest.approx(2.855)
    assert betas[-1] == pytest.approx(6.9655)
