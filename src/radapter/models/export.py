"""Export to a plain folder of the model's own library, or of another if the architecture exists there.

The adapters are merged into a copy, so the model in memory does not change. The folder appears only after the
library alone has loaded it and given the same features; `certificate.json` records the measurement.
"""

import copy
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from radapter.errors import ConfigError, ModelError, did_you_mean
from radapter.manifests import write_manifest
from radapter.models import crossing
from radapter.models.certificate import (
    CERTIFICATE,
    TOLERANCES,
    certificate,
    certify,
    features_of,
    fixed_batch,
    plain_features,
)
from radapter.models.encoder import DualEncoder
from radapter.models.fingerprint import fingerprint
from radapter.models.hf import HfTowers, quiet
from radapter.models.merging import adapted_copy, merge_in_place
from radapter.models.openclip import CONFIG, OpenClipTowers
from radapter.models.openclip_files import WEIGHTS, import_open_clip
from radapter.models.timm_vit import TimmTowers
from radapter.models.token_crossing import AWKWARD, clip_tokenizer, plain_tokens, rows_that_differ
from radapter.storage import save_tensors, whole_folder, write_json

logger = logging.getLogger(__name__)

FORMATS = ("transformers", "open_clip", "timm")
CLASSIFIER, CLASSES = "classifier.safetensors", "classes.json"


