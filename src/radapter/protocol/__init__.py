"""How methods are compared honestly: one suite, one loop, selection on ID validation, one results file.

Reading order: suite, leaks, recipe, experiment (one method), trained (its outcome), results, run (in a folder),
comparison (several methods), search (learning rates), seeds and study (several seeds),
generalisation (base to novel), world_task (the default).
"""

from radapter.protocol.comparison import compare
from radapter.protocol.experiment import Bench, check_loss, choose_alpha, train_method
from radapter.protocol.generalisation import BaseToNovel, base_to_novel
from radapter.protocol.leaks import check_disjoint
from radapter.protocol.recipe import Recipe
from radapter.protocol.results import RESULTS, Results, Row, Selection, SweepRow
from radapter.protocol.run import CHECKPOINTS, CONFIG, evaluate_run, merge_run, run_method
from radapter.protocol.suite import Suite, TransferSet
from radapter.protocol.tracking import check_tracking
from radapter.protocol.trained import Trained, load_trained, read_about, save_trained

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "RESULTS",
    "BaseToNovel",
    "Bench",
    "Recipe",
    "Results",
    "Row",
    "Selection",
    "Suite",
    "SweepRow",
    "Trained",
    "TransferSet",
    "base_to_novel",
    "check_disjoint",
    "check_loss",
    "check_tracking",
    "choose_alpha",
    "compare",
    "evaluate_run",
    "load_trained",
    "merge_run",
    "read_about",
    "run_method",
    "save_trained",
    "train_method",
]
