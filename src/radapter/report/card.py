"""The model card of a run, its adapters or its merged model: the Hub's metadata, and how the model is used.

Every figure in the metadata is one of results.json. The licence is the user's choice, so the card has none.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from radapter.report.cells import at_alpha, markdown
from radapter.report.metrics import shown_as
from radapter.report.selection import chosen_alpha, kept_zero_shot
from radapter.report.table import caption, grid, kept_note
from radapter.runs.results import Results, Row, Selection
from radapter.task_list import OfEachTask
from radapter.tasks.suite import TESTED

RUN, PEFT, ONNX = "radapter", "peft", "onnx"
_HUB_TASKS: Mapping[str, str] = OfEachTask("hub_task")
_ROLES = {
    "id": "in distribution",
    "ood": "out of distribution",
    "transfer": "classes that were not trained on",
}
FOLDER = "path/to/this/folder"
_IMAGE_FEATURES = {
    "transformers": (
        "from transformers import AutoImageProcessor, AutoModel",
        'model = AutoModel.from_pretrained(folder, dtype="float32").eval()\n'
        'processor = AutoImageProcessor.from_pretrained(folder, backend="pil")\n'
        'pixels = processor(image, return_tensors="pt").pixel_values\n'
        "features = model.get_image_features(pixel_values=pixels).pooler_output",
    ),
    "open_clip": (
        "import open_clip",
        'model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")\n'
        "features = model.eval().encode_image(preprocess(image)[None])",
    ),
    "timm": (
        "import timm",
        'model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()\n'
        "preprocess = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))\n"
        "features = model.forward_head(model.forward_features(preprocess(image)[None]), pre_logits=True)",
    ),
}
"""What each library imports, and how it computes image features."""
_CLASSIFY = """
head = load_file(folder / "classifier.safetensors")
classes = json.loads((folder / "classes.json").read_text())
logits = head["logit_scale"] * normalize(features.detach(), dim=-1) @ head["weight"].T + head["bias"]
probabilities = (logits / head["temperature"]).softmax(-1)
print(classes[int(probabilities.argmax())], float(probabilities.max()))"""


@dataclass(frozen=True)
class Subject:
    """What a card describes.

    form: "peft" for adapters, the format of a merged model, or "radapter" for a run. base: the base model's name for
    `radapter.load`. repository: of the base model on the hub; None if it has none. library: of the base model.
    has_adapters: whether the method trained adapters. datasets: hub ids of the training data. templates: None if
    the classifier is a trained head, or the task has no classes. fingerprint: of the base model.
    unmergeable: why the method cannot be merged; empty if it can.
    """

    form: str
    base: str
    repository: str | None
    library: str
    method: str
    alpha: float
    task: str
    fingerprint: str
    has_adapters: bool
    datasets: Sequence[str] = ()
    classnames: Sequence[str] | None = None
    templates: Sequence[str] | None = None
    unmergeable: str = ""

    @property
    def base_words(self) -> str:
        """The base model without the folders of this machine."""
        return Path(self.base).name if Path(self.base).is_absolute() else self.base


def model_card(subject: Subject, results: Results | None) -> str:
    """The README.md of a folder. Figures come from the results at the subject's alpha; without any, it has none."""
    found = None if results is None else _at(results, subject)
    data = metadata(subject, found)
    text = [
        f"# {subject.base_words}, fine-tuned with {subject.method}",
        _summary(subject),
        *(["## Results", *_results(subject, found)] if found is not None else []),
        "## How alpha was chosen",
        *_selection(subject, results, found),
        "## Limits",
        *_limits(subject, found),
        "## Use",
        *_use(subject),
        *_classes(subject),
    ]
    return f"---\n{_comments(subject)}{data.to_yaml()}\n---\n\n" + "\n\n".join(text) + "\n"


def metadata(subject: Subject, results: Results | None) -> ModelCardData:
    """The Hub's metadata; `results` are those at the subject's alpha."""
    relation = "adapter" if subject.form in (PEFT, RUN) and subject.has_adapters else "finetune"
    return ModelCardData(
        base_model=subject.repository,
        base_model_relation=None if subject.repository is None else relation,
        library_name=subject.form,
        pipeline_tag="zero-shot-image-classification"
        if subject.library != "timm"
        else "image-classification",
        tags=[
            "radapter",
            subject.method,
            "clip",
            "robust-fine-tuning",
            *([ONNX] if subject.form == ONNX else []),
        ],
        datasets=list(subject.datasets) or None,
        model_name=None if results is None else f"{subject.method}-{subject.task}",
        eval_results=None if results is None else list(_evaluations(subject, results)),
    )


