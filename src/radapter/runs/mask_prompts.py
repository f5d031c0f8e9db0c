"""The second stage of segmentation: mask prompts are trained, both towers stay as the first stage left them.

Source: mask prompt tuning, Liang et al., CVPR 2023, section 3.3. The regions and the loop are those of the
first stage; the loss is MPM-NCE.
"""

from collections.abc import Callable
from dataclasses import replace

from radapter.data import Memory
from radapter.losses import FeatureLoss
from radapter.methods import Method
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.method import Built, MethodSettings
from radapter.models import DualEncoder
from radapter.runs.fine_tuning import train_method
from radapter.tasks.recipe import Recipe
from radapter.tasks.segmentation import SegmentationSuite
from radapter.segmentation import MaskPrompts, PromptedEncoder
from radapter.training import Progress
from radapter.zeroshot import LinearHead


def tune_prompts(
    encoder: DualEncoder,
    suite: SegmentationSuite,
    recipe: Recipe,
    *,
    depth: int,
    seed: int,
    memory: Memory | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> PromptedEncoder:
    """Trains mask prompts for an encoder as it is, and keeps those of the epoch that ID validation likes best.

    Args:
        encoder: at its alpha, or merged; it stays as it is, but that none of it asks for a gradient afterwards.
        suite: of plain encoders; its training set and ID validation are read.
        recipe: every number of the training; MPM-NCE has its margin and label smoothing. Towers are frozen and
            whole: `gradient_checkpointing` and `fsdp` have no say, `chunk_size` saves memory.
        depth: the first so many blocks have tokens of their own.
        seed: fixes the tokens' start, order and augmentation.
        memory: for decoded images.
        report: told of each training step.

    Raises:
        ModelError: the image tower takes no mask prompts.
        ConfigError: depth is out of range, or there is no ID validation.
    """
    prompted = PromptedEncoder(encoder, MaskPrompts(encoder, depth=depth, seed=seed))
    train_method(
        _METHOD,
        prompted,
        suite.prompted(),
        replace(recipe.with_own_loss(_METHOD), keep="best", gradient_checkpointing=False, fsdp=False),
        seed=seed,
        memory=memory,
        report=report,
    )
    return prompted


def _build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """The prompts learn, nothing else. Neither `head` nor `settings` is used."""
    assert isinstance(encoder, PromptedEncoder)
    encoder.requires_grad_(False)
    encoder.prompts.requires_grad_(True)
    return Built(ContrastiveLearner(encoder, loss), adapters=None)


_METHOD = Method(
    name="mask-prompts",
    summary="tokens in place of the background, both towers frozen",
    source="Liang et al. 2023",
    losses=("mpm-nce",),
    learning_rate=5e-2,
    rate_source="of 1e-3, 1e-2 and 5e-2 the best on the ID validation of recipes/segmentation-world.yaml",
    alpha=1.0,
    build=_build,
    runs="mask-prompts",
    towers=(),
)
