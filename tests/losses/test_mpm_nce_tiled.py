"""The loss without its matrix: the dense one's value and gradients, on any tile and any number of processes."""

import inspect
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import tiled_loss
from processes.start import start
from reference import mpm_nce as reference
from torch import distributed as dist
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from radapter import mpm_nce, mpm_nce_tiled
from radapter.errors import ConfigError
from radapter.losses import Parts

TARGETS = {
    "unique": torch.arange(13),
    "repeated": torch.tensor([5, 0, 1, 0, 2, 5, 5, -3, 1, 7, 2, 5, 9]),
    "one class": torch.full((13,), 4),
}
OPTIONS = [
    {"margin": 0.0},
    {"margin": 0.3},
    {"margin": 0.0, "label_smoothing": 0.1},
    {"margin": 0.3, "label_smoothing": 0.1},
]
RELATIVE = {torch.float64: 1e-12, torch.float32: 1e-5}


def features(batch, dim=5, seed=0, dtype=torch.float64):
    both = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(both, dim=-1).to(dtype).unbind()


def value_and_gradients(loss, images, texts, targets, scale, **options):
    images, texts = images.clone().requires_grad_(), texts.clone().requires_grad_()
    scale = torch.tensor(scale, dtype=images.dtype, requires_grad=True)
    value = loss(images, texts, targets, scale, **options)
    value.backward()
    return value.detach(), images.grad, texts.grad, scale.grad


def assert_equal(found, expected, relative):
    # Relative to the size of the whole: an entry near 0 is a difference of larger ones.
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= relative * other.norm()


@st.composite
def batches(draw):
    batch = draw(st.integers(1, 7))
    images, texts = features(batch, seed=draw(st.integers(0, 10_000)))
    targets = torch.tensor(draw(st.lists(st.integers(0, 3), min_size=batch, max_size=batch)))
    options = {"margin": draw(st.floats(0, 1)), "label_smoothing": draw(st.floats(0, 0.9))}
    return images, texts, targets, draw(st.floats(0.5, 50)), options


@given(batches(), st.integers(1, 9))
def test_tiled_is_the_papers_equation(case, tile):
    images, texts, targets, scale, options = case
    ours = mpm_nce_tiled(images, texts, targets, scale, tile=tile, **options).item()
    theirs = reference.mpm_nce(
        images.tolist(), texts.tolist(), targets.tolist(), 1 / scale, *options.values()
    )
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("tile", [1, 4, 13, 64, None])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("targets", TARGETS)
def test_value_and_gradients_are_the_dense_ones(targets, options, tile, dtype):
    case = (*features(13, dtype=dtype), TARGETS[targets], 30.0)
    tiled = value_and_gradients(mpm_nce_tiled, *case, tile=tile, **options)
    assert_equal(tiled, value_and_gradients(mpm_nce, *case, **options), RELATIVE[dtype])


@pytest.mark.parametrize("dtype", RELATIVE)
def test_value_and_gradients_are_the_dense_ones_for_a_trained_model(dtype):
    # Pairs at a cosine near 1 have a loss near 0: softmax and target nearly cancel.
    images, _ = features(40, dim=64, dtype=dtype)
    case = (images, F.normalize(images + 0.02 * images.flip(0), dim=-1), torch.arange(40) // 2, 10.0)
    tiled = value_and_gradients(mpm_nce_tiled, *case, tile=16)
    assert_equal(tiled, value_and_gradients(mpm_nce, *case), RELATIVE[dtype])


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_each_gradient_is_right_where_it_alone_is_wanted(wanted):
    both = []
    for loss in (mpm_nce, mpm_nce_tiled):
        leaves = [*features(13), torch.tensor(9.0, dtype=torch.float64)]
        leaf = leaves[wanted.index(True)].requires_grad_()
        loss(leaves[0], leaves[1], TARGETS["repeated"], leaves[2], label_smoothing=0.1).backward()
        both.append(leaf.grad)
    assert_equal(both[1:], both[:1], 1e-12)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("options", [{"margin": 0.0}, {"margin": 0.3, "label_smoothing": 0.1}])
def test_gradients_are_right(targets, options):
    images, texts = (t.requires_grad_() for t in features(5, dim=3))
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y, s: mpm_nce_tiled(x, y, TARGETS[targets][:5], s, tile=2, **options),
        (images, texts, scale),
    )


