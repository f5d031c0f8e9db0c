"""What everything but alpha is chosen by: ID validation, at the weights that a classifier has.

It holds no test set, so that a choice made with it cannot have read one.
"""

from collections.abc import Callable

from radapter.data import Memory
from radapter.errors import ConfigError
from radapter.evaluation import HEADLINES, Measured, Metrics, measured
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite, eval_loaders
from radapter.zeroshot import Classifier
from radapter.training import Interrupted, StopSignal


class Validation:
    """The ID validation set, decoded once.

    Args:
        suite: its ID validation set is read, nothing else.
        encoder: prepares the images.
        recipe: how they are loaded.
        memory: for preprocessed images.
        processes: share the set.

    Attributes:
        headline: the figure that chooses.

    Raises:
        ConfigError: the suite has none.
    """

    def __init__(
        self,
        suite: Suite,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        memory: Memory | None = None,
        processes: Processes = ALONE,
    ) -> None:
        if suite.id_val is None:
            raise ConfigError(
                "data.id_val is required where something is chosen: nothing else may choose. Give it, such as "
                "data.train with 'part: [0.8, 1.0]'."
            )
        self._suite, self._processes = suite, processes
        self._loaders = eval_loaders(
            suite,
            encoder.preprocess,
            roles=("id_val",),
            batch_size=recipe.eval_batch_size,
            max_bad=recipe.max_bad,
            workers=recipe.workers,
            memory=memory,
            processes=processes,
        )
        self.headline = HEADLINES[suite.task]

    def metrics(self, classifier: Classifier, *, stop: StopSignal | None = None) -> Metrics:
        """The task's figures, in evaluation mode; adapters at the alpha they have.

        Raises:
            Interrupted: `stop` asked, between two batches. Several processes, which would have to agree, end first.
        """

        def heard(name: str, images: int) -> None:
            if stop is not None and stop.asked and self._processes.size == 1:
                raise Interrupted("stopped while validating")

        return self.measured(classifier, progress=heard).metrics

    def measured(
        self, classifier: Classifier, *, progress: Callable[[str, int], None] | None = None
    ) -> Measured:
        """The task's figures and each image's pseudo-value; `progress` is told of each batch."""
        measures = self._suite.measures(classifier, self._loaders, processes=self._processes)
        ((name, measure),) = measures.items()
        return measured(classifier.encoder, measure, name=name, progress=progress, processes=self._processes)