@dataclass(frozen=True)
class ClassHead:
    """A classifier over the image features: logits = logit_scale * normalise(f(pixels)) @ weight.T + bias

    Attributes:
        weight: (C, E), zero-shot class embeddings or a trained head.
        classnames: C names, in the order of the rows.
        bias: (C,); None for zeros.
        logit_scale: None for the model's own, which class embeddings of unit norm need; 1 for a weight that includes
            the scale, as trained heads do.
    """

    weight: Tensor
    classnames: Sequence[str]
    bias: Tensor | None = None
    logit_scale: float | None = None


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
        head: Written beside the model: "weight", "bias" and "logit_scale" in `classifier.safetensors`, the names in
            `classes.json`.
        about: JSON that is added to `certificate.json`, such as the method.

    Returns:
        `to`, which holds the weights in the model's dtype, the configuration, the preparation of images, the
        tokenizer if its files are here, and `certificate.json`, which also lists fixed captions that the library
        tokenises differently.

    Raises:
        ConfigError: `format` or `alpha` is invalid, or `alpha` is given and there is no R-Adapter.
        ModelError: The other library has no such architecture; names the difference.
        RunError: `to` exists.
        MergeError: Merging would give non-finite weights.
        ExportError: The reloaded folder's features, computed in float32, differ by more than 1e-5, or 1e-2 for
            weights of 16 bits.
    """
    library = format or model.library
    if library not in FORMATS:
        raise ConfigError(
            f"format must be one of {', '.join(FORMATS)}. Got '{library}'.{did_you_mean(library, FORMATS)}"
        )
    if library != model.library and "timm" in (library, model.library):
        raise ModelError(
            f"a {model.library} model cannot be written in {library}'s form. Use format='{model.library}'."
        )
    dtype = _dtype(model)
    with whole_folder(to) as draft:
        _check_crosses(model, library)
        twin = adapted_copy(model.module, alpha=alpha)
        # Measured in float32 or wider: a 16-bit forward differs from itself by as much as the weights' rounding.
        wide = torch.promote_types(dtype, torch.float32)
        batch = fixed_batch(model.towers, wide)
        before = features_of(twin if dtype == wide else copy.deepcopy(twin).to(wide), model.towers, batch)
        plain = merge_in_place(twin)
        has_tokenizer = _write(plain, model, library, draft)
        if head is not None:
            _write_head(head, model, draft)
        differences = certify(before, plain_features(draft, library, batch, wide), dtype)
        facts = {
            "model": model.name,
            "format": library,
            "alpha": alpha,
            "tokenizer_included": has_tokenizer,
            "tokenization": _compared_tokens(model, library, draft) if has_tokenizer else None,
            "weights_fingerprint": fingerprint(plain),
            **(about or {}),
        }
        write_json(draft / CERTIFICATE, certificate(draft, differences, dtype, facts))
        write_manifest(draft)
    return Path(to)


def _dtype(model: DualEncoder) -> torch.dtype:
    dtype = next(p.dtype for p in model.module.parameters() if p.is_floating_point())
    if dtype not in TOLERANCES:
        raise ModelError(
            f"dtype of the weights must be one of {', '.join(map(str, TOLERANCES))}. Got {dtype}."
        )
    return dtype


def _check_crosses(model: DualEncoder, library: str) -> None:
    if library == model.library:
        return
    if isinstance(model.towers, HfTowers):
        import_open_clip()
        crossing.open_clip_config(model.towers.config)
        crossing.open_clip_preprocess(model.towers.processor, model.image_size)
    elif isinstance(model.towers, OpenClipTowers):
        crossing.check_plain(model.module)
        crossing.transformers_config(model.towers.model_config)
        crossing.transformers_processor(model.towers.preprocess_config)


def _write(plain: nn.Module, model: DualEncoder, library: str, folder: Path) -> bool:
    towers = model.towers
    if isinstance(towers, TimmTowers):
        from timm.models import save_for_hf

        save_for_hf(plain, str(folder), safe_serialization=True)
        return False
    if isinstance(towers, HfTowers):
        if library == "transformers":
            _write_transformers(plain, towers.processor, folder)
        else:
            config = crossing.open_clip_config(towers.config)
            preprocess = crossing.open_clip_preprocess(towers.processor, towers.image_size)
            _write_open_clip(crossing.open_clip_weights(plain.state_dict()), config, preprocess, folder)
        return _write_tokenizer(towers, folder)
    assert isinstance(towers, OpenClipTowers)
    if library == "transformers":
        crossed = _as_transformers(plain, towers)
        _write_transformers(crossed, crossing.transformers_processor(towers.preprocess_config), folder)
        return _write_tokenizer(towers, folder)
    _write_open_clip(plain.state_dict(), towers.model_config, towers.preprocess_config, folder)
    return not towers.model_config["text_cfg"].get("hf_tokenizer_name") or _write_tokenizer(towers, folder)


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
            len(differ),
            len(AWKWARD),
            " and ".join(map(repr, differ[:2])),
            CERTIFICATE,
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
    tensors = {"weight": head.weight, "bias": bias, "logit_scale": scale.reshape(())}
    save_tensors(folder / CLASSIFIER, {name: tensor.float() for name, tensor in tensors.items()})
    write_json(folder / CLASSES, list(head.classnames))


def _write_transformers(plain: Any, processor: Any, folder: Path) -> None:
    with quiet():
        plain.save_pretrained(folder)
    processor.save_pretrained(folder)


def _write_open_clip(
    weights: dict[str, Tensor], config: dict[str, Any], preprocess: dict[str, Any], folder: Path
) -> None:
    save_tensors(folder / WEIGHTS, weights)
    write_json(folder / CONFIG, {"model_cfg": config, "preprocess_cfg": preprocess})


def _as_transformers(plain: nn.Module, towers: OpenClipTowers) -> nn.Module:
    from transformers import CLIPModel

    weights = crossing.transformers_weights(plain.state_dict())
    config = crossing.transformers_config(towers.model_config)
    with torch.device("meta"):
        crossed: nn.Module = CLIPModel(config)
    crossed = crossed.to_empty(device="cpu").to(weights["logit_scale"].dtype)
    crossed.load_state_dict(weights)
    return crossed.eval()


def _write_tokenizer(towers: HfTowers | OpenClipTowers, folder: Path) -> bool:
    try:
        tokenizer = towers.tokenizer.get()
    except ModelError as error:
        logger.warning("exported without a tokenizer: %s", error)
        return False
    if hasattr(tokenizer, "save_pretrained"):
        tokenizer.save_pretrained(str(folder))
        return True
    if _is_clip_bpe(tokenizer):
        clip_tokenizer(tokenizer, towers.context_length).save_pretrained(folder)
        return True
    logger.warning("exported without a tokenizer: a callable given to load() cannot be written.")
    return False


def _is_clip_bpe(tokenizer: Any) -> bool:
    return isinstance(tokenizer, import_open_clip().SimpleTokenizer)
