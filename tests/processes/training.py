"""The results of each process when several train and evaluate together; one process alone has the same results."""

import copy
import dataclasses
import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from methods.random_start import RandomStart
from models.small import OPEN_CLIP
from PIL import Image
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

import radapter
from radapter.adapter import Ema, coins, use_coins
from radapter.data import ClassificationSet, EvalLoader, TrainLoader, open_classification, open_pairs
from radapter.data.images.augment import Augmentation
from radapter.errors import DataError, ImageError, RAdapterError
from radapter.losses import LossName, Parts, bound_loss
from radapter.methods import (
    METHODS,
    LabelledPairs,
    Learner,
    MethodSettings,
    RAdapterSettings,
    find_method,
    trained_parameters,
)
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes, is_shared, join
from radapter.runs.directory import RunDirectory, run_method
from radapter.runs.evaluator import Evaluator
from radapter.runs.fine_tuning import train_method
from radapter.runs.weights import load_trained, save_trained
from radapter.tasks.classification import ClassificationSuite
from radapter.tasks.recipe import Recipe
from radapter.tasks.retrieval import RetrievalSuite
from radapter.training import (
    Checkpoints,
    Environment,
    Interrupted,
    Optimization,
    StopSignal,
    TrainingData,
    fit,
    make_accelerator,
)
from radapter.training.parallel import parallelize
from radapter.world import TINY
from radapter.zeroshot import LinearHead

RECIPE = Recipe(epochs=2, batch_size=7, learning_rate=3e-3, eval_batch_size=4)
# method, task, changes: batches of 7, 7 and 3 samples, which neither 2 nor 4 processes divide; 3 are fewer than 4
TRAININGS = {
    "r-adapter": ("r-adapter", "classification", {}),
    "r-adapter in chunks": ("r-adapter", "classification", {"chunk_size": 2}),
    "r-adapter, best epoch": ("r-adapter", "classification", {"keep": "best"}),
    "r-adapter+head": ("r-adapter+head", "classification", {}),
    "single-positive": ("r-adapter:single-positive", "classification", {}),
    "full": ("full", "classification", {}),
    "flyp": ("flyp", "classification", {}),
    "lora": ("lora", "classification", {}),
    "l2-sp": ("l2-sp", "classification", {}),
    "mask-fill": ("mask-fill", "classification", {}),
    "lp-ft": ("lp-ft", "classification", {}),
    "greedy-soup": ("greedy-soup", "classification", {}),
    "retrieval": ("r-adapter", "retrieval", {}),
    "retrieval in chunks": ("r-adapter", "retrieval", {"chunk_size": 2}),
}
SHARDED = ("r-adapter", "retrieval", "full", "flyp")
FAMILIES = (
    ("open_clip", "r-adapter"),
    ("open_clip", "flyp"),
    ("open_clip", "lora"),
    ("siglip", "r-adapter"),
    ("siglip", "lora"),
)


def make_model(folder: Path) -> None:
    """A CLIP of two blocks with random weights, fed as the world's is."""
    shutil.copytree(TINY, folder)
    config = CLIPConfig.from_pretrained(TINY)
    for tower in (config.vision_config, config.text_config):
        tower.hidden_size, tower.intermediate_size, tower.num_hidden_layers = 32, 64, 1
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)


def make_outcomes(model: Path) -> None:
    """What R-Adapter makes of it for each task, beside it: trained once, since two trainings in unlike surroundings
    may differ in the last bit."""
    for task in ("classification", "retrieval"):
        outcome = train_method(METHODS["r-adapter"], radapter.load(model), suite_of(task), RECIPE, seed=1)
        save_trained(_outcome(model, task), outcome, alpha=1.0, about={})


def _outcome(model: Path, task: str) -> Path:
    return model.with_name(f"{task}-outcome")


