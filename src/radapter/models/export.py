"""Export to a plain folder of the model's own library, or of another if the architecture exists there.

The adapters are merged into a copy, so the model in memory does not change. The folder appears only after the
library alone has loaded it and given the same features; `certificate.json` records the measurement.
"""

import copy
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from radapter.errors import ConfigError, ModelError, did_you_mean
from radapter.manifests import write_manifest
from radapter.models import certificate, crossing, hf, openclip
from radapter.models.encoder import DualEncoder
from radapter.models.loading import LIBRARIES
from radapter.models.merging import adapted_copy, fingerprint, merge_in_place
from radapter.models.openclip_files import import_open_clip
from radapter.models.token_crossing import AWKWARD, plain_tokens, rows_that_differ, write_tokenizer
from radapter.storage import save_tensors, whole_folder, write_json

logger = logging.getLogger(__name__)

CLASSIFIER, CLASSES = "classifier.safetensors", "classes.json"


@dataclass(frozen=True)
class ClassHead:
    """A classifier over the image features:

    logits = logit_scale * normalise(f(pixels)) @ weight.T + bias, and probabilities = softmax(logits / temperature).
    """

    weight: Tensor  # (C, E), zero-shot class embeddings or a trained head
    classnames: Sequence[str]  # in the order of the rows
    bias: Tensor | None = None  # (C,); None for zeros
    logit_scale: float | None = None  # None is the model's own; trained heads, which include theirs, have 1
    temperature: float | None = (
        None  # that calibrates the probabilities; None if none was fitted, written as 1
    )


def export(
    model: DualEncoder,
    *,
    to: str | os.PathLike[str],
    format: str | None = None,
    alpha: float | None = None,
    head: ClassHead | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a plain folder that a library loads with no radapter installed, adapters merged.

    Args:
        model: Adapted (by any of PEFT's tuners) or plain; it does not change.
        to: A folder that does not exist.
        format: "transformers", "open_clip" or "timm"; None for the model's own library. CLIP ViTs cross between
            transformers and open_clip.
        alpha: The R-Adapters' alpha, in [0, 1]; None keeps theirs.
        head: Written beside the model: "weight", "bias", "logit_scale" and "temperature" in
            `classifier.safetensors`, the names in `classes.json`.
        about: JSON that is added to `certificate.json`, such as the method.

    Returns:
        `to`, with the weights in the model's dtype, the configuration, the preparation of images, the tokenizer if
        its files are here, and `certificate.json`, which lists captions that the library tokenises differently.

    Raises:
        ConfigError: `format` or `alpha` is invalid, or `alpha` is given and there is no R-Adapter.
        ModelError: The other library has no such architecture; names the difference.
        RunError: `to` exists.
        MergeError: Merging would give non-finite weights.
        ExportError: The reloaded folder's features differ by more than 1e-5, or 1e-2 for weights of 16 bits.
    """
    name, known = format or model.library, {library.NAME: library for library in LIBRARIES}
    if name not in known:
        raise ConfigError(f"format must be in {', '.join(known)}. Got '{name}'.{did_you_mean(name, known)}")
    library = known[name]
    dtype = certificate.dtype_of(model.module)
    with whole_folder(to) as draft:
        write = library.write if name == model.library else _crossing(model, name)
        twin = adapted_copy(model.module, alpha=alpha)
        # Measured in float32 or wider: a 16-bit forward differs from itself by as much as the weights' rounding.
        wide = torch.promote_types(dtype, torch.float32)
        batch = certificate.fixed_batch(model.towers, wide)
        adapted = twin if dtype == wide else copy.deepcopy(twin).to(wide)
        before = certificate.features_of(adapted, model.towers, batch)
        plain = merge_in_place(twin)
        has_tokenizer = write(plain, model.towers, draft)
        if head is not None:
            _write_head(head, model, draft)
        with torch.no_grad():
            differences = certificate.certify(before, library.features(draft, batch, wide), dtype)
        facts = {
            "model": model.name,
            "format": name,
            "alpha": alpha,
            "tokenizer_included": has_tokenizer,
            "tokenization": _compared_tokens(model, name, draft) if has_tokenizer else None,
            "weights_fingerprint": fingerprint(plain),
            **(about or {}),
        }
        write_json(draft / certificate.CERTIFICATE, certificate.content(draft, differences, dtype, facts))
        write_manifest(draft)
    return Path(to)


def _crossing(model: DualEncoder, library: str) -> Callable[[nn.Module, Any, Path], bool]:
    """`Library.write` for another library's form. Raises ModelError if that has no such architecture."""
    towers: Any = model.towers
    if (model.library, library) == (hf.NAME, openclip.NAME):
        import_open_clip()
        config = crossing.open_clip_config(towers.config)
        preprocess = crossing.open_clip_preprocess(towers.processor, towers.image_size)

        def write(plain: nn.Module, towers: Any, folder: Path) -> bool:
            openclip.save(crossing.open_clip_weights(plain.state_dict()), config, preprocess, folder)
            return write_tokenizer(towers.tokenizer, folder)

    elif (model.library, library) == (openclip.NAME, hf.NAME):
        crossing.check_plain(model.module)
        config = crossing.transformers_config(towers.model_config)
        processor = crossing.transformers_processor(towers.preprocess_config)

        def write(plain: nn.Module, towers: Any, folder: Path) -> bool:
            hf.save(crossing.transformers_model(plain.state_dict(), config), processor, folder)
            return write_tokenizer(towers.tokenizer, folder)

    else:
        raise ModelError(f"{model.library} does not cross to {library}. Use format='{model.library}'.")
    return write


def _compared_tokens(model: DualEncoder, library: str, folder: Path) -> dict[str, Any]:
    before = model.tokenize(AWKWARD)
    after = plain_tokens(folder, library, AWKWARD, model.context_length)
    crosses = library != model.library  # only CLIP does; padding is the library's own there, and not read
    rows = rows_that_differ(before, after, eos_id=model.towers.eos_id if crosses else None)
    differ = [AWKWARD[row] for row in rows]
    if differ:
        logger.warning(
            "%d of %d test captions have other tokens in the written folder, such as %s. For these texts features "
            "differ too; %s lists them.",
            *(len(differ), len(AWKWARD), " and ".join(map(repr, differ[:2])), certificate.CERTIFICATE),
        )
    return {"captions": len(AWKWARD), "differ": differ}


def _write_head(head: ClassHead, model: DualEncoder, folder: Path) -> None:
    rows = len(head.weight)
    bias = head.weight.new_zeros(rows) if head.bias is None else head.bias
    if rows != len(head.classnames) or tuple(bias.shape) != (rows,):
        raise ConfigError(
            f"head must have one row and one number of bias a class name. Got {rows} rows, a bias of shape "
            f"{tuple(bias.shape)} and {len(head.classnames)} names. Give the head that belongs to these names."
        )
    scale = model.logit_scale.detach() if head.logit_scale is None else torch.tensor(head.logit_scale)
    temperature = torch.tensor(1.0 if head.temperature is None else head.temperature)
    tensors = {
        "weight": head.weight,
        "bias": bias,
        "logit_scale": scale.reshape(()),
        "temperature": temperature,
    }
    save_tensors(folder / CLASSIFIER, {name: tensor.float() for name, tensor in tensors.items()})
    write_json(folder / CLASSES, list(head.classnames))
