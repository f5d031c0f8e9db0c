"""Accumulation (EMA) for `transformers.Trainer`; see `adapter.ensembles`.

model = peft.get_peft_model(clip, radapter.RAdapterConfig())
trainer = transformers.Trainer(model, arguments, train_dataset=data, callbacks=[radapter.EmaCallback()])
trainer.train()
merged = trainer.model.merge_and_unload()
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radapter.adapter.ensembles import EMA_ADAPTER, Ema, auto_decay
from radapter.errors import ConfigError, RunError
from radapter.storage import load_weights, save_tensors

AVERAGES = "ema.safetensors"
"""The averages beside a checkpoint of the trainer."""


@final
class EmaCallback(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
    """Averages what the trainer trains, evaluates with the averages, and leaves them in the model at the end.

    A checkpoint of the trainer has the trained weights, with which it resumes, and the averages beside them. With
    `load_best_model_at_end`, the model gets the averages of the best checkpoint.

    Args:
        decay: m of the average, in [0, 1]; "auto" fits it to the number of steps, as train.ema_decay does.

    Attributes:
        ema: The average, from the start of training on.
    """

    def __init__(self, decay: float | Literal["auto"] = "auto") -> None:
        if decay != "auto" and not 0.0 <= decay <= 1.0:
            raise ConfigError(f"decay must be 'auto' or in [0, 1]. Got {decay!r}. The paper uses 0.999.")
        self.decay = decay
        self.ema: Ema | None = None
        self._evaluating = ExitStack()
        self._restored = False  # since the last evaluation began

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts the average, or continues that of a checkpoint."""
        model = kwargs["model"]
        if state.global_step and EMA_ADAPTER in getattr(model, "peft_config", {}):
            model.delete_adapter(EMA_ADAPTER)  # the trainer loads every adapter of a checkpoint
        self.ema = Ema(model, auto_decay(state.max_steps) if self.decay == "auto" else self.decay)
        if state.global_step:
            self._load(self.ema, Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Adds the step to the average, and applies it if an evaluation follows."""
        if not getattr(kwargs.get("optimizer"), "step_was_skipped", False):  # by a gradient scaler
            self._started().update()
        self._before_evaluation(control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Applies the average if an evaluation follows."""
        self._before_evaluation(control)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restores the trained weights. Raises ConfigError at a second set, which would be evaluated with them."""
        if self.ema is None:
            return
        if self._restored and state.global_step:  # before the first step both weights are the same
            raise ConfigError(
                "EmaCallback evaluates one set during training. Got several in eval_dataset. Give one, and evaluate "
                "the others after training."
            )
        self._evaluating.close()
        self._restored = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Saves the averages beside the checkpoint."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            save_tensors(folder / AVERAGES, self._started().state_dict())

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Gives the model the averages, those of the best checkpoint if it was loaded, and ends the average."""
        self._evaluating.close()
        ema = self._started()
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self._load(ema, Path(state.best_model_checkpoint))
        ema.adopt()
        self.ema = None

    def _before_evaluation(self, control: TrainerControl) -> None:
        if control.should_evaluate:
            self._evaluating.close()
            self._restored = False
            self._evaluating.enter_context(self._started().applied())

    def _started(self) -> Ema:
        if self.ema is None:
            raise RuntimeError("EmaCallback must see the start of a training. Give it to the trainer before.")
        return self.ema

    @staticmethod
    def _load(ema: Ema, checkpoint: Path) -> None:
        file = checkpoint / AVERAGES
        if not file.is_file():
            raise RunError(
                f"checkpoint must hold the averages of EmaCallback. '{checkpoint}' has no {AVERAGES}. Train with "
                "the callback from the start, or resume without it."
            )
        ema.load_state_dict(load_weights(file))
