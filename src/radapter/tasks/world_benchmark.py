"""The suite and recipe of `radapter demo` and `benchmarks/world`; recipes/world.yaml has the same rates."""

from collections.abc import Mapping

from radapter import world
from radapter.data import ClassificationSet, open_classification
from radapter.tasks.classification import ClassificationSuite, TransferSet
from radapter.tasks.recipe import Recipe
from radapter.zeroshot import templates

WORLD_RATES: Mapping[str, float] = {
    "linear-probe": 0.05,
    "full": 1e-4,
    "flyp": 1e-4,
    "lp-ft": 1e-4,
    "l2-sp": 1e-4,
    "mask-fill": 3e-4,
    "lora": 3e-3,
    "rslora": 1e-3,
    "r-adapter": 1e-2,
    "r-adapter+head": 1e-2,
}
"""Learning rates for 100 steps of a tiny tower, by method; the defaults of methods are for CLIP."""


def world_suite(
    seed: int, *, id_size: int | None = None, ood_size: int | None = None, kept_size: int | None = None
) -> ClassificationSuite:
    """Return 1,000 training photos with a spurious correlation, validation and ID test alike, and eight shifts.

    The two transfer sets name the colour of the object and the pattern of the background.

    Args:
        seed: of the scenes.
        id_size: images of the ID test; None for 800.
        ood_size: images of each shifted set; None for 1,000.
        kept_size: images of each transfer set; None for 800.
    """

    def split(name: str, size: int | None = None) -> ClassificationSet:
        return open_classification({"world": name, "seed": seed, **({} if size is None else {"size": size})})

    train = split("train")
    return ClassificationSuite(
        train=train,
        id_val=split("id_val"),
        id_test={"id_test": split("id_test", id_size)},
        ood={name: split(name, ood_size) for name in world.OOD},
        classnames=train.classnames,
        templates=templates("short"),
        transfer={
            name: TransferSet(split(name, kept_size), world.KEPT_TEMPLATES[name]) for name in world.KEPT
        },
    )


def world_recipe() -> Recipe:
    """Return a recipe of four epochs with 25 steps each."""
    return Recipe(epochs=4, batch_size=40)
