"""Terminal screens of 80 columns for the documentation, as SVG: `python benchmarks/screens.py`.

Each command runs in a temporary folder, offline, on the synthetic benchmark.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

SCREENS = Path(__file__).parents[1] / "docs" / "screens"
COLUMNS = 80
SMALL = (
    "data.ood='{sketch: {world: sketch, size: 150}, neon: {world: neon, size: 150}}' "
    "data.id_test='{world: id_test, size: 300}'"
)
COMMANDS = {  # screen -> the commands before it, and the command that it shows
    "data-check": ([], "radapter data check '{world: train, size: 400}'"),
    "train": (
        ["radapter init classification --out run.yaml"],
        f"radapter train run.yaml {SMALL}",
    ),
    "compare": (
        ["radapter init classification --out run.yaml"],
        "radapter compare run.yaml --methods full,wise-ft,r-adapter --seeds 2 --out compared compare.points=1 "
        f"train.epochs=2 {SMALL}",
    ),
    "error": (
        ["radapter init classification --out run.yaml"],
        "radapter train run.yaml train.learning_rate=1e-3 method.rank=4 data.ood.sketch.wrld=1",
    ),
}


def run(command: str, folder: str) -> str:
    """Returns what a command prints in a terminal of 80 columns."""
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    environment |= {"TTY_INTERACTIVE": "0", "PYTHONUNBUFFERED": "1"}  # no progress bars; lines in their order
    words = [sys.executable, "-m", "radapter_cli", *shlex.split(command)[1:]]
    done = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


def main() -> None:
    """Writes one SVG per screen; names on the command line select some."""
    SCREENS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or COMMANDS:
        before, command = COMMANDS[name]
        with tempfile.TemporaryDirectory() as folder:
            for each in before:
                run(each, folder)
            output = run(command, folder)
        console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
        shown = command if len(command) < COLUMNS - 2 else command.replace(f" {SMALL}", "")
        console.print(Text(f"$ {shown}\n", style="bold"))
        console.print(Text.from_ansi(output))
        console.save_svg(str(SCREENS / f"{name}.svg"), title=shlex.split(command)[1])
        print(SCREENS / f"{name}.svg")


if __name__ == "__main__":
    main()
