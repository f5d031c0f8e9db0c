"""`radapter push`: lists what is uploaded, and uploads it."""

from pathlib import Path

from rich.console import Console

from radapter.commands.terminal import next_steps, plain_table, say
from radapter.hub import Pushed, check_repository, files_to_push
from radapter.hub import push as upload
from radapter.report.table import framed


def push(folder: Path, repo_id: str, *, private: bool, dry_run: bool) -> Pushed:
    """Prints the files with their sizes, and uploads them unless it is a dry run.

    Raises:
        InputError: the name or the folder does not fit, a file is damaged, or the Hub refuses.
    """
    check_repository(repo_id)
    sizes = {name: file.stat().st_size for name, file in files_to_push(folder).items()}
    table = plain_table("File", "Bytes", left=("File",))
    for name, size in sizes.items():
        table.add_row(name, f"{size:,}")
    Console().print(framed(table, title=f"{folder} to {repo_id}"))
    if dry_run:
        say(f"Nothing was uploaded: {len(sizes)} files, {sum(sizes.values()):,} bytes.")
        return Pushed("", "", sizes)
    pushed = upload(folder, repo_id, private=private)
    say(f"Uploaded {len(sizes)} files, {sum(sizes.values()):,} bytes: {pushed.repository}")
    next_steps(("choose a licence", f"edit the README.md of {pushed.repository}"))
    return pushed
