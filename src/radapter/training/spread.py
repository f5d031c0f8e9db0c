"""The learner as the optimizer moves it: whole in every process, or with its weights sharded across processes.

The whole learner is one process alone, or DistributedDataParallel. The sharded one is FSDP2: each process holds its
part of every block's weights, gathers a block when it runs, and keeps gradients and moments of its part only. The
learner itself then stays in the host's memory and receives the trained weights after every step, so averages,
checkpoints and evaluation see a plain learner.
"""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from radapter.adapter import block_names
from radapter.methods import Learner, trained_parameters
from radapter.processes import Processes

OptimizerState = dict[int, dict[str, Tensor]]


class PeakRates(NamedTuple):
    """The highest learning rates of one training; one schedule scales both.

    encoder: of the parameters of the towers. head: of the others, if there are any.
    """

    encoder: float
    head: float


class Spread(Protocol):
    """The trained model and its optimizer. model: gives a batch's loss. optimizer: moves its parameters."""

    model: nn.Module
    optimizer: torch.optim.Optimizer

    def clip(self, limit: float) -> Tensor:
        """Scales the gradients to this norm at most and returns their norm before, a scalar."""

    def average_gradients(self) -> None:
        """Averages gradients that each process accumulated by itself."""

    def publish(self) -> None:
        """Writes the optimizer's result to the learner."""

    def optimizer_state(self) -> OptimizerState:
        """AdamW's state of whole parameters; every process must call this."""

    def restore(self, optimizer_state: OptimizerState) -> None:
        """Continues from the learner's current parameters and this state."""


def spread_of(
    learner: Learner,
    accelerator: Accelerator,
    processes: Processes,
    *,
    rates: PeakRates,
    weight_decay: float,
    sharded: bool,
) -> Spread:
    """Wraps the learner for training over processes, with AdamW.

    Args:
        learner: Trained in place. If sharded, it moves to the CPU, and `publish` writes the trained weights to it.
        accelerator: Device and precision.
        processes: All of them call this.
        rates: AdamW's, one group of parameters each.
        weight_decay: AdamW's, decoupled.
        sharded: Shards weights, gradients and moments across the processes (FSDP2).
    """
    if sharded:
        return _Sharded(learner, accelerator, processes, rates, weight_decay)
    return _Replicated(learner, accelerator, rates, weight_decay)


class _Replicated:
    def __init__(
        self, learner: Learner, accelerator: Accelerator, rates: PeakRates, weight_decay: float
    ) -> None:
        self._parameters = list(trained_parameters(learner).values())
        self._accelerator = accelerator
        self._plain = torch.optim.AdamW(_groups(learner, rates), weight_decay=weight_decay)
        self.model, self.optimizer = accelerator.prepare(learner, self._plain)

    def clip(self, limit: float) -> Tensor:
        return torch.as_tensor(self._accelerator.clip_grad_norm_(self._parameters, limit))

    def average_gradients(self) -> None:
        if self._accelerator.num_processes > 1:  # DDP averages only the gradients of its own forward
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            averages = self._accelerator.reduce(gradients, reduction="mean")
            for gradient, average in zip(gradients, averages, strict=True):
                gradient.copy_(average)

    def publish(self) -> None:
        pass  # the optimizer moves the learner's own parameters

    def optimizer_state(self) -> OptimizerState:
        state: OptimizerState = self._plain.state_dict()["state"]
        return state

    def restore(self, optimizer_state: OptimizerState) -> None:
        groups = self._plain.state_dict()["param_groups"]
        self._plain.load_state_dict({"state": optimizer_state, "param_groups": groups})


class _Sharded:
    def __init__(
        self,
        learner: Learner,
        accelerator: Accelerator,
        processes: Processes,
        rates: PeakRates,
        weight_decay: float,
    ) -> None:
        self._learner = learner.to("cpu")
        sharded = _sharded(copy.deepcopy(learner), accelerator.device, processes)
        self.model: nn.Module = sharded
        self._parameters = trained_parameters(sharded)
        self._plain = torch.optim.AdamW(_groups(sharded, rates), weight_decay=weight_decay)
        self.optimizer = accelerator.prepare(self._plain)

    def clip(self, limit: float) -> Tensor:
        return _whole(torch.nn.utils.clip_grad_norm_(self._parameters.values(), limit))

    def average_gradients(self) -> None:
        pass  # the backward pass has averaged them

    @torch.no_grad()
    def publish(self) -> None:
        for name, parameter in trained_parameters(self._learner).items():
            parameter.copy_(_whole(self._parameters[name]))

    def optimizer_state(self) -> OptimizerState:
        state: OptimizerState = self._plain.state_dict()["state"]
        return {
            number: {name: _whole(value) for name, value in entries.items()}
            for number, entries in state.items()
        }

    @torch.no_grad()
    def restore(self, optimizer_state: OptimizerState) -> None:
        own = trained_parameters(self._learner)
        for name, parameter in self._parameters.items():
            parameter.copy_(_part_like(own[name], parameter))
        parameters = list(self._parameters.values())
        state = {
            number: _parts_like(entries, parameters[number]) for number, entries in optimizer_state.items()
        }
        groups = self._plain.state_dict()["param_groups"]
        self._plain.load_state_dict({"state": state, "param_groups": groups})


def _groups(learner: Learner, rates: PeakRates) -> list[dict[str, Any]]:
    # Encoder first, as in `trained_parameters`: checkpoints number the moments in this order.
    trained = list(trained_parameters(learner).values())
    of_encoder = set(learner.encoder.parameters())
    inside = [parameter for parameter in trained if parameter in of_encoder]
    outside = [parameter for parameter in trained if parameter not in of_encoder]
    assert all(ours is theirs for ours, theirs in zip((*inside, *outside), trained, strict=True))
    return [
        {"params": parameters, "lr": rate, "peak": rate}
        for parameters, rate in ((inside, rates.encoder), (outside, rates.head))
        if parameters
    ]


def _sharded(learner: Learner, device: torch.device, processes: Processes) -> Learner:
    mesh = init_device_mesh(device.type, (processes.size,))
    scalars = {parameter for parameter in learner.parameters() if parameter.ndim == 0}
    assert not any(
        scalar.requires_grad for scalar in scalars
    )  # FSDP2 parts no scalar: the logit scale stays whole
    for scalar in scalars:
        scalar.data = scalar.data.to(device)
    for name in block_names(learner.encoder.module):
        fully_shard(learner.encoder.module.get_submodule(name), mesh=mesh)
    fully_shard(learner, mesh=mesh, ignored_params=scalars)
    return learner


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _parts_like(entries: Mapping[str, Tensor], parameter: nn.Parameter) -> dict[str, Tensor]:
    return {name: _part_like(value, parameter) if value.ndim else value for name, value in entries.items()}


def _part_like(whole: Tensor, parameter: nn.Parameter) -> Tensor:
    assert isinstance(parameter, DTensor)
    # every process has the whole, so nothing is sent
    return distribute_tensor(
        whole.detach().to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )
