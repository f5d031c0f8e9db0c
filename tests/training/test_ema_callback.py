"""`EmaCallback` in `transformers.Trainer`: the average is that of `Ema`, and the result merges."""

import peft
import pytest
import torch
import transformers

import radapter
from radapter.adapter.ensembles import auto_decay
from radapter.errors import ConfigError, RunError
from radapter.training.ema_callback import AVERAGES
from radapter.world import TINY, normalised, split, tokens

STEPS = 6


@pytest.fixture(scope="module")
def pairs() -> list[dict[str, torch.Tensor]]:
    """Sixteen drawn photographs with their captions."""
    found = split("train", size=16)
    tokenizer = tokens.tokenizer()
    texts = tokenizer(list(found.captions), padding=True, return_tensors="pt")
    pixels = normalised(found.images)
    return [
        {
            "pixel_values": pixels[row],
            "input_ids": texts.input_ids[row],
            "attention_mask": texts.attention_mask[row],
            "labels": found.labels[row],  # for the loss of an evaluation
        }
        for row in range(len(found))
    ]


class Recorder(transformers.TrainerCallback):
    """Keeps the trained values after each step, and what the model held while it was evaluated."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []
        self.start: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.start = trained(kwargs["model"])

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.steps.append(trained(kwargs["model"]))


def trained(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def adapted():
    clip = transformers.CLIPModel.from_pretrained(TINY, dtype=torch.float32)
    torch.manual_seed(0)
    return peft.get_peft_model(clip, radapter.RAdapterConfig(adapter_drop=0.0))


class Contrastive(transformers.Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **_):
        inputs.pop("labels")
        output = model(**inputs, return_loss=True)
        return (output.loss, output) if return_outputs else output.loss


def trainer_of(model, pairs, folder, *callbacks, steps=STEPS, **settings):
    arguments = transformers.TrainingArguments(
        str(folder),
        max_steps=steps,
        per_device_train_batch_size=8,
        learning_rate=1e-2,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        save_strategy=settings.pop("save_strategy", "no"),
        prediction_loss_only=True,
        **settings,
    )
    return Contrastive(
        model, arguments, train_dataset=pairs, eval_dataset=pairs[:8], callbacks=list(callbacks)
    )


def test_the_trainer_leaves_the_average_in_the_model(pairs, tmp_path):
    recorder, callback = Recorder(), radapter.EmaCallback(decay=0.5)
    model = adapted()
    trainer_of(model, pairs, tmp_path, recorder, callback).train()
    average = dict(recorder.start)
    for step in recorder.steps:
        average = {name: value.lerp(step[name], 0.5) for name, value in average.items()}
    left = trained(model)
    assert len(recorder.steps) == STEPS
    assert all(left[name].allclose(value, atol=1e-6) for name, value in average.items())
    assert not all(left[name].allclose(value, atol=1e-4) for name, value in recorder.steps[-1].items())
    assert list(model.peft_config) == ["default"]


def test_the_result_merges(pairs, tmp_path):
    model = adapted()
    trainer_of(model, pairs, tmp_path, radapter.EmaCallback(decay=0.5)).train()
    model.eval()
    radapter.set_alpha(model, 0.5)
    pixels = torch.stack([pair["pixel_values"] for pair in pairs])
    with torch.no_grad():
        before = model.base_model.model.get_image_features(pixel_values=pixels).pooler_output
        merged = model.merge_and_unload()
        after = merged.get_image_features(pixel_values=pixels).pooler_output
    base = transformers.CLIPModel.from_pretrained(TINY, dtype=torch.float32).eval()
    assert after.allclose(before, atol=1e-4)  # float32 sums in another order
    assert not after.allclose(base.get_image_features(pixel_values=pixels).pooler_output, atol=1e-3)


def test_auto_fits_the_decay_to_the_number_of_steps(pairs, tmp_path):
    callback = radapter.EmaCallback()
    seen = []

    class Look(transformers.TrainerCallback):
        def on_step_end(self, *_, **__) -> None:
            seen.append(callback.ema.decay)

    trainer_of(adapted(), pairs, tmp_path, callback, Look(), steps=3).train()
    assert seen == [auto_decay(3)] * 3


def test_evaluation_while_training_sees_the_average_and_training_goes_on_from_the_trained(pairs, tmp_path):
    """With a decay of 1 the average is the start, so every evaluation has the loss of the start."""
    model = adapted()
    recorder = Recorder()
    trainer = trainer_of(
        model, pairs, tmp_path, radapter.EmaCallback(decay=1.0), recorder, eval_strategy="steps", eval_steps=2
    )
    first = trainer.evaluate()["eval_loss"]
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses[-3:] == pytest.approx([first] * 3, rel=1e-6)
    plain = Recorder()
    trainer_of(adapted(), pairs, tmp_path, plain).train()
    assert all(value.equal(plain.steps[-1][name]) for name, value in recorder.steps[-1].items())


def test_a_second_evaluation_set_is_refused(pairs, tmp_path):
    trainer = trainer_of(
        adapted(), pairs, tmp_path, radapter.EmaCallback(), eval_strategy="steps", eval_steps=2
    )
    trainer.eval_dataset = {"one": pairs[:8], "two": pairs[8:]}
    with pytest.raises(ConfigError, match="one set during training"):
        trainer.train()


def test_a_resumed_training_continues_the_average(pairs, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 3}
    whole = adapted()
    trainer_of(whole, pairs, tmp_path / "whole", radapter.EmaCallback(decay=0.5), **saving).train()
    assert (tmp_path / "whole" / "checkpoint-3" / AVERAGES).is_file()
    resumed = adapted()
    trainer = trainer_of(resumed, pairs, tmp_path / "whole", radapter.EmaCallback(decay=0.5), **saving)
    trainer.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert all(value.allclose(trained(resumed)[name], atol=1e-6) for name, value in trained(whole).items())


def test_a_checkpoint_without_averages_is_refused(pairs, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 3}
    trainer_of(adapted(), pairs, tmp_path, **saving).train()
    trainer = trainer_of(adapted(), pairs, tmp_path, radapter.EmaCallback(), **saving)
    with pytest.raises(RunError, match=r"has no ema\.safetensors"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))


def test_the_best_checkpoint_brings_its_averages(pairs, tmp_path):
    best = {"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps", "save_steps": 3}
    model = adapted()
    trainer = trainer_of(
        model, pairs, tmp_path, radapter.EmaCallback(decay=0.5), load_best_model_at_end=True, **best
    )
    trainer.train()
    from radapter.storage import load_weights

    averages = load_weights(f"{trainer.state.best_model_checkpoint}/{AVERAGES}")
    left = dict(model.named_parameters())
    assert all(left[name].allclose(value) for name, value in averages.items())


@pytest.mark.parametrize("decay", [-0.1, 1.5])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ConfigError, match="decay must be"):
        radapter.EmaCallback(decay=decay)
