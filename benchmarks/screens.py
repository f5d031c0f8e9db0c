"""Terminal screens of 80 columns for the documentation, as SVG: `make screens`.

Each command runs in a temporary folder, offline, on the synthetic benchmark.
"""

import os
import re
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
    "data.train='{world: train, size: 300}' data.id_val='{world: id_val, size: 200}' "
    "data.id_test='{world: id_test, size: 100}' "
    "data.ood='{sketch: {world: sketch, size: 60}, neon: {world: neon, size: 60}}' train.epochs=2"
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
        f"{SMALL}",
    ),
    "error": (
        ["radapter init classification --out run.yaml"],
        "radapter train run.yaml train.learning_rate=1e-3 method.rank=4 data.ood.sketch.wrld=1",
    ),
}


def run(command: str, folder: str) -> str:
    """Returns what a command prints in a terminal of 80 columns."""
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    # No progress bars, and lines in their order. One thread is the fastest for so small a model.
    environment |= {"TTY_INTERACTIVE": "0", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
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
        svg = console.export_svg(title=f"radapter {name.replace('-', ' ')}")
        svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # which a web site would supply
        (SCREENS / f"{name}.svg").write_text(
            svg.replace("Fira Code, monospace", "monospace"), encoding="utf-8"
        )
        print(SCREENS / f"{name}.svg")


if __name__ == "__main__":
    main()
