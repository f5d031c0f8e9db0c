"""The weights of a trained method, and how a run directory keeps them.

Re-scaling R-Adapter by alpha equals interpolating the weights before and after merging, so every method is seen
as two sets of weights: its own before, and merged after. One alpha sweep serves all.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from peft import PeftModel
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from radapter.adapter import SiteTuner, has_alpha, set_alpha
from radapter.errors import RunError
from radapter.evaluation import AlphaPath, Interpolation, TaskName
from radapter.manifests import check_recorded, forget, record, write_manifest
from radapter.methods import TABLES
from radapter.models import DualEncoder, fingerprint
from radapter.models.loading import TRAINED as TRAINED
from radapter.models.loading import place_for_transformers
from radapter.runs.adapters import check_fits, load_adapters
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, whole_folder, write_json, write_text
from radapter.zeroshot import Classifier, Head, LinearHead

ADAPTER, WEIGHTS, HEAD = "adapter", "weights.safetensors", "head.safetensors"
_SCHEMA = 2  # version 1 may lack `schema`, `head_learning_rate` and `step_bytes`
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Rate = Annotated[float, Field(gt=0)]

_CARD = """---
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
"""The model card outside a finished run; `radapter.hub` writes the whole one."""


class TrainingRecord(BaseModel):
    """The facts about a training that a run directory keeps.

    learning_rate: peak for the towers, or for the head if nothing else is trained; None for a soup.
    head_learning_rate: None if no head is trained, and for a soup. epoch: the one whose weights were kept, counted
    from 1; None for the last. seconds: includes the time before the checkpoint of a resumed training. step_bytes:
    memory of a training step beyond the weights, in each process; None under FSDP.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    method: str
    trained_parameters: _Count
    learning_rate: _Rate | None
    head_learning_rate: _Rate | None = None
    epochs: _Count
    epoch: _Count | None
    seconds: float = Field(ge=0)
    step_bytes: _Count | None = None


class About(TrainingRecord):
    """trained.json: alpha is the chosen one, and the fingerprint that of the base model.

    A folder that `save_trained` wrote outside a run lacks `model` and the following fields. Further facts of a task
    are kept as they are.
    """

    model_config = ConfigDict(extra="allow")

    schema_version: Literal[1, 2] = Field(default=1, alias="schema")
    alpha: float = Field(ge=0, le=1)
    fingerprint: str
    model: str | None = None
    task: TaskName = "classification"
    seed: _Count = 0
    classnames: list[str] | None = None
    templates: list[str] | None = None
    unseen: list[str] | None = None


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    classifier: holds the averaged weights, adapters at alpha 1 and not merged. adapters: PEFT's handle on them;
    None for methods that train the towers' own weights. base: fingerprint of the model before training. before:
    the tensors that training replaced, except adapters, by the classifier's names.
    """

    record: TrainingRecord
    classifier: Classifier
    adapters: PeftModel | None
    base: str
    before: dict[str, Tensor]

    @property
    def rescalable(self) -> bool:
        """Whether its adapters have an alpha of their own: those of R-Adapter have, those of LoRA do not."""
        return self.adapters is not None and has_alpha(self.adapters)

    @contextmanager
    def interpolation(self) -> Iterator[AlphaPath]:
        """The weights before and after, as one line; adapters are merged while the block runs.

        Adapters that cannot be merged are scaled instead.
        """
        if self.adapters is not None and not _merges(self.adapters):
            yield self._scaling()
            return
        now = self._weights()
        try:
            yield self._line(now)
        finally:
            if self.adapters is not None:
                self.adapters.unmerge_adapter()
                self.classifier.load_state_dict(now)  # LoRA's unmerging subtracts, which rounds

    def merged(self) -> AlphaPath:
        """As `interpolation`, but the adapters stay merged: for weights that nothing else uses."""
        if self.adapters is not None and not _merges(self.adapters):
            return self._scaling()
        return self._line(self._weights())

    def beside_adapters(self) -> Interpolation:
        """The weights that training replaced beside adapters with an alpha of their own: a trained temperature."""
        now = self.classifier.state_dict()
        return Interpolation(self.classifier, self.before, {name: now[name] for name in self.before})

    def _scaling(self) -> "_Scaling":
        assert self.adapters is not None
        return _Scaling(self.adapters, self.beside_adapters())

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.classifier.state_dict().items()}

    def _line(self, now: Mapping[str, Tensor]) -> Interpolation:
        if self.adapters is not None:
            self.adapters.merge_adapter()
        return Interpolation(self.classifier, {**now, **self.before}, self.classifier.state_dict())


def save_trained(folder: Path, trained: Trained, *, alpha: float, about: Mapping[str, Any]) -> None:
    """Writes the evaluated weights at the chosen alpha into `folder`, which must exist.

    `adapter/` is PEFT's own format with alpha in its config. Other methods write the tensors they changed, at
    alpha 1. `head.safetensors` holds a head's tensors at alpha 1 ("fine_tuned."), and those that alpha moves also at
    `alpha` ("head.") and at 0 ("zero_shot."). `about` has further facts for `trained.json`. The folder's manifest
    records all files.
    """
    forget(folder, TRAINED, WEIGHTS, HEAD)  # if killed from here on, the manifest claims nothing false
    head = trained.classifier.head
    of_head = {} if head is None else head.state_dict()
    if trained.adapters is not None:
        with set_alpha(trained.adapters, alpha) if trained.rescalable else nullcontext():
            _save_adapters(folder / ADAPTER, trained, alpha)
    towers = [name for name in trained.before if name not in {f"head.{part}" for part in of_head}]
    if trained.adapters is None or towers:  # beside adapters: a trained temperature
        after = trained.classifier.state_dict()
        save_tensors(folder / WEIGHTS, {name: after[name] for name in towers})
    if head is not None:
        tensors = {f"fine_tuned.{part}": tuned for part, tuned in of_head.items()}
        for part in head.path:
            tuned = of_head[part]
            # a head that was not trained is its own start
            start = trained.before.get(f"head.{part}", tuned).to(tuned)
            tensors |= {f"zero_shot.{part}": start, f"head.{part}": torch.lerp(start, tuned, alpha)}
        save_tensors(folder / HEAD, tensors)
    facts = {"schema": _SCHEMA, "alpha": alpha, "fingerprint": trained.base, **trained.record.model_dump()}
    write_json(folder / TRAINED, {**facts, **about})
    record(folder, *(name for name in (TRAINED, WEIGHTS, HEAD) if (folder / name).is_file()))


