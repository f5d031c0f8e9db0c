"""The rows of the soak: each repeats a failure and counts the trials that lose data."""

import random
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import children
import training
from damage import HARMS, everything_written, is_noticed, recorded_files
from PIL import Image

from radapter.errors import RunError
from radapter.training.checkpoints import Checkpoints
from radapter.world import CLASSES


@dataclass(frozen=True)
class Outcome:
    """What a row found.

    Attributes:
        trials: harms done.
        failed: how many of them lost or changed something.
        note: what else was seen.
    """

    trials: int
    failed: int
    note: str = ""


def memory_of_a_long_run(folder: Path, trials: int) -> Outcome:
    """Train for `trials` steps; compare memory, handles and threads after a tenth of them with those at the end."""
    settings = {"train": {"epochs": -(-trials // 4), "checkpoint_every": max(trials // 20, 1)}}
    process = training.train(folder, training.written(folder, settings))
    samples = []
    while process.is_alive():
        time.sleep(0.2)
        if trials // 10 < training.steps_done(folder) < trials:
            samples.append(training.usage(process.pid))
    training.check(process.exitcode == 0, folder)
    first, last = samples[0], samples[-1]
    growth = last.resident / first.resident - 1
    leaked = max(last.handles - first.handles, 0) + max(last.threads - first.threads, 0)
    note = f"memory {growth:+.2%}, {leaked} leaked handles or threads"
    return Outcome(trials, int(growth > 0.02) + leaked, note)


def kills_in_training(folder: Path, trials: int) -> Outcome:
    """Kill trainings at random moments and start the same command again, until they finish."""
    chance = random.Random(0)
    plain = training.finished(folder / "plain", training.written(folder / "plain"))
    kills = failed = runs = 0
    while kills < trials:
        place = folder / str(runs)
        run = training.written(place)
        runs += 1
        while kills < trials:
            process = training.train(place, run)
            training.wait_for_steps(place, process, training.steps_done(place) + 1)
            time.sleep(chance.uniform(0, 0.6))
            if not process.is_alive():
                break
            process.kill()
            process.join()
            kills += 1
        failed += training.finished(place, run) != plain or any(place.rglob(".*.part"))
        shutil.rmtree(place)
    return Outcome(kills, failed, f"{runs} runs, each killed several times")


def kills_in_saving(folder: Path, trials: int) -> Outcome:
    """Kill a process that does nothing but save; the newest checkpoint is whole and not older than acknowledged."""
    chance = random.Random(1)
    failed = 0
    for _ in range(trials):
        process = children.start(children.save_forever, folder)
        training.wait_for((folder / "acknowledged").exists)
        time.sleep(chance.uniform(0.02, 0.25))
        process.kill()
        process.join()
        try:
            newest = Checkpoints(folder / "checkpoints").newest()
        except RunError:  # all are damaged
            newest = None
        acknowledged = int((folder / "acknowledged").read_text())
        failed += (
            newest is None
            or newest.step < acknowledged
            or newest.parameters["weight"].unique().tolist() != [newest.step]
        )
    return Outcome(trials, failed)


def restarts_by_torchrun(folder: Path, trials: int) -> Outcome:
    """Kill one of two processes under `torchrun --max-restarts` again and again; one command line for all."""
    settings = {"train": {"epochs": trials // 2 + 2}}
    for place in (folder / "plain", folder / "killed"):
        training.written(place, settings)
    plain = training.torchrun(folder / "plain" / "run.yaml", folder / "plain", restarts=0)
    subprocess.run(plain, check=True, capture_output=True)
    place, chance, kills, seen = folder / "killed", random.Random(2), 0, 0
    with (place / "log").open("w") as log:
        command = training.torchrun(place / "run.yaml", place, restarts=trials)
        launcher = subprocess.Popen(command, stdout=log, stderr=log)
    while launcher.poll() is None:
        time.sleep(0.05)
        step = training.steps_done(place)
        if kills < trials and step > seen and (workers := training.children_of(launcher.pid)):
            seen = step
            training.kill(chance.choice(workers))
            kills += 1
    training.check(launcher.returncode == 0 and kills == trials, place)
    return Outcome(kills, int(training.outcome(place) != training.outcome(folder / "plain")))


def corruptions(folder: Path, trials: int) -> Outcome:
    """Damage one recorded file of everything that radapter writes; the check must notice it."""
    chance = random.Random(3)
    files = {place: recorded_files(place) for place in everything_written(folder)}
    failed = 0
    for trial in range(trials):
        place = list(files)[trial % len(files)]
        file = chance.choice(files[place])
        before = file.read_bytes()
        HARMS[trial % len(HARMS)](file, before, chance)
        failed += not is_noticed(place)
        file.write_bytes(before)
    return Outcome(trials, failed, f"in {', '.join(place.name for place in files)}")


def full_disk(folder: Path, trials: int) -> Outcome:
    """Train on file systems that are too small, a bit larger each time; then with enough room."""
    return _on_small_disks(folder, [f"size={1 + trial}m" for trial in range(trials)], enough="size=64m")


def no_inodes(folder: Path, trials: int) -> Outcome:
    """Train on file systems that run out of inodes; then with enough of them."""
    options = [f"size=64m,nr_inodes={8 + 4 * trial}" for trial in range(trials)]
    return _on_small_disks(folder, options, enough="nr_inodes=1000")


def _on_small_disks(folder: Path, options: list[str], *, enough: str) -> Outcome:
    plain = training.finished(folder / "plain", training.written(folder / "plain"))
    failed = 0
    for number, option in enumerate(options):
        with training.small_disk(folder / str(number), option) as place:
            logs = folder / f"logs-{number}"
            run = training.written(logs)
            process = children.start(children.command, logs / "log", training.train_arguments(run, place))
            process.join()
            explained = process.exitcode in (0, 2) and "Traceback" not in training.log(logs)
            training.remount(place, enough)
            training.run_command(logs, *training.train_arguments(run, place))
            failed += not (explained and training.outcome(place) == plain)
    return Outcome(len(options), failed)


def read_only(folder: Path, trials: int) -> Outcome:
    """Train into a file system that is read-only from the start."""
    failed = 0
    run = training.written(folder)
    for trial in range(trials):
        with training.small_disk(folder / str(trial), "size=8m") as place:
            training.remount(place, "ro")
            process = children.start(children.command, folder / "log", training.train_arguments(run, place))
            process.join()
            failed += not (process.exitcode == 2 and "Traceback" not in training.log(folder))
    return Outcome(trials, failed)


def killed_reader(folder: Path, trials: int) -> Outcome:
    """Kill the reader processes of a streamed run, as the kernel does when memory runs out; start again."""
    training.run_command(folder, "shards", "{world: train, size: 60}", "--out", str(folder / "shards"))
    stream = {"data": {"train": {"stream": str(folder / "shards"), "readers": 1}}}
    plain = training.finished(folder / "plain", training.written(folder / "plain", stream))
    failed = 0
    for trial in range(trials):
        place = folder / str(trial)
        run = training.written(place, stream)
        process = training.train(place, run)
        training.wait_for_steps(place, process, 2)
        step = training.steps_done(place)
        for reader in training.children_of(process.pid):
            training.kill(reader)
        process.join()
        newest = Checkpoints(place / "run" / "checkpoints").newest()
        saved = newest is not None and newest.step >= step
        explained = process.exitcode == 2 and "Traceback" not in training.log(place)
        failed += not (saved and explained and training.finished(place, run) == plain)
    return Outcome(trials, failed)


def clock_set_back(folder: Path, trials: int) -> Outcome:
    """Set the clock back by an hour in the middle of a training."""
    plain = training.finished(folder / "plain", training.written(folder / "plain"))
    places = [folder / str(trial) for trial in range(trials)]
    return Outcome(
        trials, sum(training.finished(place, training.written(place), "clock") != plain for place in places)
    )


def damaged_images(folder: Path, trials: int) -> Outcome:
    """Train on a thousand images of which one is cut off, `trials` times another one."""
    photos = folder / "photos"
    for number in range(1000):
        image = photos / CLASSES[number % 20] / f"{number}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number % 256, number // 4 % 256, 90)).save(image)
    settings = {"data": {"train": {"folder": str(photos)}}, "train": {"epochs": 1, "batch_size": 100}}
    failed = 0
    for trial in range(trials):
        place = folder / str(trial)
        damaged = sorted(photos.glob("*/*.png"))[trial * 37]
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[: len(whole) // 2])
        process = training.train(place, training.written(place, settings))
        process.join()
        damaged.write_bytes(whole)
        failed += not (process.exitcode == 0 and damaged.name in training.log(place))
    return Outcome(trials, failed)


def network_file_system(folder: Path, trials: int) -> Outcome:
    """Imitate a file system without locks and without fsync of directories; kill and start again."""
    return _killed_where(folder, trials, "nfs")


def windows(folder: Path, trials: int) -> Outcome:
    """Imitate a system without fcntl, POSIX's signals and fsync of directories; kill and start again."""
    return _killed_where(folder, trials, "windows")


def _killed_where(folder: Path, trials: int, imitation: str) -> Outcome:
    plain = training.finished(folder / "plain", training.written(folder / "plain"))
    failed = 0
    for trial in range(trials):
        place = folder / str(trial)
        run = training.written(place)
        process = training.train(place, run, imitation)
        training.wait_for_steps(place, process, 3)
        process.kill()
        process.join()
        failed += training.finished(place, run, imitation) != plain
    return Outcome(trials, failed)
