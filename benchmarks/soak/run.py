"""What a long run survives: kills, damage, full disks, dead readers, a clock that is set back.

    make soak        (python benchmarks/soak/run.py [--rows killed_reader ...] [--share 1.0] [--to benchmarks/soak])

Each row does its harm many times and counts what was lost, changed or answered with a traceback; the target is 0.
Rows that mount a small tmpfs are skipped where mounting is refused. A network file system and Windows are imitated
in the child process. It takes about an hour on two cores.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import rows
import training
from rich.console import Console
from rich.table import Table

from radapter.storage import write_json

TRIALS = {
    rows.memory_of_a_long_run: 20_000,
    rows.kills_in_training: 100,
    rows.kills_in_saving: 100,
    rows.restarts_by_torchrun: 20,
    rows.corruptions: 1_000,
    rows.full_disk: 8,
    rows.no_inodes: 5,
    rows.read_only: 2,
    rows.killed_reader: 5,
    rows.clock_set_back: 3,
    rows.damaged_images: 3,
    rows.network_file_system: 3,
    rows.windows: 3,
}
"""Every row and how often it does its harm."""

ROWS = {row.__name__: row for row in TRIALS}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--share", type=float, default=1.0, help="of the trials of each row")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    console = Console()
    found = []
    for name in options.rows:
        trials = max(1, round(TRIALS[ROWS[name]] * options.share))
        started = time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix=f"soak-{name}-"))
        try:
            outcome = ROWS[name](folder, trials)
            row = {"trials": outcome.trials, "failed": outcome.failed, "note": outcome.note}
        except training.NotPossibleError as reason:
            row = {"trials": 0, "failed": None, "note": f"skipped: {reason}"}
        shutil.rmtree(folder)
        found.append({"row": name.replace("_", " "), **row, "seconds": round(time.monotonic() - started)})
        console.print(f"{found[-1]['row']}: {row['failed']} of {row['trials']} failed. {row['note']}")
    table = Table("Row", "Failed, target 0", "Trials", "Note", "s")
    for row in found:
        table.add_row(*(str(row[key]) for key in ("row", "failed", "trials", "note", "seconds")))
    console.print(table)
    options.to.mkdir(parents=True, exist_ok=True)
    write_json(options.to / "results.json", {"rows": found})
    if any(row["failed"] for row in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