def _at(results: Results, subject: Subject) -> Results | None:
    """The zero-shot row and the method's at the subject's alpha; None if it was not evaluated there."""
    row = next((row for row in results.rows if row.method == subject.method), None)
    selection = results.selection
    if row is None:
        return None
    if subject.alpha not in row.alphas:
        selection = Selection(split=None, rule=f"alpha {subject.alpha:g} given by hand", n=0)
        point = at_alpha(results, row, subject.alpha)
        if point is None:
            return None
        figures = {name: value for name, value in point.figures().items() if name in Row.model_fields}
        row = row.model_copy(update={**figures, "alphas": [subject.alpha] * len(row.alphas)})
    others = [other for other in results.rows if other.method == "zero-shot" != subject.method]
    return results.model_copy(update={"rows": [*others, row], "selection": selection, "levels": None})


def _evaluations(subject: Subject, results: Results) -> Iterator[EvalResult]:
    headline, row = results.headline, results.row(subject.method)
    title = shown_as(results.task, headline.metric).title.removesuffix(" in %")
    metric = headline.metric
    for role in TESTED:
        for name, metrics in row.sets(role).items():
            yield EvalResult(
                task_type=_HUB_TASKS[results.task],
                dataset_type=name,
                dataset_name=f"{name} ({_ROLES[role]})",
                metric_type=metric,
                metric_name=title if headline.most == 1 else metric,  # the title is of the share of `most`
                metric_value=metrics[metric],
            )


def _comments(subject: Subject) -> str:
    lines = [
        "license: choose one, such as apache-2.0. The licences of the base model and the data may bind you."
    ]
    if subject.repository is None:
        lines.append(f"base_model: give its OWNER/NAME if '{subject.base_words}' is a model on the Hub.")
    return "".join(f"# {line}\n" for line in lines)


def _summary(subject: Subject) -> str:
    forms = {
        PEFT: "This folder holds adapters in PEFT's format; alpha is in their configuration.",
        RUN: "This folder is a run of radapter: the trained weights, and results.json with every figure.",
        ONNX: "This folder holds the merged model as ONNX files, float32, for any number of images or texts.",
    }
    form = forms.get(subject.form, f"This folder holds the merged model in the format of {subject.form}.")
    return (
        f"A model for {subject.task}, fine-tuned by [radapter](https://github.com/radapter/radapter) with the "
        f"method `{subject.method}` at alpha {subject.alpha:g}. The base model is `{subject.base_words}`, "
        f"fingerprint `{subject.fingerprint}`. {form}"
    )


def _results(subject: Subject, results: Results) -> list[str]:
    whole = grid(results)
    lines = [line.cells for line in whole.lines if not line.beside]
    title = shown_as(results.task, results.headline.metric).title
    text = [
        f"{title}, of the zero-shot model and this one:",
        markdown(whole.headers, lines),
        caption(results),
    ]
    if len(results.seeds) > 1:
        seeds = ", ".join(map(str, results.seeds))
        text.append(f"The figures are means over the seeds {seeds}; the weights are those of one seed.")
    return text


def _selection(subject: Subject, results: Results | None, found: Results | None) -> list[str]:
    if results is None:
        return [f"Alpha {subject.alpha:g} has no recorded choice."]
    row = next((row for row in results.rows if row.method == subject.method), None)
    if row is not None and subject.alpha not in row.alphas:
        chosen = ", ".join(f"{alpha:g}" for alpha in row.alphas)
        measured = "" if found is not None else " The model was not evaluated at this alpha."
        return [f"Alpha {subject.alpha:g} was given by hand. The rule chose {chosen}.{measured}"]
    own = results if row is None else results.model_copy(update={"rows": [row]})
    sentences = [*chosen_alpha(own), *kept_zero_shot(own)]
    return sentences or [f"{caption(own)} Alpha is {subject.alpha:g}."]


def _limits(subject: Subject, results: Results | None) -> list[str]:
    limits = ["The limits and biases of the base model remain."]
    if results is not None:
        limits += [
            "The figures hold for the sets above. Other shifts than these were not measured.",
            kept_note(results),
        ]
    if subject.classnames is not None:
        limits.append(
            f"The classifier answers with one of its {len(subject.classnames)} classes for every image."
        )
    return ["\n".join(f"- {limit}" for limit in limits)]


