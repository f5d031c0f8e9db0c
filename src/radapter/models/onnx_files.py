"""A merged model as ONNX files, which run in onnxruntime without torch.

- `image_encoder.onnx`: pixels (B, 3, H, W) float32 -> unit-norm image features (B, E)
- `text_encoder.onnx`: token ids (B, L) int64 -> unit-norm text features (B, E)
- `image_classifier.onnx`: pixels -> probabilities and logits (B, C), with the head's weight, bias, logit scale and
  temperature applied. It shares the image encoder's weights, `image_encoder.onnx.data`, which must stay beside it.
- `preprocessor.json`, `tokenizer.json`, `example.py`: how images and texts are prepared, and a program that does it

All are float32, and B is any number.
"""

import importlib
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import normalize

from radapter.errors import ExportError, MissingExtraError, ModelError
from radapter.models.encoder import Batch, Features, Towers
from radapter.models.token_crossing import write_tokenizer
from radapter.storage import load_weights, write_json

NAME = "onnx"
TOLERANCE = 1e-4
"""Of the relative difference of features and logits: onnxruntime sums in another order."""
IMAGE_ENCODER, TEXT_ENCODER, IMAGE_CLASSIFIER = (
    "image_encoder.onnx",
    "text_encoder.onnx",
    "image_classifier.onnx",
)
PREPROCESSOR, EXAMPLE = "preprocessor.json", "example.py"
_TOKENIZER = "tokenizer.json"
_SAMPLE_SIZES = (
    (1, 1),
    (3, 5),
    (2, 1),
    (5, 8),
)  # widths and heights, as multiples of the image size and 3 pixels
_PIXEL_TOLERANCE = 1e-5
_LOUD = ("onnx_ir", "onnxscript", "torch.onnx")


def write(plain: nn.Module, towers: Towers, folder: Path) -> bool:
    """Writes the encoders of a merged float32 module; returns whether the folder has the tokenizer.

    Raises MissingExtraError without onnx, onnxruntime and onnxscript, and ModelError for towers that cannot be
    written for any number of images.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        _imported(package)
    size = towers.image_size
    pixels = torch.zeros(2, 3, size, size)
    _write_encoder(_Tower(plain, towers.encode_image), pixels, "pixels", folder / IMAGE_ENCODER)
    _write_preparation(towers, folder)
    if not towers.context_length:
        return False
    tokens = torch.ones(2, towers.context_length, dtype=torch.long)
    tokens[:, -1] = towers.eos_id
    _write_encoder(_Tower(plain, towers.encode_text), tokens, "input_ids", folder / TEXT_ENCODER)
    return _write_tokenizer(towers, folder)


def write_classifier(folder: Path, head: Path) -> None:
    """Writes the classifier of `classifier.safetensors` behind the image encoder of `folder`."""
    onnx = _imported("onnx")
    tensors = load_weights(head)
    temperature = tensors.get("temperature", torch.ones(()))
    weight = tensors["weight"] * tensors["logit_scale"] / temperature
    bias = tensors["bias"] / temperature
    model = onnx.load(folder / IMAGE_ENCODER, load_external_data=False)
    graph, helper = model.graph, onnx.helper
    features = graph.output[0].name
    for name, tensor in (("classifier.weight", weight), ("classifier.bias", bias)):
        graph.initializer.append(onnx.numpy_helper.from_array(tensor.float().contiguous().numpy(), name))
    graph.node.append(
        helper.make_node("Gemm", [features, "classifier.weight", "classifier.bias"], ["logits"], transB=1)
    )
    graph.node.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1))
    del graph.output[:]
    for name in ("probabilities", "logits"):
        shape = ["batch", len(weight)]
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    onnx.save(model, folder / IMAGE_CLASSIFIER)


def features(folder: Path, batch: Batch) -> Features:
    """The unit-norm features of a folder by onnxruntime."""
    pixels, tokens = batch
    found = {"image": _run(folder / IMAGE_ENCODER, pixels)}
    if tokens is not None:
        found["text"] = _run(folder / TEXT_ENCODER, tokens)
    return found


def logits(folder: Path, pixels: Tensor) -> Tensor:
    """The logits (B, C) of a folder's image classifier by onnxruntime."""
    return _run(folder / IMAGE_CLASSIFIER, pixels, output="logits")


