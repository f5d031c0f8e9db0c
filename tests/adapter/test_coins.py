import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.hashing import number

from radapter.adapter import RAdapterConfig, RAdapterLayer, Site, coins, use_coins
from radapter.errors import ConfigError

CPU = torch.device("cpu")
int64 = st.integers(-(2**63), 2**63 - 1)


def hashed(seed=0, step=0, image=range(100)):
    return coins.HashCoins(seed, step, {"image": torch.tensor(list(image))})


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**31),
    st.lists(int64, min_size=1, max_size=8),
    st.floats(2**-6, 1, width=32),
)
def test_hash_coins_are_those_of_the_literal_hash(seed, step, keys, keep):
    got = coins.HashCoins(seed, step, {"image": torch.tensor(keys)}).draw(
        "site", "image", len(keys), keep, CPU
    )
    stream = f"dropping at site in step {step}"
    assert got.tolist() == [number(seed, key, stream) < keep for key in keys]


def test_a_hash_coin_depends_on_neither_position_nor_batch():
    whole = hashed().draw("site", "image", 100, 0.5, CPU)
    order = torch.randperm(100)
    assert torch.equal(hashed(image=order.tolist()).draw("site", "image", 100, 0.5, CPU), whole[order])
    assert torch.equal(hashed(image=range(40, 60)).draw("site", "image", 20, 0.5, CPU), whole[40:60])


def test_a_hash_coin_changes_with_seed_step_site_and_key():
    tosses = [
        hashed().draw("site", "image", 100, 0.5, CPU),
        hashed(seed=1).draw("site", "image", 100, 0.5, CPU),
        hashed(step=1).draw("site", "image", 100, 0.5, CPU),
        hashed().draw("other", "image", 100, 0.5, CPU),
    ]
    agreement = [(a == b).float().mean() for i, a in enumerate(tosses) for b in tosses[:i]]
    assert all(0.3 < share < 0.7 for share in agreement)  # independent: 0.5 with a spread of 0.05


@pytest.mark.parametrize("keep", [0.8, 1.0])
def test_the_share_of_kept_samples_is_the_asked_one(keep):
    for source in (hashed(image=range(10_000)), coins.TorchCoins(torch.Generator().manual_seed(0))):
        share = source.draw("site", "image", 10_000, keep, CPU).float().mean().item()
        assert share == pytest.approx(keep, abs=0.02)  # five standard errors


def test_keys_that_do_not_fit_the_batch_are_an_error():
    with pytest.raises(ConfigError, match=r"one key per sample, 3 at site 'site'. Got 100"):
        hashed().draw("site", "image", 3, 0.5, CPU)
    with pytest.raises(ConfigError, match="must hold the tower 'text'"):
        hashed().draw("site", "text", 3, 0.5, CPU)
    with pytest.raises(ConfigError, match="must be int64"):
        coins.HashCoins(0, 0, {"image": torch.zeros(3)})


def test_installed_serves_every_layer_and_restores_on_an_exception():
    layers = torch.nn.ModuleList(
        RAdapterLayer(torch.nn.Linear(2, 2), Site(str(i), "image", "ffn", 2, 0)) for i in "ab"
    )
    before, source = [layer.coin_source for layer in layers], hashed()
    with pytest.raises(RuntimeError), use_coins(layers, source):  # noqa: PT012
        assert all(layer.coin_source is source for layer in layers)
        raise RuntimeError
    assert [layer.coin_source for layer in layers] == before


def test_the_same_step_drops_the_same_samples_again():
    layer = RAdapterLayer(torch.nn.Linear(4, 4), Site("site", "image", "ffn", 4, 0))
    layer.update_layer("default", RAdapterConfig(init_weights=False, adapter_drop=0.5))
    rows = torch.randn(100, 4)
    with use_coins(layer.train(), hashed()):
        once, chunked = layer(rows), []
        assert torch.equal(once, layer(rows))
    for start in (0, 50):
        with use_coins(layer, hashed(image=range(start, start + 50))):
            chunked.append(layer(rows[start : start + 50]))
    assert torch.allclose(torch.cat(chunked), once)


def test_a_source_with_the_wrong_number_of_coins_is_an_error():
    class One:
        def draw(self, *args):
            return torch.tensor([True])

    layer = RAdapterLayer(torch.nn.Linear(4, 4), Site("site", "image", "ffn", 4, 0)).train()
    layer.update_layer("default", RAdapterConfig())
    with use_coins(layer, One()), pytest.raises(ConfigError, match=r"one per sample, \(3,\)"):
        layer(torch.randn(3, 4))
