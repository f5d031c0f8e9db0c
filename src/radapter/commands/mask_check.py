"""`radapter data check` of masked pictures: pixels per class, sizes, what does not fit."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.commands.class_texts import report_spelling
from radapter.commands.facts import decoded_in_words, facts_table, sizes_in_words
from radapter.commands.terminal import say
from radapter.data import MAX_BAD, PairedMaskDataset, open_masks
from radapter.data.labelled.kinds import LABELLED
from radapter.data.masks.checking import SAMPLE, MaskFindings, look_at_masks
from radapter.data.masks.kinds import MASKS
from radapter.data.masks.layouts import LAYOUTS
from radapter.data.pairs.kinds import PAIRS
from radapter.data.source import Reading, keys_of
from radapter.errors import DataError
from radapter.progress import counting

_SHOWN, _ROWS = 3, 25
_TELLING = keys_of(MASKS) - keys_of(LABELLED) - keys_of(PAIRS)


def is_masked(spec: Mapping[str, Any]) -> bool:
    """Whether a specification of a source is one of masked pictures."""
    return bool(_TELLING & spec.keys()) or spec.get("layout") in LAYOUTS


def mask_check(spec: Mapping[str, Any], *, whole: bool = False) -> MaskFindings:
    """Opens a source of masked pictures as a run would and prints what it holds.

    Args:
        spec: as in run.yaml.
        whole: decode every picture with its mask, not a sample.

    Raises:
        InputError: the source cannot be opened, a mask holds a value of no class, or more pictures are unusable than
            a run accepts.
    """
    with counting() as bar:
        dataset = open_masks(spec, reading=Reading(max_bad=1.0, progress=bar("hashing")))
        found = look_at_masks(dataset, sample=None if whole else SAMPLE, progress=bar("decoding"))
    console = Console()
    console.print(facts_table(dataset.name, _facts(dataset, found)))
    if found.total:
        console.print(_class_table(found))
    report_spelling(dataset.given_names)
    for message in (*found.strange[:_SHOWN], *found.unusable[:_SHOWN]):
        say(message, "yellow")
    if found.strange:
        raise DataError(
            f"label values must be classes or ignored. Of the {found.decoded:,} masks decoded in '{dataset.name}' "
            f"{len(found.strange):,} hold others. Complete the class list, or give ignore or reduce_zero_label."
        )
    if len(found.unusable) > MAX_BAD * found.decoded:
        raise DataError(
            f"at most {MAX_BAD:.2%} of the pictures may be unusable (data.max_bad). Of the {found.decoded:,} "
            f"decoded in '{dataset.name}' {len(found.unusable):,} are. Repair them, or raise data.max_bad."
        )
    return found


def _facts(dataset: PairedMaskDataset, found: MaskFindings) -> list[tuple[str, str]]:
    names = dataset.classnames
    unseen = [name for name, pixels in found.pixels.items() if pixels == 0]
    rows = [
        ("Classes", f"{len(names):,}: {', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}"),
        ("Images", f"{found.images:,}"),
        ("Decoded with masks", decoded_in_words(found.decoded, found.images)),
    ]
    if found.widths is not None and found.heights is not None:
        rows += [
            ("Size in pixels", sizes_in_words(found.widths, found.heights)),
            ("Pixels of no class", f"{found.ignored / found.total:.1%}"),
            (
                "Classes not seen",
                f"{len(unseen):,}" + (f": {', '.join(unseen[:_SHOWN])}" if unseen else ""),
            ),
        ]
    return [
        *rows,
        ("Copies", f"{found.copies:,} of {found.images:,}, by content"),
        ("Unusable", f"{len(found.unusable):,}"),
        ("Masks with other values", f"{len(found.strange):,}"),
    ]


def _class_table(found: MaskFindings) -> Table:
    """The classes with the most pixels, and the rest in one row."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Class", overflow="fold")
    table.add_column("Pixels", justify="right", no_wrap=True)
    table.add_column("Images", justify="right", no_wrap=True)
    seen = sorted((name for name in found.pixels if found.pixels[name]), key=lambda name: -found.pixels[name])
    counted = found.total - found.ignored
    for name in seen[:_ROWS]:
        table.add_row(Text(name), f"{found.pixels[name] / counted:.2%}", f"{found.showing[name]:,}")
    rest = seen[_ROWS:]
    if rest:
        share = sum(found.pixels[name] for name in rest) / counted
        table.add_row(f"{len(rest):,} others", f"{share:.2%}", "")
    return table
