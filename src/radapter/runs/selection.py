"""Alpha, chosen on ID validation, and the alphas at which the test sets are evaluated."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from radapter.errors import ConfigError
from radapter.evaluation import ALPHAS, HEADLINES, Headline, Measured, smallest_within_paired_error
from radapter.runs.results import Selection

_WITHIN = "smallest alpha within one paired standard error of the best {}"
TestedAlphas = Literal["all", "chosen"] | Sequence[float]
"""At which alphas the test sets are evaluated; see `alphas_of_tests`."""


def alphas_with(alpha: float | Literal["auto"]) -> tuple[float, ...]:
    """The sweep's alphas, and `alpha` where it is a number between them."""
    return ALPHAS if alpha == "auto" else tuple(sorted({*ALPHAS, alpha}))


def choose_alpha(
    validated: Mapping[float, Measured],
    alpha: float | Literal["auto"],
    *,
    headline: Headline = HEADLINES["classification"],
) -> tuple[float, Selection]:
    """The alpha a row stands at, and what chose it.

    Args:
        validated: alpha -> what ID validation gives; test sets are not even handed over.
        alpha: a number, or "auto" for the rule of one paired standard error on ID validation.
        headline: of the task.

    Raises:
        ConfigError: "auto" without ID validation.
    """
    if alpha != "auto":
        return alpha, Selection(split=None, rule=f"alpha given as {alpha:g}", n=0)
    if not validated:
        raise ConfigError("select.alpha auto needs data.id_val. Give it, or a number for select.alpha.")
    choice = smallest_within_paired_error(
        list(validated),
        [headline.score(found.metrics) for found in validated.values()],
        [found.pseudo_values for found in validated.values()],
    )
    return choice.value, Selection(
        split="id_val",
        rule=_WITHIN.format(headline.label),
        n=int(validated[choice.value].metrics["n"]),
        score=choice.score,
        best_alpha=choice.best,
        best_score=choice.best_score,
        paired_error=choice.error,
    )


def alphas_of_tests(
    alphas: TestedAlphas,
    *,
    alpha: float | Literal["auto"] = "auto",
    headline: Headline = HEADLINES["classification"],
) -> Callable[[Mapping[float, Measured]], Collection[float]] | None:
    """Which alphas the test sets are evaluated at, for `Bench.sweep`.

    Args:
        alphas: "all" for every alpha of the sweep; "chosen" for 0, the chosen alpha, the paper's and 1; or numbers,
            beside which 0, the chosen alpha and 1 are always evaluated, as tables show them.
        alpha: as for `choose_alpha`.
        headline: of the task.

    Returns:
        None for all.
    """
    if alphas == "all":
        return None
    listed = (headline.paper_alpha,) if alphas == "chosen" else tuple(float(each) for each in alphas)
    return lambda validated: {0.0, 1.0, *listed, choose_alpha(validated, alpha, headline=headline)[0]}
