"""What mkdocs adds to the pages: notebooks, the command line's reference, JSON Schemas, links into the repository.

With RADAPTER_RUN_NOTEBOOKS=1, as `make docs` sets it, the pages of notebooks show their output.
"""

import json
import os
import posixpath
import re
import tempfile
import tomllib
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import typer
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from typer.cli import get_docs_for_click

import radapter_cli.application
from radapter.config import RetrievalRunConfig, RunConfig, SegmentationRunConfig
from radapter.runs.results import Results
from radapter.runs.weights import About

ROOT = Path(__file__).parents[1]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
SCHEMAS = {
    "results": Results,
    "trained": About,
    "run-classification": RunConfig,
    "run-retrieval": RetrievalRunConfig,
    "run-segmentation": SegmentationRunConfig,
}


def on_files(files: Files, config: Any) -> Files:
    """Adds schemas/NAME.json for each of `SCHEMAS`, and a page for each notebook."""
    for name, model in SCHEMAS.items():
        schema = json.dumps(model.model_json_schema(), indent=1)
        files.append(File.generated(config, f"schemas/{name}.json", content=schema))
    for notebook in sorted(ROOT.glob("docs/notebooks/*.ipynb")):
        for name, content in _page(notebook).items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fills in the reference of the command line, and leads links that leave docs/ to the repository.

    Raises:
        FileNotFoundError: a page links to a file that does not exist.
    """
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def linked(match: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(folder, match[1]))
        if place.startswith("docs/"):
            return match[0]
        if not (ROOT / place).exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to '{match[1]}', which does not exist.")
        return f"]({REPOSITORY}/blob/main/{place})"

    markdown = re.sub(r"(\]\([\w./-]*notebooks/[\w-]+)\.ipynb\)", r"\1.md)", markdown)
    markdown = re.sub(r"\]\((\.\./[\w./-]+)\)", linked, markdown)
    return markdown.replace("<!-- commands -->", _commands())


def _page(notebook: Path) -> dict[str, str | bytes]:
    """The Markdown of a notebook and the figures of its cells, by file name."""
    content = nbformat.read(notebook, as_version=4)
    if os.environ.get("RADAPTER_RUN_NOTEBOOKS") == "1":
        with tempfile.TemporaryDirectory(prefix="radapter-") as folder:
            NotebookClient(content, resources={"metadata": {"path": folder}}).execute()
        for cell in content.cells:
            if cell.cell_type == "code":
                cell.outputs = list(filter(_is_content, cell.outputs))
    names = {"unique_key": notebook.stem, "output_files_dir": "."}
    page, resources = MarkdownExporter().from_notebook_node(content, resources=names)
    download = f"[Download this notebook]({notebook.name})"
    title, newline, rest = page.partition("\n")
    figures = {posixpath.basename(name): figure for name, figure in (resources.get("outputs") or {}).items()}
    return {f"{notebook.stem}.md": f"{title}{newline}\n{download}\n{rest}", **figures}


def _is_content(output: Any) -> bool:
    """Whether an output is neither a warning nor what a progress bar left."""
    return output.get("name") != "stderr" and output.get("data", {}).get("text/html") != ""


def _commands() -> str:
    command = typer.main.get_command(radapter_cli.application.app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="radapter")
    _, _, text = unescape(text).partition("\n## ")
    text = re.sub(r"\{TASK\}", "TASK", text)
    text = re.sub(r"(?m)^\[bold\](.*?)\[/\]$", r"    \1", text)  # examples become blocks
    return "## " + re.sub(r"(?m)^(    .*)\n\n(?=    )", r"\1\n", text)