def test_a_number_serves_as_logit_scale():
    case = (*features(13), TARGETS["repeated"])
    assert_equal([mpm_nce_tiled(*case, 7.0)], [mpm_nce(*case, 7.0)], 1e-12)


def test_options_of_the_dense_loss_are_options_here_with_the_same_defaults():
    dense, tiled = (inspect.signature(f).parameters for f in (mpm_nce, mpm_nce_tiled))
    assert {name: tiled[name] for name in dense} == dict(dense)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("targets", [[0], [3, 3, 3], [0, 1, 2], [0, 0, 1]])
def test_value_and_gradient_are_finite_at_cosines_of_minus_one(dtype, targets):
    images = F.normalize(torch.ones(len(targets), 8), dim=-1).to(dtype).requires_grad_()
    texts = (-images.detach()).requires_grad_()
    scale = torch.tensor(100.0, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = mpm_nce_tiled(images, texts, torch.tensor(targets), scale, label_smoothing=0.02, tile=2)
        loss.backward()
    assert loss.dtype == torch.float32
    assert images.grad.dtype == dtype
    assert all(t.isfinite().all() for t in (loss, images.grad, texts.grad, scale.grad))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_give_the_dense_loss_under_autocast(dtype):
    case = (*features(13, dtype=dtype), TARGETS["repeated"], 100.0)
    with torch.autocast("cpu", torch.bfloat16):
        tiled, dense = (loss(*case, label_smoothing=0.02) for loss in (mpm_nce_tiled, mpm_nce))
    assert_equal([tiled], [dense], 1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_opposite_pairs_at_scale_100_have_the_loss_worked_by_hand(dtype):
    sign = torch.tensor([[1.0], [-1.0]], dtype=dtype)
    images = sign.repeat(1, 4).div(2)
    loss = mpm_nce_tiled(images, -images, torch.tensor([0, 1]), 100.0, tile=1)
    assert loss.item() == pytest.approx(205.0)  # 100 * (1 + 0.05 - -1)


class LargestTensor(TorchDispatchMode):
    """The number of elements of the largest tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in torch.utils._pytree.tree_leaves(out) if isinstance(t, torch.Tensor)]
        self.elements = max([self.elements, *(t.numel() for t in tensors)])
        return out


@pytest.mark.parametrize(("loss", "elements"), [(mpm_nce_tiled, 64 * 4), (mpm_nce, 64 * 64)])
def test_the_matrix_is_never_made(loss, elements):
    case = (*features(64, dim=4), torch.arange(64), 10.0)
    with LargestTensor() as largest:
        value_and_gradients(loss, *case, **({"tile": 16} if loss is mpm_nce_tiled else {}))
    assert largest.elements == elements


class LivePeak(TorchDispatchMode):
    """The most bytes that what operations return holds at one time; fake tensors count as real ones would."""

    def __init__(self):
        super().__init__()
        self.live, self.bytes, self.peak = set(), 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.hold(tensor.untyped_storage())
        return out

    def hold(self, storage):
        if storage._cdata not in self.live:
            self.live.add(storage._cdata)
            self.bytes += storage.nbytes()
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self.release, storage._cdata, storage.nbytes())

    def release(self, key, size):
        self.live.discard(key)
        self.bytes -= size


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)])
def test_a_batch_of_32768_takes_less_than_a_gib(dtype):
    with FakeTensorMode(), LivePeak() as memory:
        images, texts = (torch.zeros(32768, 512, dtype=dtype, requires_grad=True) for _ in range(2))
        scale, targets = torch.ones((), requires_grad=True), torch.zeros(32768, dtype=torch.long)
        before = memory.bytes
        mpm_nce_tiled(images, texts, targets, scale, label_smoothing=0.02).backward()
    assert 2 * 32768 * 512 * 4 < memory.peak - before < 2**30  # at least the gradients


@pytest.mark.parametrize("targets", [torch.int64, torch.int32])
def test_nothing_waits_for_the_values_of_tensors(targets):
    # A fake tensor has a shape and no values: whatever would have to fetch one from a GPU raises.
    with FakeTensorMode():
        images, texts = (torch.randn(9, 5, requires_grad=True) for _ in range(2))
        scale = torch.ones((), requires_grad=True)
        loss = mpm_nce_tiled(images, texts, torch.zeros(9, dtype=targets), scale, label_smoothing=0.1, tile=4)
        loss.backward()
    assert images.grad.shape == texts.grad.shape == (9, 5)


@pytest.mark.parametrize("fetch", [torch.unique, torch.Tensor.item, bool])
def test_a_fake_tensor_tells_of_a_fetched_value(fetch):
    with FakeTensorMode(), pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        fetch(torch.zeros(1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_features": torch.ones(3, 5)}, "text_features must have the shape"),
        ({"targets": torch.zeros(4)}, "targets must be integers"),
        ({"margin": -0.1}, "margin must be a finite number >= 0. Got -0.1"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\). Got 1.0"),
        ({"tile": 0}, "tile must be None or an int >= 1, got 0"),
    ],
)
def test_wrong_input_is_named(change, words):
    images, texts = features(4)
    right = {"image_features": images, "text_features": texts, "targets": torch.arange(4), "logit_scale": 1.0}
    with pytest.raises(ValueError, match=words) as raised:
        mpm_nce_tiled(**(right | change))
    own = {"margin", "label_smoothing", "tile"}
    assert isinstance(raised.value, ConfigError) == bool(own & set(change))


@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((3,), r"4 at rank 0. Got \[3\]"), ((4, 4), "of each of 1 processes"), ((0,), "at least 1")],
)
def test_sizes_of_parts_that_do_not_fit_the_rows_are_refused(one_process, sizes, words):
    with pytest.raises(ValueError, match=f"sizes must hold the rows.*{words}"):
        mpm_nce_tiled(*features(4), torch.arange(4), 1.0, parts=Parts(one_process, sizes))


def test_an_unknown_reduction_of_gradients_is_refused():
    with pytest.raises(ConfigError, match="gradient_reduction must be 'mean' or 'sum', got 'none'"):
        Parts(None, (4,), gradient_reduction="none")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of four processes found, by rank."""
    folder = tmp_path_factory.mktemp("processes")
    assert start(tiled_loss.run, 4, str(folder)) == [0] * 4
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(4)]


@pytest.mark.parametrize("name", tiled_loss.CASES)
@pytest.mark.parametrize("world", tiled_loss.WORLDS)
def test_processes_together_give_value_and_gradients_of_one(found, world, name):
    targets, dtype, options, reduction = tiled_loss.CASES[name]
    numbers = torch.tensor(tiled_loss.TARGETS[targets])
    value, *gradients = tiled_loss.gradients(
        lambda x, y, scale: mpm_nce(x, y, numbers, scale, **options), slice(None), dtype
    )
    expected = [g * (world if reduction == "mean" else 1) for g in gradients]
    for first in range(0, 4, world):
        values, images, texts, scales = zip(
            *(found[r][world][name] for r in range(first, first + world)), strict=True
        )
        assert_equal(values, [value] * world, RELATIVE[dtype])
        assert_equal([torch.cat(images), torch.cat(texts), sum(scales)], expected, RELATIVE[dtype])


@pytest.mark.parametrize("world", tiled_loss.WORLDS)
def test_five_steps_under_ddp_are_those_of_one_process(found, world):
    start = {n: p.detach().clone() for n, p in tiled_loss.Pair().named_parameters() if p.requires_grad}
    expected = tiled_loss.trained(tiled_loss.Pair(), mpm_nce, tiled_loss.PARTS[1], 0)
    assert min((expected[n] - start[n]).abs().max() for n in start) > 1e-3  # every adapter moved
    for rank in range(4):
        ours = found[rank][world]["trained"]
        assert ours.keys() == expected.keys()
        assert max((ours[n] - expected[n]).abs().max() for n in expected) < 1e-6
