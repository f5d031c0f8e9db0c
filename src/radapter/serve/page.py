"""The page: one tab for each use of a run, and the answers to their requests.

An answer is a line and a value for each output of its tab. An error is one sentence in that line, so gradio never
shows or prints an exception of ours.
"""

import functools
import html
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import gradio as gr
from fastapi import FastAPI
from PIL import UnidentifiedImageError
from torch import Tensor

from radapter.adapter.config import check_alpha
from radapter.errors import DataError, ImageError, RAdapterError
from radapter.search import ImageIndex, find
from radapter.search.sheet import CARDS_CSS, cards_html, printable
from radapter.segmentation import CropStyle, MaskProposer, listed_classes, names_of
from radapter.segmentation.overlay import colour, coloured, shares
from radapter.serve.blend import MAX_TEXTS, Blend, unknown_note
from radapter.serve.uploads import Uploads

WAITING = 128
"""Requests in the queue; further ones are refused."""
_SHOWN = 5  # classes of an answer
_TOP = 12  # hits
_SESSIONS = 1000  # pages whose settings are kept
_LETTERS = 20_000  # of typed names
_SUFFIXES = ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF"]
_BEFORE = "Zero-shot"
_BEGIN, _TYPE = "Drop an image to begin.", "Type what the image shows."
_log = logging.getLogger(__name__)

_CSS = (
    CARDS_CSS
    + """
.gradio-container { width: 100% !important; max-width: 76rem !important; margin: 0 auto !important; }
.note p { margin: 0; }
.note .problem { border-left: 4px solid #d9480f; padding: .5rem .75rem; background: var(--block-background-fill); }
.legend { width: 100%; border: 0 !important; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.legend tr { border-bottom: 1px solid var(--border-color-primary); }
.legend th, .legend td { padding: .2rem .5rem; text-align: right; border: 0 !important; }
.legend th:first-child, .legend td:first-child { text-align: left; overflow-wrap: anywhere; }
.legend i { display: inline-block; width: .9em; height: .9em; margin-right: .5em; border-radius: 2px; }
"""
)

_Answer = tuple[Any, ...]
_Dropped = Mapping[str, Any] | None
"""An uploaded file as the browser describes it; None for no file."""


@final
@dataclass(frozen=True)
class Regions:
    """How images are segmented: what finds their regions, how these are cut out, and the classes at the start."""

    proposer: MaskProposer
    style: CropStyle
    classnames: Sequence[str]


@final
@dataclass(frozen=True)
class Searched:
    """A folder of images and their features at the run's alpha."""

    folder: Path
    index: ImageIndex


def build(
    blend: Blend,
    uploads: Uploads,
    *,
    title: str,
    about: str,
    classes: Sequence[str] | None,
    regions: Regions | None,
    searched: Searched | None,
    max_bytes: int,
) -> FastAPI:
    """The application of the page.

    Args:
        blend: The model.
        uploads: Opens what a browser sent.
        title: Heading of the page.
        about: A line below it.
        classes: Class names at the start of the tab that classifies; None for no such tab.
        regions: None for no tab that segments.
        searched: None for no tab that searches.
        max_bytes: Largest uploaded file.
    """
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        gr.HTML(f"<h1>{html.escape(printable(title))}</h1><p>{html.escape(printable(about))}</p>")
        if classes is not None:
            with gr.Tab("Classify"):
                _classify_tab(blend, uploads, classes)
        if regions is not None:
            with gr.Tab("Segment"):
                _segment_tab(blend, uploads, regions)
        if searched is not None:
            with gr.Tab("Search"):
                _search_tab(blend, searched)
    blocks.state_session_capacity = _SESSIONS
    blocks.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    return gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=gr.themes.Default(
            primary_hue="indigo", font=gr.themes.Font("system-ui"), font_mono=gr.themes.Font("monospace")
        ),
        css=_CSS,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        max_file_size=max_bytes,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        show_error=True,
    )


