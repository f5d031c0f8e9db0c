"""`radapter data check` of masked images: pixels per class, sizes, masks that do not fit."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.commands import facts
from radapter.commands.facts import report_spelling
from radapter.commands.terminal import say
from radapter.data import PairedMaskDataset, open_masks
from radapter.data.masks.checking import SAMPLE, MaskFindings, look_at_masks
from radapter.data.source import Reading
from radapter.errors import DataError, listed
from radapter.operations.task import Spec
from radapter.progress import counting

_SHOWN, _ROWS = 3, 25


def mask_check(
    spec: Spec, *, stream: Spec | None = None, whole: bool = False, allow_download: bool = False
) -> MaskFindings:
    """Open masked images as a run would, print what they hold, and propose the lines of run.yaml."""
    with counting() as bar:
        dataset = open_masks(spec, reading=Reading(max_bad=1.0, progress=bar("hashing")))
        found = look_at_masks(dataset, sample=None if whole else SAMPLE, progress=bar("decoding"))
    facts.print_facts(dataset.name, _facts(dataset, found))
    if found.total:
        Console().print(_class_table(found))
    report_spelling(dataset.given_names)
    for message in (*found.strange[:_SHOWN], *found.unusable[:_SHOWN]):
        say(message, "yellow")
    if found.strange:
        raise DataError(
            f"label values must be classes or ignored. Of the {found.decoded:,} masks decoded in '{dataset.name}' "
            f"{len(found.strange):,} hold others. Complete the class list, or give ignore or reduce_zero_label."
        )
    facts.check_damage(dataset.name, len(found.unusable), found.decoded, word="unusable")
    is_train = "train" in (spec.get("split"), spec.get("world"))
    facts.propose({"train": {"from_masks": spec}} if is_train else {"id_test": spec}, "segmentation")
    return found


def _facts(dataset: PairedMaskDataset, found: MaskFindings) -> list[tuple[str, str]]:
    names = dataset.classnames
    unseen = [name for name, pixels in found.pixels.items() if pixels == 0]
    rows = [
        ("Classes", f"{len(names):,}: {listed(names)}"),
        ("Images", f"{found.images:,}"),
        ("Decoded with masks", facts.decoded_in_words(found.decoded, found.images)),
    ]
    if found.widths is not None and found.heights is not None:
        rows += [
            ("Size in pixels", facts.sizes_in_words(found.widths, found.heights)),
            ("Pixels of no class", f"{found.ignored / found.total:.1%}"),
            ("Classes not seen", f"{len(unseen):,}" + (f": {', '.join(unseen[:_SHOWN])}" if unseen else "")),
        ]
    return [
        *rows,
        ("Duplicates", f"{found.copies:,} of {found.images:,}, by content"),
        ("Unusable", f"{len(found.unusable):,}"),
        ("Masks with other values", f"{len(found.strange):,}"),
    ]


def _class_table(found: MaskFindings) -> Table:
    """The classes with the most pixels, and the rest in one row."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Class", overflow="fold")
    for column in ("Pixels", "Images"):
        table.add_column(column, justify="right", no_wrap=True)
    seen = sorted((name for name in found.pixels if found.pixels[name]), key=lambda name: -found.pixels[name])
    counted = found.total - found.ignored
    for name in seen[:_ROWS]:
        table.add_row(Text(name), f"{found.pixels[name] / counted:.2%}", f"{found.showing[name]:,}")
    rest = seen[_ROWS:]
    if rest:
        share = sum(found.pixels[name] for name in rest) / counted
        table.add_row(f"{len(rest):,} others", f"{share:.2%}", "")
    return table
