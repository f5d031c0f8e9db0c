"""What training gives: a classifier whose weights before and after are known, and how it is kept in a folder.

Re-scaling R-Adapter by alpha equals interpolating the weights before and after merging, so every method is seen
as two sets of weights: its own before, and merged after. One alpha sweep serves all.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from torch import Tensor, nn

from radapter.adapter import RAdapterModel, set_alpha
from radapter.errors import DamagedError, RAdapterError, RunError
from radapter.evaluation import Interpolation
from radapter.manifests import check_recorded, forget, record, write_manifest
from radapter.methods.lora_attention import use_separate_pairs
from radapter.models import DualEncoder, fingerprint
from radapter.models.loading import TRAINED as TRAINED
from radapter.runs.about import SCHEMA, About
from radapter.runs.adapter_config import read_adapter_config
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, whole_folder, write_json, write_text
from radapter.zeroshot import Classifier, LinearHead

ADAPTER, WEIGHTS, HEAD = "adapter", "weights.safetensors", "head.safetensors"

_CARD = """---
base_model: {quoted}
library_name: peft
---

# {method} for {base}

Adapters in PEFT's format, trained by radapter with the method `{method}`, at alpha {alpha:g}.

```python
import radapter
from peft import PeftModel

encoder = radapter.load({quoted})
PeftModel.from_pretrained(encoder.module, "path/to/this/folder")
```
"""


@dataclass(frozen=True)
class Trained:
    """A method's outcome.

    Attributes:
        method: its name.
        classifier: holds the averaged weights, adapters at alpha 1 and not merged.
        adapters: PEFT's handle on them; None for methods that train the towers' own weights.
        base: fingerprint of the model before training.
        before: the tensors that training replaced, adapters aside, by the classifier's names.
        trained_parameters: how many numbers the optimizer moved.
        learning_rate: the peak of the towers, or of the head where nothing else is trained; None for a soup.
        head_learning_rate: the peak of the head; None where none is trained, and for a soup.
        epochs: trained in all.
        epoch: whose weights were kept, counted from 1; None for the last.
        seconds: that training took; a resumed one counts those before the checkpoint it went on from too.
        step_bytes: that one training step keeps beyond the weights, in each process; None under FSDP.
    """

    method: str
    classifier: Classifier
    adapters: PeftModel | None
    base: str
    before: dict[str, Tensor]
    trained_parameters: int
    learning_rate: float | None
    head_learning_rate: float | None
    epochs: int
    epoch: int | None
    seconds: float
    step_bytes: int | None

    @property
    def rescalable(self) -> bool:
        """Whether its adapters have an alpha of their own: R-Adapter's do, LoRA's do not."""
        return self.adapters is not None and isinstance(self.adapters.base_model, RAdapterModel)

    @contextmanager
    def interpolation(self) -> Iterator[Interpolation]:
        """The weights before and after, as one line; adapters are merged while the block runs."""
        now = snapshot(self.classifier)
        before = now | self.before
        if self.adapters is not None:
            self.adapters.merge_adapter()
        try:
            yield Interpolation(self.classifier, before, self.classifier.state_dict())
        finally:
            if self.adapters is not None:
                self.adapters.unmerge_adapter()
                self.classifier.load_state_dict(now)  # LoRA's unmerging subtracts, which rounds


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter and buffer, by name."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def save_trained(folder: Path, trained: Trained, *, alpha: float, about: Mapping[str, Any]) -> None:
    """Writes the evaluated weights into `folder`.

    `adapter/` is PEFT's own format with alpha in its config; other methods write the tensors they changed, at
    alpha 1; of a method with a head, `head.safetensors` has weight and bias at `alpha` ("head."), at 1
    ("fine_tuned.") and at 0 ("zero_shot."). The folder's manifest records all of them.

    Args:
        folder: must exist; a run's folder or a draft of it.
        trained: what to save.
        alpha: the chosen one.
        about: further facts for `trained.json`, such as class names; it must be JSON.
    """
    forget(folder, TRAINED, WEIGHTS, HEAD)  # killed from here on, the manifest says nothing that is not true
    head = trained.classifier.head
    of_head = {} if head is None else dict(head.named_parameters())
    if trained.adapters is not None:
        with (
            set_alpha(trained.adapters, alpha) if trained.rescalable else nullcontext(),
            whole_folder(folder / ADAPTER, replace=True) as draft,
        ):
            base = trained.classifier.encoder.name
            for config in trained.adapters.peft_config.values():
                config.base_model_name_or_path = base
            # "auto" would ask the hub for the base model's configuration.
            trained.adapters.save_pretrained(draft, save_embedding_layers=False)
            card = _CARD.format(base=base, quoted=json.dumps(base), method=trained.method, alpha=alpha)
            write_text(draft / "README.md", card)  # PEFT's own is an empty form
            write_manifest(draft)
    else:
        after = trained.classifier.state_dict()
        towers = [name for name in trained.before if name not in {f"head.{part}" for part in of_head}]
        save_tensors(folder / WEIGHTS, {name: after[name] for name in towers})
    if of_head:
        tensors: dict[str, Tensor] = {}
        for part, tuned in of_head.items():
            # a head that was not trained is its own start
            start = trained.before.get(f"head.{part}", tuned).to(tuned)
            tensors |= {f"zero_shot.{part}": start, f"fine_tuned.{part}": tuned}
            tensors[f"head.{part}"] = torch.lerp(start, tuned, alpha)
        save_tensors(folder / HEAD, tensors)
    write_json(
        folder / TRAINED,
        {
            "schema": SCHEMA,
            "method": trained.method,
            "alpha": alpha,
            "fingerprint": trained.base,
            "trained_parameters": trained.trained_parameters,
            "learning_rate": trained.learning_rate,
            "head_learning_rate": trained.head_learning_rate,
            "epochs": trained.epochs,
            "epoch": trained.epoch,
            "seconds": trained.seconds,
            "step_bytes": trained.step_bytes,
            **about,
        },
    )
    record(folder, *(name for name in (TRAINED, WEIGHTS, HEAD) if (folder / name).is_file()))


def load_trained(folder: Path, encoder: DualEncoder) -> Trained:
    """Reads what `save_trained` wrote onto `encoder`, the base model it was trained on; changed in place.

    Raises:
        RunError: `folder` is no finished run, or `encoder` is not the base model; the message has both
            fingerprints.
        ModelError: the configuration of its adapters has what radapter does not write.
    """
    about = read_about(folder)
    if about["fingerprint"] != (given := fingerprint(encoder)):
        raise RunError(
            f"the base model must be the one that '{folder}' was trained on, fingerprint {about['fingerprint']}. "
            f"'{encoder.name}' has {given}. Give the original model."
        )
    check_recorded(folder, WEIGHTS, HEAD)
    head, before = _load_head(folder / HEAD, encoder.embed_dim) if (folder / HEAD).is_file() else (None, {})
    classifier = Classifier(encoder, head)
    adapters = None
    if (folder / ADAPTER).is_dir():
        adapters = _load_adapters(folder / ADAPTER, encoder)
        if isinstance(adapters.base_model, RAdapterModel):
            set_alpha(adapters, 1.0)
    else:
        after = load_weights(folder / WEIGHTS)
        here = classifier.state_dict()
        _check_fits(after, {name: here[name].shape for name in after if name in here}, folder / WEIGHTS)
        before |= {name: here[name].clone() for name in after}
        classifier.load_state_dict(after, strict=False)
    classifier.eval()
    return Trained(
        method=about["method"],
        classifier=classifier,
        adapters=adapters,
        base=given,
        before=before,
        trained_parameters=about["trained_parameters"],
        learning_rate=about["learning_rate"],
        head_learning_rate=about["head_learning_rate"],
        epochs=about["epochs"],
        epoch=about["epoch"],
        seconds=about["seconds"],
        step_bytes=about["step_bytes"],
    )


def _load_adapters(folder: Path, encoder: DualEncoder) -> PeftModel:
    check_recorded(folder)
    for name in (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME):  # PEFT would ask the hub for one that is missing
        if not (folder / name).is_file():
            raise DamagedError(f"'{folder / name}' is missing. Copy it again or train again.")
    try:
        config = read_adapter_config(folder)
        if isinstance(config, LoraConfig):
            use_separate_pairs(config, encoder.module)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found missing adapter keys")  # an error, below
            adapters = PeftModel.from_pretrained(encoder.module, folder, config=config)
    except RAdapterError:
        raise
    except Exception as error:  # PEFT checks no value: its fields, torch and re raise what they raise
        raise RunError(
            f"'{folder}' must hold adapters in PEFT's format that fit '{encoder.name}'. {type(error).__name__}: "
            f"{error}. Copy the folder again or train again."
        ) from error
    # PEFT leaves an adapter whose tensors are missing at its start
    wanted = get_peft_model_state_dict(adapters, save_embedding_layers=False)
    _check_fits(
        load_weights(folder / SAFETENSORS_WEIGHTS_NAME),
        {name: tensor.shape for name, tensor in wanted.items()},
        folder / SAFETENSORS_WEIGHTS_NAME,
    )
    return adapters


def _load_head(file: Path, embed_dim: int) -> tuple[LinearHead, dict[str, Tensor]]:
    """The head at alpha 1, and its tensors at alpha 0 by the classifier's names."""
    tensors = load_weights(file)
    if "fine_tuned.bias" not in tensors:
        raise RunError(
            f"'{file}' must hold a head with a bias. It has {', '.join(sorted(tensors))}: another version of "
            "radapter wrote it. Train again."
        )
    rows = tensors["fine_tuned.bias"].numel()
    of_part = {"weight": torch.Size((rows, embed_dim)), "bias": torch.Size((rows,))}
    shapes = {f"{at}.{part}": of_part[part] for at in ("head", "zero_shot", "fine_tuned") for part in of_part}
    _check_fits(tensors, shapes, file)
    start = {f"head.{part}": tensors[f"zero_shot.{part}"] for part in of_part}
    return LinearHead(tensors["fine_tuned.weight"], tensors["fine_tuned.bias"]), start


def _check_fits(tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], file: Path) -> None:
    """Raises where a file does not hold tensors of exactly these names and shapes."""
    found = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(found.keys() | shapes.keys()):
        if found.get(name) != shapes.get(name):
            there, wanted = (
                "no such tensor" if shape is None else f"shape {tuple(shape)}"
                for shape in (found.get(name), shapes.get(name))
            )
            raise DamagedError(
                f"'{file}' does not fit the model: {name} has {there}, expected {wanted}. Copy it again or train "
                "again."
            )


def read_about(folder: Path) -> dict[str, Any]:
    """The facts that `save_trained` wrote: method, model, alpha, fingerprint, class names and so on.

    Raises:
        RunError: `folder` is not a finished run, or another version of radapter wrote it.
        DamagedError: the file differs from its record, or a value does not fit.
    """
    if not (folder / TRAINED).is_file():
        raise RunError(
            f"'{folder}' must be a finished run and has no {TRAINED}. Train with 'radapter train', or continue "
            "an interrupted run with '--resume'."
        )
    check_recorded(folder, TRAINED)
    return read_as(folder / TRAINED, About, reads=(1, SCHEMA)).as_dict()