@cache
def classification() -> ClassificationSuite:
    def split(name: str, size: int) -> ClassificationSet:
        return open_classification({"world": name, "size": size, "seed": 3})

    many = split("train", 60)
    train = many.subset(
        many.labels.argsort(stable=True)[:17].tolist()
    )  # few classes: several of one in a batch
    return ClassificationSuite(
        train=train,
        id_val=split("id_val", 13),
        id_test={"photo": split("id_test", 9)},
        ood={"sketch": split("sketch", 1), "neon": split("neon", 6)},
        classnames=train.classnames,
        templates=("a photo of a {}.", "a drawing of a {}."),
    )


@cache
def retrieval() -> RetrievalSuite:
    def scenes(size: int, seed: int, styles: str = "photo"):
        return open_pairs(
            {"world": "scenes", "styles": styles, "size": size, "seed": seed, "captions_per_image": 2}
        )

    return RetrievalSuite(
        train=scenes(12, 0),
        id_val=scenes(7, 1),
        id_test={"photo": scenes(9, 2)},
        ood={"sketch": scenes(1, 2, "sketch")},
        per_group=None,
    )


def suite_of(task: str) -> ClassificationSuite | RetrievalSuite:
    return classification() if task == "classification" else retrieval()


def trained(
    case: str, model: Path, processes: Processes, folder: Path | None = None, *, fsdp: bool = False, **options
):
    """The outcome of a training in float64, and what was reported of its steps."""
    method, task, changes = TRAININGS[case]
    steps: list[tuple[float, float]] = []

    def report(step) -> None:
        steps.append((step.loss, step.gradient_norm))
        if "ask" in options and processes.rank == processes.size - 1 and step.step == options["ask"]:
            options["stop"].asked = True

    torch.manual_seed(processes.rank)  # what is common must not rest on a common generator
    outcome = train_method(
        find_method(method, task),
        radapter.load(model).double(),
        suite_of(task),
        dataclasses.replace(RECIPE, fsdp=fsdp, **changes),
        seed=1,
        checkpoints=None if folder is None else Checkpoints(folder),
        resume=options.get("resume", False),
        environment=Environment(processes, stop=options.get("stop") or StopSignal(), report=report),
    )
    state = outcome.classifier.state_dict()
    kept = outcome.before or [name for name in state if "radapter" in name or "lora" in name]
    return {"weights": {name: state[name] for name in kept}, "steps": torch.tensor(steps).double()}


LOSSES = ("mpm-nce", "single-positive", "clip", "siglip", "cross-entropy")


def loss_and_gradients(name: LossName, processes: Processes) -> list[torch.Tensor]:
    """A loss of 11 rows, its gradient on this process's, and, averaged over processes, on the head."""
    generator = torch.Generator().manual_seed(0)
    images, texts = F.normalize(torch.randn(2, 11, 6, generator=generator).double(), dim=-1)
    targets = torch.tensor([0, 0, 1, 2, 3, 1, 2, 2, 4, 0, 5])
    own = processes.share(len(images))
    parts = None if processes.group is None else Parts(processes.group, processes.shares(len(images)))
    rows = images[own.start : own.stop].clone().requires_grad_()
    others = texts[own.start : own.stop].clone().requires_grad_()
    head = LinearHead(texts[:6]).requires_grad_()
    loss = bound_loss(name, margin=None, label_smoothing=None, logit_bias=torch.tensor(-2.0).double())
    other = head if name == "cross-entropy" else others
    value = loss(rows, other, targets[own.start : own.stop], torch.tensor(20.0).double(), parts)
    value.backward()
    if name == "cross-entropy":
        return [value.detach(), rows.grad, sum(processes.gather(head.weight.grad)) / processes.size]
    return [value.detach(), rows.grad, others.grad]


