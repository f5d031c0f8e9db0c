"""The entry of retrieval in the list of tasks."""

from pathlib import Path

from radapter.commands.pair_check import is_captioned_table, pair_check
from radapter.config.retrieval import (
    RetrievalRunConfig,
    reopened_pairs,
    report_long_captions,
    retrieval_suite,
)
from radapter.data import open_pairs
from radapter.data.pairs.kinds import PAIRS, pair_source
from radapter.evaluation import Headline
from radapter.operations.checks import check_text_tower
from radapter.operations.task import Asked, Opened, Task
from radapter.report.metrics import Shown
from radapter.report.page.details import retrieved
from radapter.report.recalls import recalls_markdown
from radapter.tasks.retrieval import RetrievalSuite


def _tested(asked: Asked) -> Opened:
    check_text_tower(asked.encoder)
    join = asked.config.data.join_captions if isinstance(asked.config, RetrievalRunConfig) else True
    pairs = {
        name: open_pairs(spec, name=name, reading=asked.reading, join=join)
        for name, spec in asked.sources.items()
    }
    suite = RetrievalSuite(train=None, id_val=None, id_test=pairs, ood={})
    report_long_captions(suite, asked.encoder)
    return Opened(suite)


_RECALLS = ("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10")
TASK = Task(
    config=RetrievalRunConfig,
    suite=retrieval_suite,
    headline=Headline("rsum", "rsum / 6", 6.0, "t2i_mean_rank", 0.8, _RECALLS),
    renamed_methods={"full": "full-both-towers"},
    sources=PAIRS,
    path_source=pair_source,
    recognises=is_captioned_table,
    example="path/to/pairs.csv",
    run_yaml=Path(__file__).with_suffix(".yaml"),
    tested=_tested,
    check_data=pair_check,
    metrics={
        "rsum": Shown("rsum / 6, the mean of six recalls, in %"),
        "i2t_r1": Shown("Image-to-text recall at 1 in %"),
        "i2t_r5": Shown("Image-to-text recall at 5 in %"),
        "i2t_r10": Shown("Image-to-text recall at 10 in %"),
        "t2i_r1": Shown("Text-to-image recall at 1 in %"),
        "t2i_r5": Shown("Text-to-image recall at 5 in %"),
        "t2i_r10": Shown("Text-to-image recall at 10 in %"),
        "i2t_map_at_r": Shown("Image-to-text mAP@R in %"),
        "t2i_map_at_r": Shown("Text-to-image mAP@R in %"),
        "i2t_median_rank": Shown("Image-to-text median rank", 1.0, lower_is_better=True),
        "i2t_mean_rank": Shown("Image-to-text mean rank", 1.0, lower_is_better=True),
        "t2i_median_rank": Shown("Text-to-image median rank", 1.0, lower_is_better=True),
        "t2i_mean_rank": Shown("Text-to-image mean rank", 1.0, lower_is_better=True),
    },
    metrics_beside={"i2t_r1": "I2T R@1", "t2i_r1": "T2I R@1"},
    hub_task="image-text-retrieval",
    page=recalls_markdown,
    describe=retrieved,
    reopened=reopened_pairs,
)
