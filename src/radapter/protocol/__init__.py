"""How methods are compared honestly: one suite, one loop, selection on ID validation, one results file.

Reading order: suite (what a task is), classification, retrieval, segmentation, leaks, inputs, recipe, trained (an
outcome), validation, fine_tuning (one method), experiment (what it is worth), swept (its sweep), results, run (in a
folder), merged (what a merged folder records), trainings (many, each once), comparison (several methods), search
(learning rates), seeds and study (several seeds), levels and reading_levels (OOD at fixed ID levels),
generalisation (base to novel), robustness (standard models), world_task (the default).
"""

from radapter.protocol.classification import ClassificationSuite, TransferSet
from radapter.protocol.comparison import compare
from radapter.protocol.experiment import Bench, Evaluated, TestedAlphas, choose_alpha
from radapter.protocol.fine_tuning import check_epochs, check_loss, train_method
from radapter.protocol.generalisation import BaseToNovel, base_to_novel
from radapter.protocol.leaks import check_disjoint
from radapter.protocol.merged import FolderClassifier, folder_classifier, merged_facts
from radapter.protocol.recipe import Recipe
from radapter.protocol.results import RESULTS, RateSearch, Results, Row, Selection, SweepRow
from radapter.protocol.retrieval import RetrievalSuite
from radapter.protocol.robustness import robustness
from radapter.protocol.run import (
    CHECKPOINTS,
    CONFIG,
    alpha_to_merge,
    evaluate_model,
    evaluate_run,
    merge_run,
    run_method,
)
from radapter.protocol.search import rate_grids
from radapter.protocol.segmentation import SegmentationSuite
from radapter.protocol.study import Study, study
from radapter.protocol.suite import Suite
from radapter.protocol.tracking import check_tracking
from radapter.protocol.trained import Trained, load_trained, read_about, save_trained
from radapter.protocol.trainings import Trainings

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "RESULTS",
    "BaseToNovel",
    "Bench",
    "ClassificationSuite",
    "Evaluated",
    "FolderClassifier",
    "RateSearch",
    "Recipe",
    "Results",
    "RetrievalSuite",
    "Row",
    "SegmentationSuite",
    "Selection",
    "Study",
    "Suite",
    "SweepRow",
    "TestedAlphas",
    "Trained",
    "Trainings",
    "TransferSet",
    "alpha_to_merge",
    "base_to_novel",
    "check_disjoint",
    "check_epochs",
    "check_loss",
    "check_tracking",
    "choose_alpha",
    "compare",
    "evaluate_model",
    "evaluate_run",
    "folder_classifier",
    "load_trained",
    "merge_run",
    "merged_facts",
    "rate_grids",
    "read_about",
    "robustness",
    "run_method",
    "save_trained",
    "study",
    "train_method",
]
