"""What a GPU alone can show; skipped without one. The other tests run on it too: commands take a GPU they find."""

from dataclasses import replace

import peft
import pytest
import torch
from accelerate import PartialState
from accelerate.utils import patch_environment
from adapter.families import FAMILIES, build, relative_difference
from torch.nn.functional import normalize

import radapter
from radapter.adapter import RAdapterConfig, set_alpha
from radapter.evaluation import retrieval_ranks
from radapter.losses import mpm_nce, mpm_nce_tiled
from radapter.methods import METHODS
from radapter.runs.fine_tuning import train_method

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture
def float32_products():
    """No TF32: products of float32 are float32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def features_of(batch: int, device: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Images, texts, both (B, 64), and targets of two pairs each."""
    generator = torch.Generator().manual_seed(0)
    images, texts = (normalize(torch.randn(batch, 64, generator=generator), dim=-1) for _ in range(2))
    leaves = tuple(leaf.to(device, dtype).requires_grad_() for leaf in (images, texts))
    return *leaves, torch.arange(batch, device=device) // 2


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature")
def test_the_tiled_loss_never_waits_for_the_gpu():
    images, texts, targets = features_of(700, "cuda", torch.float32)
    scale = torch.tensor(100.0, device="cuda", requires_grad=True)

    def step() -> None:
        mpm_nce_tiled(images, texts, targets, scale, label_smoothing=0.02, tile=256).backward()

    step()  # the first call loads libraries
    try:
        torch.cuda.set_sync_debug_mode("error")
        step()
        with pytest.raises(RuntimeError, match="synchronizing"):
            scale.item()  # the mode sees what waits
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (mpm_nce, {}),
        (mpm_nce_tiled, {"tile": 256}),
        (mpm_nce_tiled, {"tile": None}),
    ],
)
def test_a_loss_on_a_gpu_is_that_of_the_cpu_in_float64(float32_products, loss, options):
    found = []
    for device, dtype in (("cpu", torch.float64), ("cuda", torch.float32)):
        images, texts, targets = features_of(700, device, dtype)
        value = loss(images, texts, targets, 100.0, label_smoothing=0.02, **options)
        value.backward()
        found.append([tensor.detach().double().cpu() for tensor in (value, images.grad, texts.grad)])
    for exact, got in zip(*found, strict=True):
        # 1e-5: float32 rounding of sums of 700 terms at a scale of 100
        assert relative_difference(got, exact) < 1e-5


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    # rounding of products in float32; of bfloat16 four steps, since the merged weights are rounded to it too
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.bfloat16, 1.6e-2), (torch.float16, 1e-2)],
)
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_merged_equals_adapted_on_a_gpu(float32_products, name, dtype, tolerance, alpha):
    with torch.device("cuda"):
        module, features = build(name)
    module.to("cuda", dtype)
    model = peft.get_peft_model(module, RAdapterConfig(init_weights=False)).eval()
    with torch.no_grad(), set_alpha(model, alpha):
        expected = features()
        model.merge_adapter()
        got = features()
    for merged, adapted in zip(got, expected, strict=True):
        assert merged.dtype == dtype
        assert relative_difference(merged.float(), adapted.float()) < tolerance


def movement(suite, recipe, device: str, **options: object) -> torch.Tensor:
    """How far a short training of R-Adapter moves the features of 40 images, (40, E) in one row."""
    PartialState._reset_state()  # accelerate keeps the first device of a process
    encoder = radapter.load("world:tiny").to(device)
    pixels = torch.randn(40, 3, 48, 48, generator=torch.Generator().manual_seed(1)).to(device)
    with torch.no_grad():
        before = encoder.encode_image(pixels)
    with patch_environment(ACCELERATE_USE_CPU=str(device == "cpu")):
        trained = train_method(METHODS["r-adapter"], encoder, suite, replace(recipe, **options), seed=0)
    with torch.no_grad():
        after = trained.classifier.encoder.eval().encode_image(pixels)
    return (after - before).flatten().double().cpu()


@pytest.mark.parametrize(
    ("options", "cosine"),
    [
        # sums in another order, and AdamW makes as much of a tiny gradient as of a large one
        ({}, 0.99),
        ({"chunk_size": 4}, 0.99),
        ({"gradient_checkpointing": True}, 0.99),
        # eight bits of a number
        ({"precision": "bf16"}, 0.9),
        ({"precision": "fp16"}, 0.9),
        ({"precision": "bf16", "chunk_size": 4, "gradient_checkpointing": True}, 0.9),
    ],
    ids=str,
)
def test_a_training_on_a_gpu_goes_where_that_on_the_cpu_goes(
    float32_products, suite, recipe, options, cosine
):
    """The same order and the same coins: features move in the same direction, and as far."""
    expected, got = movement(suite, recipe, "cpu"), movement(suite, recipe, "cuda", **options)
    assert got.isfinite().all()
    assert torch.nn.functional.cosine_similarity(got, expected, dim=0) > cosine
    assert got.norm().item() == pytest.approx(expected.norm().item(), rel=0.1)


def test_ranks_on_a_gpu_are_those_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    images, texts = (normalize(torch.randn(n, 64, generator=generator)) for n in (300, 900))
    of_image = torch.arange(900) % 300
    here, there = (
        retrieval_ranks(images.to(d), texts.to(d), of_image.to(d), tile=128) for d in ("cpu", "cuda")
    )
    assert here.text_to_image.equal(there.text_to_image.cpu())
    assert here.image_to_text.equal(there.image_to_text.cpu())
