"""The entry of segmentation in the list of tasks."""

from collections.abc import Sequence
from pathlib import Path

import torch

from radapter.commands.mask_check import mask_check
from radapter.config.segmentation import (
    RegionsConfig,
    SegmentationRunConfig,
    region_settings,
    reopened_masks,
    segmentation_suite,
)
from radapter.data import open_masks
from radapter.data.masks.kinds import MASKS
from radapter.data.masks.layouts import LAYOUTS
from radapter.evaluation import Headline
from radapter.methods import Method
from radapter.models import DualEncoder
from radapter.operations.checks import check_text_tower
from radapter.operations.class_texts import check_texts
from radapter.operations.task import Asked, Opened, Task
from radapter.report.metrics import Shown
from radapter.report.page.details import segmented
from radapter.report.regions import oracles_table, regions_markdown
from radapter.segmentation import names_of
from radapter.tasks.segmentation import SegmentationSuite
from radapter.tasks.suite import ROLES

_OTHER_CLASSES = "Give the source names that the model tells apart: classes: [...]."
_OTHER_NOUNS = "Mine the regions with this model, which leaves such nouns out, or use another model."


def _check_texts(suite: SegmentationSuite, encoder: DualEncoder, methods: Sequence[Method]) -> None:
    """Checks the nouns that are trained on, and the class names of every tested set."""
    if suite.train is not None:
        nouns = suite.train.nouns
        trained = [names_of(nouns[place])[0] for place in torch.unique(suite.train.labels).tolist()]
        check_texts(encoder, trained, suite.templates, origin="data.train", remedy=_OTHER_NOUNS)
    for names, origin in {data.classnames: data.name for data in suite.sets(*ROLES).values()}.items():
        check_texts(encoder, names, suite.templates, origin=origin, remedy=_OTHER_CLASSES, synonyms=names_of)


def _tested(asked: Asked) -> Opened:
    check_text_tower(asked.encoder)
    regions = asked.config.regions if isinstance(asked.config, SegmentationRunConfig) else RegionsConfig()
    masks = {name: open_masks(spec, name=name, reading=asked.reading) for name, spec in asked.sources.items()}
    suite = SegmentationSuite(
        train=None,
        id_val=None,
        id_test=masks,
        ood={},
        templates=asked.prompts,
        **region_settings(regions, asked.encoder),
        unseen=tuple(asked.about.get("unseen", ())),
    )
    _check_texts(suite, asked.encoder, ())
    return Opened(suite)


_CONVENTION = "detectron2's convention"
TASK = Task(
    config=SegmentationRunConfig,
    suite=segmentation_suite,
    headline=Headline(
        "miou",
        "mIoU",
        1.0,
        "pixel_error",
        0.4,
        ("true_masks_miou", "true_classes_miou", "miou_seen", "miou_unseen", "miou_harmonic", "miou_ovseg"),
    ),
    renamed_methods={"full": "full-image-tower"},
    sources=MASKS,
    path_source=None,
    recognises=lambda spec: spec.get("layout") in LAYOUTS,
    example="{masks: path/to/masks, images: path/to/images, classes: names.txt}",
    run_yaml=Path(__file__).with_suffix(".yaml"),
    tested=_tested,
    options=("--templates",),
    check_texts=_check_texts,
    check_data=mask_check,
    metrics={
        "miou": Shown(f"mIoU in %, {_CONVENTION}: the mean over classes present in the truth"),
        "miou_ovseg": Shown("mIoU in %, OVSeg's convention: absent but predicted classes count as 0"),
        "miou_seen": Shown(f"mIoU of trained classes in %, {_CONVENTION}"),
        "miou_unseen": Shown(f"mIoU of classes left out of training in %, {_CONVENTION}"),
        "miou_harmonic": Shown(f"Harmonic mean of both classes' mIoU in %, {_CONVENTION}"),
        "true_masks_miou": Shown(f"mIoU in % of the true masks under CLIP, {_CONVENTION}"),
        "true_classes_miou": Shown(f"mIoU in % of the proposals under their true classes, {_CONVENTION}"),
        "fwiou": Shown("Frequency-weighted IoU in %"),
        "mean_accuracy": Shown("Mean class accuracy in %"),
        "pixel_accuracy": Shown("Pixel accuracy in %"),
        "region_top1": Shown("Share of true regions that are named rightly in %"),
    },
    metrics_beside={"true_masks_miou": "true masks"},
    shared_metrics={"true_classes_miou": "proposals, true classes"},
    hub_task="image-segmentation",
    page=regions_markdown,
    table_below=oracles_table,
    describe=segmented,
    reopened=reopened_masks,
)