def gradient(task: str, model: Path, processes: Processes, folder: Path) -> dict[int, torch.Tensor]:
    """The gradient of the first step: AdamW's first moment is a tenth of it."""
    checkpoints = Checkpoints(folder)
    train_method(
        find_method("r-adapter", task),
        radapter.load(model).double(),
        suite_of(task),
        dataclasses.replace(RECIPE, epochs=1, batch_size=100, grad_clip=None),
        seed=1,
        checkpoints=checkpoints,
        environment=Environment(processes),
    )
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 1
    return {number: state["exp_avg"] * 10 for number, state in newest.optimizer.items()}


def poisoned(model: Path, processes: Processes):
    """A training whose last process meets images that are not numbers, in the second of its three steps."""
    suite, encoder = classification(), radapter.load(model).double()
    loss = bound_loss("mpm-nce", margin=None, label_smoothing=None, logit_bias=None)
    assert METHODS["r-adapter"].build is not None
    learner, _ = METHODS["r-adapter"].build(
        encoder, head=suite.head(encoder), loss=loss, settings=RAdapterSettings()
    )
    ema = Ema(learner, decay=0.5)
    data = TrainingData(*suite.training(encoder, RECIPE, seed=1, memory=None, processes=processes))
    plain = data.loader.epoch

    def epoch(number: int, start_step: int = 0):
        for step, batch in enumerate(plain(number, start_step), start_step):
            if step == 1 and processes.rank == processes.size - 1:
                batch.pixels.fill_(float("nan"))
            yield batch

    data.loader.epoch = epoch  # type: ignore[method-assign]
    skipped = fit(
        learner,
        ema,
        data,
        make_accelerator("fp32"),
        Optimization(epochs=1, learning_rate=3e-3),
        environment=Environment(processes),
    )
    return {"skipped": skipped, "weights": {n: t.clone() for n, t in ema.state_dict().items()}}


def family(name: str, method: str, folder: Path, processes: Processes) -> float:
    """How far three steps of FSDP on one library's model are from those of one process."""
    found = []
    for sharded in (False, True):
        if name == "open_clip":
            import open_clip

            open_clip.factory._MODEL_CONFIGS["tiny-ViT"] = copy.deepcopy(OPEN_CLIP)
            encoder = radapter.load("open_clip:tiny-ViT").double()
        else:
            encoder = radapter.load(folder / name).double()
        row = METHODS[method]
        loss = bound_loss(
            "mpm-nce" if encoder.logit_bias is None else "siglip",
            margin=None,
            label_smoothing=None,
            logit_bias=encoder.logit_bias,
        )
        torch.manual_seed(0)
        head = LinearHead(torch.zeros(0, encoder.embed_dim))
        settings = row.settings(MethodSettings())
        if isinstance(settings, RAdapterSettings):
            settings = RandomStart(**settings.model_dump())
        assert row.build is not None
        learner = row.build(encoder, head=head, loss=loss, settings=settings).learner.train()
        found.append(_three_steps(learner, processes if sharded else ALONE, sharded=sharded))
    return max((found[0][n] - found[1][n]).abs().max().item() for n in found[0] if "k_proj.bias" not in n)


def _three_steps(learner: Learner, processes: Processes, *, sharded: bool) -> dict[str, torch.Tensor]:
    accelerator = make_accelerator("fp32")
    if sharded:
        optimization = Optimization(epochs=1, learning_rate=1e-2, fsdp=True)
        parallel = parallelize(learner, accelerator, processes, optimization)
        model, optimizer = parallel.model, parallel.optimizer
    else:
        model, optimizer = (
            learner,
            torch.optim.AdamW(trained_parameters(learner).values(), 1e-2, weight_decay=0.0),
        )
    generator = torch.Generator().manual_seed(3)
    encoder, keys, own = learner.encoder, torch.arange(5), slice(*_bounds(processes.share(5)))
    for step in range(3):
        pixels = torch.randn(5, 3, encoder.image_size, encoder.image_size, generator=generator).double()
        tokens = torch.randint(1, 20, (5, encoder.context_length), generator=generator)
        tokens[:, -1] = encoder.towers.eos_id
        pairs = LabelledPairs(
            pixels[own],
            tokens[own],
            torch.arange(len(keys[own])),
            torch.tensor([0, 1, 0, 2, 3])[own],
            None if processes.group is None else Parts(processes.group, processes.shares(5)),
        )
        with use_coins(model, coins.HashCoins(0, step, {"image": keys[own], "text": keys[own]})):
            loss = model(pairs)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if sharded:
        parallel.publish()
    return {name: p.detach().clone() for name, p in trained_parameters(learner).items()}