def _use(subject: Subject) -> Iterator[str]:
    merged = subject.form not in (PEFT, RUN)
    yield "### Merged"
    if subject.form in _IMAGE_FEATURES:
        yield _block(_merged_code(subject))
        if subject.form == "transformers":
            yield "transformers' pipeline takes any classes:"
            yield _block(_pipeline_code(subject))
            yield "sentence-transformers loads it too: `SentenceTransformer(folder)` encodes images and texts."
    elif merged and subject.form != ONNX:
        yield f"`{subject.form}` loads the folder."
    elif subject.unmergeable:
        yield f"The method `{subject.method}` cannot be merged into the base model: {subject.unmergeable}."
    else:
        yield "`radapter merge RUN --out merged` writes a folder that the base model's library loads."
    yield "### Unmerged"
    if subject.unmergeable and not subject.has_adapters:
        yield f"`radapter predict {FOLDER} photo.jpg` classifies images with the run directory."
    elif not subject.has_adapters:
        yield f"The method `{subject.method}` trains no adapters, so there is no unmerged form."
    elif subject.form == PEFT:
        yield _block(_adapter_code(subject))
        if subject.library == "transformers":
            yield "Or with PEFT's own class, which loads the base model by `adapter_config.json`:"
            yield _block(_auto_code())
    else:
        yield "The adapters are in the directory `adapter` of the run, in PEFT's format."
    if subject.unmergeable:
        return
    yield "### ONNX"
    if subject.form == ONNX:
        yield _onnx_words(subject)
    else:
        yield "`radapter merge RUN --out merged-onnx --format onnx` writes files that run without torch."


def _merged_code(subject: Subject) -> str:
    imports, features = _IMAGE_FEATURES[subject.form]
    has_classes = subject.classnames is not None
    lines = [
        *(["import json"] if has_classes else []),
        "from pathlib import Path\n",
        "from PIL import Image",
        *(["from safetensors.torch import load_file"] if has_classes else []),
        *(["from torch.nn.functional import normalize"] if has_classes else []),
        f"{imports}\n",
        f'folder, image = Path("{FOLDER}"), Image.open("photo.jpg").convert("RGB")',
        features,
    ]
    return "\n".join(lines) + (_CLASSIFY if has_classes else "")


def _pipeline_code(subject: Subject) -> str:
    labels = list(subject.classnames or ["a dog", "a cat"])[:3]
    template = subject.templates[0] if subject.templates else "a photo of a {}."
    return (
        "from transformers import pipeline\n\n"
        f'classify = pipeline("zero-shot-image-classification", model="{FOLDER}")\n'
        f'print(classify("photo.jpg", candidate_labels={json.dumps(labels, ensure_ascii=False)}, '
        f"hypothesis_template={json.dumps(template, ensure_ascii=False)}))"
    )


def _adapter_code(subject: Subject) -> str:
    return (
        "import radapter\nfrom peft import PeftModel\n\n"
        f"encoder = radapter.load({json.dumps(subject.base_words)})\n"
        f'PeftModel.from_pretrained(encoder.module, "{FOLDER}")'
    )


def _auto_code() -> str:
    return (
        "import radapter  # registers the adapter with PEFT\nfrom peft import AutoPeftModel\n\n"
        f'model = AutoPeftModel.from_pretrained("{FOLDER}")'
    )


def _onnx_words(subject: Subject) -> str:
    inputs = "`preprocessor.json` describes the preparation of images, and `tokenizer.json` that of texts."
    if subject.classnames is None:
        return f"The files need onnxruntime, numpy, Pillow and tokenizers. {inputs} `example.py` prepares images."
    printed = "needs onnxruntime, numpy and Pillow, and prints the class and its probability"
    return f"`python example.py photo.jpg` {printed}. {inputs}"


def _classes(subject: Subject) -> Iterator[str]:
    if subject.classnames is not None:
        yield "## Classes and templates"
        yield _block(json.dumps(list(subject.classnames), ensure_ascii=False), "json")
        if subject.templates:
            yield "A class is the mean of its texts in these templates:"
            yield _block(json.dumps(list(subject.templates), ensure_ascii=False, indent=2), "json")


def _block(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```"
