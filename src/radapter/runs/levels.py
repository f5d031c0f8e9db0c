"""What results.json says about OOD at fixed ID levels; `reading_levels` computes it."""

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(_Part):
    """95 % of the bootstrap's figures; an end is None where the level is not reached there."""

    low: float | None
    high: float | None


class Figure(_Part):
    """One figure over seeds.

    Attributes:
        each: of each seed; None where its curve does not reach the level.
        mean: over the seeds that have one; None where the mean curve does not reach the level.
        std: standard deviation over these seeds; None for one.
        interval: None where it was not computed.
    """

    each: list[float | None]
    mean: float | None
    std: float | None = None
    interval: Interval | None = None


class OfMethod(_Part):
    """One method.

    Attributes:
        ood: at each level.
        difference: from the method `Levels.against` at each level, by seed; None without such a method.
        hypervolume: the share of what a perfect model dominates beyond the reference point.
    """

    ood: list[Figure]
    difference: list[Figure] | None
    hypervolume: Figure


class Levels(_Part):
    """OOD at fixed ID levels of every trained method.

    Attributes:
        fractions: of the best ID gain.
        id: the levels, absolute; empty where no method gained any ID.
        zero_shot_id: mean over seeds.
        best: the method with the highest ID, among those that set the levels.
        best_id: its highest mean ID over alphas.
        reference: (ID, OOD) of the hypervolume, means over seeds; each seed has its own.
        resamples: of the bootstrap; None where no figures of single images were kept.
        against: the method that differences are from.
        methods: in the order of the rows.
    """

    fractions: list[float]
    id: list[float]
    zero_shot_id: float
    best: str
    best_id: float
    reference: tuple[float, float]
    resamples: int | None
    against: str | None
    methods: dict[str, OfMethod]
