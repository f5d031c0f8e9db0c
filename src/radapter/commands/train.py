"""`radapter train`: one method on the user's data, in a run folder."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from radapter.commands.building import recipe_of, report_long_captions, suite_of
from radapter.commands.checks import check_model, check_run_folder, check_settings
from radapter.commands.reporting import print_results, write_report
from radapter.commands.terminal import bars, next_steps
from radapter.config import load_config, resolved_yaml
from radapter.methods import find_method
from radapter.models import load
from radapter.protocol import Results, run_method
from radapter.training import Interrupted


def train(path: Path, overrides: Sequence[str], *, out: Path | None = None, resume: bool = False) -> Results:
    """Trains, chooses alpha on ID validation, reports ID and OOD.

    Args:
        path: the YAML file.
        overrides: "key=value", dotted.
        out: the run folder, in place of the file's.
        resume: continue from the newest good checkpoint.

    Raises:
        InputError: a setting, the model, the data or the run folder; nothing is written.
        Interrupted: a signal came; a checkpoint is saved, and the message has the command that resumes.
    """
    chosen_out = [] if out is None else [f"out={json.dumps(str(out))}"]
    config = load_config(path, [*overrides, *chosen_out])
    method = find_method(config.method, config.task)
    check_settings(config, method)
    check_run_folder(config, resume=resume)
    encoder = load(config.model, allow_download=config.allow_download)
    recipe = recipe_of(config)
    check_model(encoder, config, recipe, method)
    suite = suite_of(config, encoder)
    report_long_captions(suite, encoder)
    with bars() as bar:
        bar.starting(method.name)
        try:
            results = run_method(
                Path(config.out),
                method,
                encoder,
                suite,
                recipe,
                settings=resolved_yaml(config),
                alpha=config.adapter.alpha if method.alpha == "auto" else None,
                seed=config.seed,
                resume=resume,
                tracking=config.tracking,
                report=bar.report,
                progress=bar.evaluated,
            )
        except KeyboardInterrupt as interruption:
            again = ["radapter", "train", str(path), *overrides]
            again += [] if out is None else ["--out", str(out)]
            reason = str(interruption) or "stopped"
            raise Interrupted(
                f"{reason}. What was saved is in '{config.out}'. Continue: {shlex.join([*again, '--resume'])}"
            ) from None
    write_report(results, Path(config.out))
    print_results(results, Path(config.out))
    run = shlex.quote(config.out)
    if method.build is None:
        next_steps(
            ("fine-tune it", f"radapter train {shlex.quote(str(path))} method=r-adapter --out {run}-tuned")
        )
    else:
        next_steps(
            ("every alpha", f"radapter sweep {run}"),
            ("a plain checkpoint", f"radapter merge {run} --to merged"),
        )
    return results