def tokens(folder: Path, texts: Sequence[str]) -> Tensor:
    """Token ids (N, L) by a folder's tokenizer alone."""
    encoded = Tokenizer.from_file(str(folder / _TOKENIZER)).encode_batch(list(texts))
    return torch.tensor([text.ids for text in encoded])


class _Tower(nn.Module):
    """One tower of a module, as a module whose forward gives unit-norm features."""

    def __init__(self, module: nn.Module, encode: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.module = module
        self.encode = encode

    def forward(self, inputs: Tensor) -> Tensor:
        return normalize(self.encode(self.module, inputs), dim=-1)


def _write_encoder(tower: _Tower, inputs: Tensor, name: str, file: Path) -> None:
    onnx = _imported("onnx")
    try:
        with _silent(), torch.no_grad():
            torch.onnx.export(
                tower.eval(),
                (inputs,),
                file,
                input_names=[name],
                output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=True,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # torch's exporter raises whatever a tower's code raises
        raise _not_exportable(
            file, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    model = onnx.load(file, load_external_data=False)
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise _not_exportable(file, "its graph depends on the number of images")
    _strip(model.graph)
    for function in model.functions:
        _strip(function)
    onnx.save(model, file)


def _strip(graph: Any) -> None:
    """Removes the exporter's notes: stack traces with the paths of this machine."""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *getattr(graph, "initializer", ())):
        del part.metadata_props[:]
    for value in (*graph.input, *graph.output):
        if not isinstance(value, str):
            del value.metadata_props[:]


def _not_exportable(file: Path, reason: str) -> ModelError:
    return ModelError(
        f"'{file.name}' cannot be written: {reason}. Merge into the model's own library: leave --format out."
    )


def _write_preparation(towers: Towers, folder: Path) -> None:
    """Writes preprocessor.json and the example; raises ExportError if they prepare images differently."""
    about = asdict(towers.preparation())
    write_json(folder / PREPROCESSOR, about)
    shutil.copyfile(Path(__file__).with_name("onnx_example.py"), folder / EXAMPLE)
    prepare = _imported("radapter.models.onnx_example").prepare
    for across, down in _SAMPLE_SIZES:
        sides = (towers.image_size * across + 3, towers.image_size * down)
        image = Image.effect_noise(sides, 90).convert("RGB")
        gap = (torch.from_numpy(prepare(image, about)) - towers.preprocess(image)).abs().max()
        if not gap <= _PIXEL_TOLERANCE:
            raise ExportError(
                f"{PREPROCESSOR} must prepare images as the model's library does, to {_PIXEL_TOLERANCE:g}. An image "
                f"of {sides[0]} x {sides[1]} pixels differs by {gap:.2g}. Nothing was written. Merge into the "
                "model's own library."
            )


def _write_tokenizer(towers: Towers, folder: Path) -> bool:
    """Writes tokenizer.json alone, which pads and cuts to the context length."""
    before = set(folder.iterdir())
    if not write_tokenizer(towers.tokenizer, folder):
        return False
    for file in set(folder.iterdir()) - before - {folder / _TOKENIZER}:
        file.unlink()  # settings of transformers
    if not (folder / _TOKENIZER).is_file():
        return False
    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    padding = int(towers.tokenizer([""])[0, -1])
    length = towers.context_length
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(pad_id=padding, pad_token=tokenizer.id_to_token(padding), length=length)
    tokenizer.save(str(folder / _TOKENIZER))
    return True


def _run(file: Path, inputs: Tensor, output: str | None = None) -> Tensor:
    """An output (B, ...), the first by default; raises ExportError if it depends on how samples are batched."""
    session = _imported("onnxruntime").InferenceSession(file, providers=["CPUExecutionProvider"])
    name, outputs = session.get_inputs()[0].name, None if output is None else [output]
    whole = torch.from_numpy(session.run(outputs, {name: inputs.numpy()})[0])
    single = torch.cat(
        [torch.from_numpy(session.run(outputs, {name: each[None].numpy()})[0]) for each in inputs]
    )
    if not torch.allclose(whole, single, rtol=TOLERANCE, atol=TOLERANCE):
        raise ExportError(f"'{file.name}' must not depend on the number of samples. Nothing was written.")
    return whole


@contextmanager
def _silent() -> Iterator[None]:
    """A block without the exporter's remarks on its own optimisations."""
    levels = {name: logging.getLogger(name).level for name in _LOUD}
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _imported(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"format onnx needs {package}, which is not installed. Run pip install 'radapter[onnx]'."
        ) from error
