"""The figures of results, for comparing two runs."""

from radapter.runs.results import Results

TIMES = {"seconds", "seconds_per_epoch", "evaluation_seconds"}


def figures(results: Results) -> dict:
    """Everything but times, which differ between runs."""

    def timeless(value):
        if isinstance(value, dict):
            return {key: timeless(item) for key, item in value.items() if key not in TIMES}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    return timeless(results.model_dump(mode="json", by_alias=True))