def _bounds(share: range) -> tuple[int, int]:
    return share.start, share.stop


def interrupted(model: Path, processes: Processes, folder: Path, *, fsdp: bool = False) -> None:
    """Five of six steps; only the last process is asked to stop, in the fourth."""
    stop = StopSignal()
    with pytest.raises(Interrupted) as raised:
        trained("r-adapter", model, processes, folder, fsdp=fsdp, stop=stop, ask=4)
    assert is_shared(raised.value)


def metrics(task: str, model: Path, processes: Processes):
    """Every set at two alphas, with the model as it is and adapters that change it."""
    suite, encoder = suite_of(task), radapter.load(model)
    outcome = load_trained(_outcome(model, task), encoder)
    evaluator = Evaluator(suite, encoder, RECIPE, Environment(processes))
    found = [evaluator.zero_shot(radapter.load(model)), evaluator.sweep(outcome, alphas=(1.0, 0.0))]
    rows = [row.model_dump() for swept in found for row in swept.rows]
    return rows, {key: values.tolist() for key, values in found[1].pseudo_values.items()}


@dataclasses.dataclass
class Dots:
    """Pictures of one colour each; `damaged` ones cannot be decoded."""

    size: int
    damaged: frozenset[int] = frozenset()
    name: str = "dots"
    groups: None = None

    @property
    def labels(self) -> torch.Tensor:
        return torch.arange(self.size) % 3

    @property
    def keys(self) -> torch.Tensor:
        return torch.arange(self.size) * 7919

    def __len__(self) -> int:
        return self.size

    def image(self, index: int) -> Image.Image:
        if index in self.damaged:
            raise ImageError(f"image must be readable. {index} is not.")
        return Image.new("RGB", (8, 8), (index, 0, 0))

    def where(self, index: int) -> str:
        return f"dot {index}"


def as_tensor(image: Image.Image) -> torch.Tensor:
    return torch.full((3, 2, 2), float(image.getpixel((0, 0))[0]))  # type: ignore[index]


def evaluated(size: int, batch_size: int, processes: Processes, **options) -> list[int]:
    """The samples that all processes together evaluate, in the order of the ranks; two passes."""
    loader = EvalLoader(
        Dots(size, **options), as_tensor, batch_size=batch_size, max_bad=0.5, processes=processes
    )
    for _ in range(2):
        own = [index for batch in loader for index in batch.indices.tolist()]
    return [index for of_one in processes.gather(own) for index in of_one]


def batches(size: int, batch_size: int, processes: Processes, *, max_bad: float = 0.9, **options):
    """Each step's batch, put together, and whether every process had all of it; bad images are counted."""
    loader = TrainLoader(
        Dots(size, **options),
        as_tensor,
        Augmentation(8),
        batch_size=batch_size,
        seed=4,
        max_bad=max_bad,
        processes=processes,
    )
    found = []
    for batch in loader.epoch(0):
        parts = processes.gather(batch.indices.tolist())
        if batch.sizes is None:
            assert all(part == parts[0] for part in parts)
            found.append(parts[0])
        else:
            assert batch.sizes == tuple(map(len, parts))
            found.append([index for part in parts for index in part])
    return found, len(loader.bad)


def raised(work) -> tuple[str, str, list[str]]:
    try:
        work()
    except RAdapterError as error:
        return type(error).__name__, str(error), getattr(error, "__notes__", [])
    return "", "", []