def _classify_tab(blend: Blend, uploads: Uploads, classes: Sequence[str]) -> None:
    with gr.Row():
        with gr.Column(scale=2):
            image = _drop()
            names = _names(classes, "Separated by commas, or by semicolons if a name has a comma.")
            slider = _slider(blend.alpha)
            button = gr.Button("Classify", variant="primary")
        with gr.Column(scale=3):
            note = _note(_BEGIN)
            with gr.Row():
                before = gr.Label(label=_BEFORE, num_top_classes=_SHOWN, min_width=200)
                after = gr.Label(label=_after(blend.alpha), num_top_classes=_SHOWN, min_width=200)

    outputs = [note, before, after, image]

    @_answering(outputs)
    def classify(dropped: _Dropped, typed: str, alpha: float) -> _Answer:
        if dropped is None:
            return _BEGIN, None, None, gr.skip()
        alpha = check_alpha(alpha)
        upload, listed = uploads.open(dropped["path"]), tuple(_typed(typed))
        unknown = blend.check_names(listed)
        first, second = (
            dict(zip(listed, blend.probabilities(upload, listed, at).tolist(), strict=True))
            for at in (0.0, alpha)
        )
        return (
            _comparison(first, second) + unknown_note(unknown),
            first,
            gr.Label(second, label=_after(alpha)),
            gr.skip(),
        )

    gr.on(
        [image.upload, image.clear, names.submit, names.blur, slider.input, button.click],
        classify,
        [image, names, slider],
        outputs,
        trigger_mode="always_last",
        preprocess=False,  # gradio's own would decode the file without a bound
        show_progress="minimal",
        api_name="classify",
    )


def _segment_tab(blend: Blend, uploads: Uploads, regions: Regions) -> None:
    with gr.Row():
        with gr.Column(scale=2):
            image = _drop()
            names = _names(
                regions.classnames,
                "Separated by commas. With semicolons, commas separate names of one class: car, automobile; sky.",
            )
            slider = _slider(blend.alpha)
            button = gr.Button("Segment", variant="primary")
        with gr.Column(scale=3):
            note = _note(_BEGIN)
            with gr.Row():
                before = gr.Image(label=_BEFORE, interactive=False, buttons=[], min_width=240)
                after = gr.Image(label=_after(blend.alpha), interactive=False, buttons=[], min_width=240)
            legend = gr.HTML()

    outputs = [note, before, after, legend, image]

    @_answering(outputs)
    def segment(dropped: _Dropped, typed: str, alpha: float) -> _Answer:
        if dropped is None:
            return _BEGIN, None, None, None, gr.skip()
        alpha = check_alpha(alpha)
        upload = uploads.open(dropped["path"])
        listed = tuple(", ".join(names_of(entry)) for entry in _typed(typed))
        unknown = blend.check_names(listed, synonyms=names_of)
        first, second = (
            blend.labels(upload, listed, at, proposer=regions.proposer, style=regions.style)
            for at in (0.0, alpha)
        )
        changed = float((first != second).float().mean())
        return (
            f"{100 * changed:.1f} % of the pixels have another class than zero-shot." + unknown_note(unknown),
            coloured(upload.small, first, listed),
            gr.Image(coloured(upload.small, second, listed), label=_after(alpha)),
            _legend(first, second, listed),
            gr.skip(),
        )

    gr.on(
        [image.upload, image.clear, names.submit, slider.release, button.click],
        segment,
        [image, names, slider],
        outputs,
        trigger_mode="always_last",
        preprocess=False,  # gradio's own would decode the file without a bound
        api_name="segment",
    )


def _search_tab(blend: Blend, searched: Searched) -> None:
    about = f"{len(searched.index):,} images, at alpha {blend.alpha:g}, which the run chose."
    sentence = gr.Textbox(label="Sentence", info=about, placeholder="a red car", max_length=_LETTERS)
    button = gr.Button("Search", variant="primary")
    note = _note(_TYPE)
    cards = gr.HTML()

    outputs = [note, cards]

    @_answering(outputs)
    def search(text: str) -> _Answer:
        if not text.strip():
            return _TYPE, None
        if len(text) > _LETTERS:
            raise DataError(
                f"a sentence must have at most {_LETTERS:,} letters. Got {len(text):,}. Shorten it."
            )
        (hits,) = find(searched.index, blend.text_features(text.strip()), top=_TOP)
        return f"The {len(hits)} nearest images, best first.", cards_html(hits, searched.folder)

    gr.on(
        [sentence.submit, button.click],
        search,
        [sentence],
        outputs,
        trigger_mode="always_last",
        api_name="search",
    )