def load_trained(folder: Path, encoder: DualEncoder) -> Trained:
    """Reads what `save_trained` wrote onto `encoder`, the base model it was trained on; changed in place.

    Raises RunError if `folder` is no finished run or `encoder` is not the base model, and ModelError if its adapters
    have a configuration that radapter does not write.
    """
    about = _read_about(folder)
    if about.fingerprint != (given := fingerprint(encoder)):
        raise RunError(
            f"the base model must be the one that '{folder}' was trained on, fingerprint {about.fingerprint}. "
            f"'{encoder.name}' has {given}. Give the original model."
        )
    check_recorded(folder, WEIGHTS, HEAD)
    head, before = _load_head(folder / HEAD, encoder, about) if (folder / HEAD).is_file() else (None, {})
    classifier = Classifier(encoder, head)
    adapters = None
    if (folder / ADAPTER).is_dir():
        adapters = load_adapters(folder / ADAPTER, encoder)
        if has_alpha(adapters):
            set_alpha(adapters, 1.0)
    if adapters is None or (folder / WEIGHTS).is_file():
        after = load_weights(folder / WEIGHTS)
        here = classifier.state_dict()
        check_fits(after, {name: here[name].shape for name in after if name in here}, folder / WEIGHTS)
        before |= {name: here[name].clone() for name in after}
        classifier.load_state_dict(after, strict=False)
    classifier.eval()
    training = TrainingRecord(**about.model_dump(include=set(TrainingRecord.model_fields)))
    return Trained(training, classifier, adapters, given, before)


def read_about(folder: Path) -> dict[str, Any]:
    """The facts that `save_trained` wrote: method, model, alpha, fingerprint, class names and so on.

    Raises RunError if `folder` is not a finished run or another version of radapter wrote it, and DamagedError if
    the file differs from its record or a value does not fit.
    """
    always = dict.fromkeys(("head_learning_rate", "step_bytes"))  # an older file may lack them
    return always | _read_about(folder).model_dump(by_alias=True, exclude_unset=True)


@dataclass(frozen=True)
class _Scaling:
    """Multiplies the output of adapters by alpha, which is no path between two sets of weights."""

    adapters: PeftModel
    beside: Interpolation

    @contextmanager
    def at(self, alpha: float) -> Iterator[None]:
        """A block in which the adapters have this alpha."""
        with set_alpha(self.adapters, alpha), self.beside.at(alpha):
            yield

    def changes(self) -> dict[str, tuple[float, float]]:
        """Nothing: the base weights stay, and adapters have no counterpart there."""
        return {}


def _merges(adapters: PeftModel) -> bool:
    tuner = adapters.base_model
    return not isinstance(tuner, SiteTuner) or tuner.merges


def _read_about(folder: Path) -> About:
    if not (folder / TRAINED).is_file():
        raise RunError(
            f"'{folder}' must be a finished run and has no {TRAINED}. Train with 'radapter train', or continue "
            "an interrupted run with '--resume'."
        )
    check_recorded(folder, TRAINED)
    return read_as(folder / TRAINED, About, reads=(1, _SCHEMA))


def _save_adapters(folder: Path, trained: Trained, alpha: float) -> None:
    assert trained.adapters is not None
    base = trained.classifier.encoder.name
    with whole_folder(folder, replace=True) as draft:
        for config in trained.adapters.peft_config.values():
            config.base_model_name_or_path = place_for_transformers(base)  # what AutoPeftModel loads
        # "auto" would ask the hub for the base model's configuration.
        trained.adapters.save_pretrained(draft, save_embedding_layers=False)
        card = _CARD.format(base=base, quoted=json.dumps(base), method=trained.record.method, alpha=alpha)
        write_text(draft / "README.md", card)  # PEFT's own is an empty form
        write_manifest(draft)


def _load_head(file: Path, encoder: DualEncoder, about: About) -> tuple[Head, dict[str, Tensor]]:
    """The head at alpha 1, and its tensors at alpha 0 by the classifier's names."""
    method = TABLES[about.task].get(about.method)
    kind: type[Head] = LinearHead if method is None else method.head_type
    tensors = load_weights(file)
    if "fine_tuned.bias" not in tensors:
        raise RunError(
            f"'{file}' must hold a head with a bias. It has {', '.join(sorted(tensors))}: another version of "
            "radapter wrote it. Train again."
        )
    tuned = {
        name.removeprefix("fine_tuned."): tensor
        for name, tensor in tensors.items()
        if name.startswith("fine_tuned.")
    }
    head = kind.sized(tuned, encoder, about.classnames or ())
    expected = head.state_dict()
    shapes = {f"fine_tuned.{part}": tensor.shape for part, tensor in expected.items()}
    shapes |= {f"{at}.{part}": expected[part].shape for at in ("head", "zero_shot") for part in head.path}
    check_fits(tensors, shapes, file)
    head.load_state_dict(tuned)
    return head, {f"head.{part}": tensors[f"zero_shot.{part}"] for part in head.path}
