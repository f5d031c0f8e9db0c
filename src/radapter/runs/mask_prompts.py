"""The second stage of segmentation: trains mask prompts; both towers keep the weights of the first stage.

Source: mask prompt tuning, Liang et al., CVPR 2023, section 3.3. The regions and the loop are those of the
first stage; the loss is MPM-NCE.
"""

from dataclasses import replace

from radapter.losses import FeatureLoss
from radapter.methods import Method
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.method import Built, MethodSettings
from radapter.models import DualEncoder
from radapter.runs.fine_tuning import train_method
from radapter.segmentation import MaskPrompts, PromptedEncoder
from radapter.tasks.recipe import Recipe
from radapter.tasks.segmentation import SegmentationSuite
from radapter.training import Environment
from radapter.zeroshot import LinearHead


def tune_prompts(
    encoder: DualEncoder,
    suite: SegmentationSuite,
    recipe: Recipe,
    *,
    depth: int,
    seed: int,
    environment: Environment | None = None,
) -> PromptedEncoder:
    """Trains mask prompts for an encoder and keeps those of the best epoch on ID validation.

    The encoder is at its alpha, or merged; its weights stay, and its parameters are frozen. The suite is that of
    plain encoders. The first `depth` blocks have tokens of their own. Margin and label smoothing of the recipe are
    those of MPM-NCE; `gradient_checkpointing` and `fsdp` are ignored, because the towers are frozen.

    Raises ModelError if the image tower takes no mask prompts, and ConfigError if depth is out of range or there
    is no ID validation.
    """
    prompted = PromptedEncoder(encoder, MaskPrompts(encoder, depth=depth, seed=seed))
    recipe = replace(recipe.with_own_loss(_METHOD), keep="best", gradient_checkpointing=False, fsdp=False)
    train_method(_METHOD, prompted, suite.prompted(), recipe, seed=seed, environment=environment)
    return prompted


def _build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains only the prompts; `head` and `settings` are not used."""
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
