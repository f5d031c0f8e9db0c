"""What everything but alpha is chosen by: ID validation, at the weights that a classifier has.

It holds no test set, so that a choice made with it cannot have read one.
"""

from radapter.data import EvalLoader, Memory
from radapter.errors import ConfigError
from radapter.evaluation import Metrics, evaluate_classification
from radapter.models import DualEncoder
from radapter.protocol.recipe import Recipe
from radapter.protocol.suite import Suite
from radapter.protocol.trained import Classifier
from radapter.zeroshot import evaluating


class Validation:
    """The ID validation set, decoded once.

    Args:
        suite: its ID validation set is read, nothing else.
        encoder: prepares the images.
        recipe: how they are loaded.
        memory: for preprocessed images.

    Raises:
        ConfigError: the suite has none.
    """

    def __init__(
        self, suite: Suite, encoder: DualEncoder, recipe: Recipe, *, memory: Memory | None = None
    ) -> None:
        if suite.id_val is None:
            raise ConfigError(
                "data.id_val is required where something is chosen: nothing else may choose. Give it, such as "
                "data.train with 'part: [0.8, 1.0]'."
            )
        self._suite = suite
        self._loader = EvalLoader(
            suite.id_val,
            encoder.preprocess,
            batch_size=recipe.eval_batch_size,
            max_bad=recipe.max_bad,
            workers=recipe.workers,
            memory=memory,
        )

    def metrics(self, classifier: Classifier) -> Metrics:
        """Top-1 and the rest, in evaluation mode; adapters at the alpha they have."""
        with evaluating(classifier):
            head = classifier.class_head(self._suite.classnames, self._suite.templates)
            return evaluate_classification(classifier.encoder, head, self._loader, name="id_val")


def better(found: Metrics, than: Metrics | None) -> bool:
    """Whether one choice beats another: by top-1, then by the lower NLL; equals do not."""
    return than is None or (found["top1"], -found["nll"]) > (than["top1"], -than["nll"])