def _drop() -> gr.Image:
    return gr.Image(
        label="Image",
        sources=["upload", "clipboard"],
        buttons=["fullscreen"],
        interactive=True,
        height=320,
        placeholder="Drop an image here, or click to choose one",
    )


def _names(classes: Sequence[str], info: str) -> gr.Textbox:
    separator = "; " if any("," in name for name in classes) else ", "
    return gr.Textbox(
        separator.join(classes), label="Class names", info=info, lines=3, max_lines=6, max_length=_LETTERS
    )


def _slider(alpha: float) -> gr.Slider:
    return gr.Slider(
        0,
        1,
        alpha,
        step=0.05,
        label="Alpha",
        info=f"0 is zero-shot, 1 is fine-tuned. The run chose {alpha:g}.",
    )


def _after(alpha: float) -> str:
    return f"Tuned, alpha {alpha:g}"


def _note(text: str) -> gr.HTML:
    return gr.HTML(_line(text), elem_classes="note")


def _line(text: str, kind: str = "") -> str:
    role = ' role="alert"' if kind else ""
    return f'<p class="{kind}"{role}>{html.escape(printable(text))}</p>'


def _answering(outputs: Sequence[gr.Component]) -> Callable[[Callable[..., _Answer]], Callable[..., _Answer]]:
    """Shows the first value of an answer as the note, and an error too, which empties the other outputs."""

    def wrapped(function: Callable[..., _Answer]) -> Callable[..., _Answer]:
        @functools.wraps(function)
        def answer(*inputs: Any) -> _Answer:
            try:
                says, *values = function(*inputs)
                return (_line(says), *values)
            except RAdapterError as error:
                problem: Exception = error
                text = _in_words(error)
            except Exception as error:
                _log.exception("a request to the page failed")
                problem = error
                text = (
                    "radapter failed on this request. The terminal in which it was started has the details."
                )
            # an image stays unless it is the problem
            kept = [output.interactive and not isinstance(problem, ImageError) for output in outputs[1:]]
            return (_line(text, "problem"), *[gr.skip() if each else None for each in kept])

        return answer

    return wrapped


def _comparison(first: Mapping[str, float], second: Mapping[str, float]) -> str:
    before, after = (max(scores, key=scores.__getitem__) for scores in (first, second))
    if before == after:
        return (
            f"Both say {before}: zero-shot {100 * first[before]:.0f} %, tuned {100 * second[before]:.0f} %."
        )
    return (
        f"They differ: zero-shot says {before} ({100 * first[before]:.0f} %), tuned says {after} "
        f"({100 * second[after]:.0f} %)."
    )


def _legend(first: Tensor, second: Tensor, classnames: Sequence[str]) -> str:
    """The share of each class in two label maps, as a table."""
    of_first, of_second = (dict(shares(labels)) for labels in (first, second))
    rows = "".join(
        f'<tr><td><i style="background:rgb{colour(number)}"></i>'
        f"{html.escape(classnames[number] if number >= 0 else 'no region')}</td>"
        f"<td>{100 * of_first.get(number, 0):.1f} %</td><td>{100 * of_second.get(number, 0):.1f} %</td></tr>"
        for number in dict.fromkeys([*of_first, *of_second])
    )
    head = "<tr><th>Class</th><th>Zero-shot</th><th>Tuned</th></tr>"
    return f'<table class="legend">{head}{rows}</table>'


def _in_words(error: RAdapterError) -> str:
    """The message of an error, with a capital letter."""
    if isinstance(error, ImageError) and isinstance(error.__cause__, UnidentifiedImageError):
        return f"This file is no image of a known format. Drop one of these: {', '.join(_SUFFIXES)}."
    text = str(error)
    return text[:1].upper() + text[1:]


def _typed(text: str) -> list[str]:
    if not isinstance(text, str) or len(text) > _LETTERS:
        raise DataError(f"class names must have at most {_LETTERS:,} letters in all. Type fewer names.")
    return [name for name in listed_classes(text) if name]


def starting_classes(classnames: Sequence[str], templates: Sequence[str]) -> list[str]:
    """As many class names as one request may have."""
    shown: list[str] = []
    letters = 0
    for name in classnames[: max(2, MAX_TEXTS // max(1, len(templates)))]:
        letters += len(name) + 2
        if letters > _LETTERS:
            break
        shown.append(name)
    return shown