def fails(processes: Processes):
    def in_last() -> None:
        if processes.rank == processes.size - 1:
            raise DataError("here")

    def everywhere() -> None:
        raise DataError("everywhere")

    return {
        "last": raised(lambda: processes.everywhere(in_last)),
        "all": raised(lambda: processes.everywhere(everywhere)),
        "main": raised(lambda: processes.on_main(everywhere)),
        "too many": raised(lambda: batches(12, 6, processes, max_bad=0.2, damaged=frozenset({0, 5, 11}))),
        "evaluated": raised(lambda: evaluated(8, 2, processes, damaged=frozenset(range(1, 8)))),
        "none": raised(lambda: batches(3, 3, processes, max_bad=1.0, damaged=frozenset(range(3)))),
    }


def unlike(model: Path, processes: Processes, run: Path):
    """Runs in which the last process has another model, or other images, than the others."""
    last = processes.rank == processes.size - 1

    def attempt(encoder: DualEncoder, suite: ClassificationSuite) -> tuple[str, str, list[str]]:
        row = METHODS["r-adapter"]
        directory, environment = RunDirectory(run, settings=""), Environment(processes)
        return raised(lambda: run_method(directory, row, encoder, suite, RECIPE, environment=environment))

    other = radapter.load(model)
    if last:
        with torch.no_grad():
            next(other.parameters()).add_(1.0)
    suite = classification()
    fewer = dataclasses.replace(suite, train=suite.train.subset(range(9))) if last else suite
    return {
        "model": attempt(other, suite),
        "data": attempt(radapter.load(model), fewer),
        "written": run.exists(),
    }


def loading(processes: Processes):
    """What loaders give."""
    return {
        "evaluated": {
            (size, batch): evaluated(size, batch, processes)
            for size in range(1, 12)
            for batch in (1, 2, 3, 8)
        },
        "readable": evaluated(9, 2, processes, damaged=frozenset({0, 1, 5})),
        "batches": {
            (size, batch): batches(size, batch, processes)[0] for size in (1, 3, 5, 8, 9) for batch in (4, 5)
        },
        "damaged": [
            batches(9, 4, processes, damaged=frozenset(damaged)) for damaged in ((0,), (2, 3, 4), range(1, 9))
        ],
    }


def found_by(processes: Processes, folder: Path):
    """Everything but FSDP."""
    own, model = folder / f"world-{processes.size}", folder / "model"
    interrupted(model, processes, own / "stopped")
    processes.on_main(lambda: shutil.copytree(own / "stopped", own / "kept"))
    tasks = ("classification", "retrieval")
    return {
        "gradients": {task: gradient(task, model, processes, own / task) for task in tasks},
        "losses": {name: loss_and_gradients(name, processes) for name in LOSSES},
        "trained": {case: trained(case, model, processes) for case in TRAININGS},
        "resumed": trained("r-adapter", model, processes, own / "stopped", resume=True),
        "metrics": {task: metrics(task, model, processes) for task in tasks},
        "loading": loading(processes),
        "fails": fails(processes),
        "poisoned": poisoned(model, processes),
        "unlike": unlike(model, processes, own / "run") if processes.size > 1 else {},
    }


def sharded_by(processes: Processes, folder: Path):
    """The same with FSDP2."""
    own, model = folder / "sharded", folder / "model"
    interrupted(model, processes, own, fsdp=True)
    return {
        "trained": {case: trained(case, model, processes, fsdp=True) for case in SHARDED},
        "resumed": trained("r-adapter", model, processes, own, fsdp=True, resume=True),
        "families": {pair: family(*pair, folder, processes) for pair in FAMILIES},
    }


def run(folder: str) -> None:
    """Runs one process of several, and writes its results to FOLDER/SIZE-RANK.pt."""
    processes, place = join(), Path(folder)
    found = found_by(processes, place)
    if processes.size == 2:
        found["sharded"] = sharded_by(processes, place)
    torch.save(found, place / f"{processes.size}-{processes.rank}.pt")
    processes.leave()
