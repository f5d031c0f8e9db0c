"""The alpha of `alpha: auto`, literally."""


def smallest_within(sweep, method: str, figure: str, error: str) -> float:
    """The smallest alpha of a method whose figure on ID validation is within the best one's error of the best."""
    validated = {row.alpha: row.id_val for row in sweep if row.method == method}
    best = max(validated.values(), key=lambda metrics: metrics[figure])
    return min(a for a, metrics in validated.items() if metrics[figure] >= best[figure] - best[error])
