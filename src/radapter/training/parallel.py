"""The learner as the optimizer moves it: whole in every process, or with its weights sharded across processes.

The whole learner is one process alone, or DistributedDataParallel. The sharded one is FSDP2: each process holds its
part of every block's weights, gathers a block when it runs, and keeps gradients and moments of its part only. The
learner itself then stays in the host's memory and receives the trained weights after every step, so averages,
checkpoints and evaluation see a plain learner.
"""

import copy

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from radapter.adapter import block_names
from radapter.methods import Learner, trained_parameters
from radapter.processes import Processes
from radapter.training.optimization import Optimization
from radapter.training.selective_projection import SelectiveProjection

OptimizerState = dict[int, dict[str, Tensor]]


def parallelize(
    learner: Learner, accelerator: Accelerator, processes: Processes, optimization: Optimization
) -> "ParallelLearner":
    """Wraps a learner for training over processes, which all call this, with AdamW.

    The learner is trained in place. Under FSDP it moves to the CPU, and `publish` writes the trained weights to it.
    """
    if optimization.fsdp:
        return _Sharded(learner, accelerator, processes, optimization)
    return _Replicated(learner, accelerator, optimization)


class _Replicated:
    """Whole in every process. `model` gives a batch's loss, and `optimizer` moves its parameters."""

    def __init__(self, learner: Learner, accelerator: Accelerator, optimization: Optimization) -> None:
        self._parameters = list(trained_parameters(learner).values())
        self._accelerator = accelerator
        self._plain = _adamw(learner, optimization)
        self.model, self.optimizer = accelerator.prepare(learner, self._plain)

    def clip(self, limit: float) -> Tensor:
        """Scales the gradients to this norm at most and returns their norm before, a scalar."""
        return torch.as_tensor(self._accelerator.clip_grad_norm_(self._parameters, limit))

    def average_gradients(self) -> None:
        """Averages gradients that each process accumulated by itself; DDP averages only those of its own forward."""
        if self._accelerator.num_processes > 1:
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            averages = self._accelerator.reduce(gradients, reduction="mean")
            for gradient, average in zip(gradients, averages, strict=True):
                gradient.copy_(average)

    def publish(self) -> None:
        """Writes the optimizer's result to the learner, whose own parameters it has moved here."""

    def optimizer_state(self) -> OptimizerState:
        """AdamW's state of whole parameters; every process must call this."""
        state: OptimizerState = self._plain.state_dict()["state"]
        return state

    def restore(self, optimizer_state: OptimizerState) -> None:
        """Continues from the learner's current parameters and this state."""
        groups = self._plain.state_dict()["param_groups"]
        self._plain.load_state_dict({"state": optimizer_state, "param_groups": groups})


class _Sharded:
    """As `_Replicated`, with weights, gradients and moments sharded across processes (FSDP2)."""

    def __init__(
        self, learner: Learner, accelerator: Accelerator, processes: Processes, optimization: Optimization
    ) -> None:
        self._learner = learner.to("cpu")
        sharded = _sharded(copy.deepcopy(learner), accelerator.device, processes)
        self.model: nn.Module = sharded
        self._parameters = trained_parameters(sharded)
        self._plain = _adamw(sharded, optimization)
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
            number: {
                name: _part_like(value, parameters[number]) if value.ndim else value
                for name, value in entries.items()
            }
            for number, entries in optimizer_state.items()
        }
        groups = self._plain.state_dict()["param_groups"]
        self._plain.load_state_dict({"state": state, "param_groups": groups})


ParallelLearner = _Replicated | _Sharded


def _adamw(learner: Learner, optimization: Optimization) -> torch.optim.AdamW:
    # Encoder first, as in `trained_parameters`: checkpoints number the moments in this order.
    trained = list(trained_parameters(learner).values())
    of_encoder = set(learner.encoder.parameters())
    inside = [parameter for parameter in trained if parameter in of_encoder]
    outside = [parameter for parameter in trained if parameter not in of_encoder]
    assert all(ours is theirs for ours, theirs in zip((*inside, *outside), trained, strict=True))
    rate, head_rate = optimization.learning_rate, optimization.head_learning_rate
    groups = [
        {"params": parameters, "lr": peak, "peak": peak}
        for parameters, peak in ((inside, rate), (outside, rate if head_rate is None else head_rate))
        if parameters
    ]
    if optimization.projection:
        strength = optimization.projection
        return SelectiveProjection(groups, strength=strength, weight_decay=optimization.weight_decay)
    return torch.optim.AdamW(groups, weight_decay=optimization.weight_decay)


def _sharded(learner: Learner, device: torch.device, processes: Processes) -> Learner:
    mesh = init_device_mesh(device.type, (processes.size,))
    scalars = {parameter for parameter in learner.parameters() if parameter.ndim == 0}
    # FSDP2 does not shard scalars: the logit scale stays whole.
    assert not any(scalar.requires_grad for scalar in scalars)
    for scalar in scalars:
        scalar.data = scalar.data.to(device)
    for name in block_names(learner.encoder.module):
        fully_shard(learner.encoder.module.get_submodule(name), mesh=mesh)
    fully_shard(learner, mesh=mesh, ignored_params=scalars)
    return learner


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _part_like(whole: Tensor, parameter: nn.Parameter) -> Tensor:
    assert isinstance(parameter, DTensor)
    # every process has the whole, so nothing is sent
    return distribute_tensor(
        whole.detach().to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )
