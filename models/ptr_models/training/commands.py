# SPDX-License-Identifier: Apache-2.0
"""The implementation of `ptr train`. PyTorch is imported inside functions, so --help does not wait for it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import BEGINS_AGAIN, begins_again, command_text, next_step, resumable
from ptr_models.common.output_folder import require_run_or_empty, require_unused
from ptr_models.json_input import read_object

if TYPE_CHECKING:
    from ptr_models.training.data import Bags
    from ptr_models.training.distributed import Group
    from ptr_models.training.loop import Outcome, Trainer

KINDS = {"pre-training": "pretrain", "joint training": "joint", "fine-tuning": "finetune"}
BEFORE = "the data were being read; no update was made and no checkpoint changed"
ENDINGS = {"steps": "all updates are done", "seconds": "the time is used up", "signal": "it was asked to stop"}


@begins_again
def run_pretrain(options: argparse.Namespace) -> int:
    """`ptr train pretrain`."""
    return _train_fresh(options, "pre-training", [])


@begins_again
def run_joint(options: argparse.Namespace) -> int:
    """`ptr train joint`: pre-training with the target data from the first update."""
    if not (options.resume or options.target or options.print_config):
        raise PtrError("joint training needs demonstrations of the target task; name their folder with --target")
    return _train_fresh(options, "joint training", ["schedule.target_from=0"])


@begins_again
def run_finetune(options: argparse.Namespace) -> int:
    """`ptr train finetune`; ends with the choice of a checkpoint."""
    from ptr_models.training.distributed import joined

    _report_former_keys(options.config)
    with joined(options.device or "auto") as group:
        _start_logging(group)
        with resumable(lambda: BEFORE, BEGINS_AGAIN):
            trainer = _resume(options, group) if options.resume else _start_finetuning(options, group)
        code = _run(trainer, "fine-tuning")
        if code == 0 and group.is_main:
            _choose(trainer, options.cache)
            _next_evaluate(options)
    return code


def _start_finetuning(options: argparse.Namespace, group: Group) -> Trainer:
    from ptr_models.training import run_setup

    if options.checkpoint is None:
        raise PtrError("fine-tuning starts from a checkpoint; name it with --checkpoint")
    adjust = _beyond(options)
    bags, folder = _bags(options), _folder(options, group)
    return run_setup.start_finetuning(options.checkpoint, bags, folder, adjust, group, **_overrides(options))


def _beyond(options: argparse.Namespace) -> list[str | Path]:
    """Adjustments for a run that continues after the updates of its initial checkpoint.

    Raises:
        PtrError: no updates would follow, as the checkpoint's schedule has ended.
    """
    from ptr_models.training import run_setup
    from ptr_models.training.checkpoint import read_checkpoint
    from ptr_models.training.config import UNLIMITED

    base = read_checkpoint(options.checkpoint)
    adjust = _adjustments(options, base.step)
    if options.seconds is not None and options.steps is None:
        adjust = [f"schedule.steps={UNLIMITED}", *adjust]
    if run_setup.adjusted(base.config, adjust).schedule.steps <= base.step:
        raise PtrError(
            f"{options.checkpoint} has finished all {base.step} updates of its schedule; give the number of further "
            "updates with --steps, or a time with --seconds"
        )
    return adjust


def run_presets(_: argparse.Namespace) -> int:
    """`ptr train presets`."""
    from ptr_models.training.presets import presets

    for name, about in presets().items():
        print(f"{name:24} {about}")
    return 0


def run_status(options: argparse.Namespace) -> int:
    """`ptr train status`."""
    from ptr_models.training.status import describe_run

    print(describe_run(options.run_folder))
    return 0


def run_export(options: argparse.Namespace) -> int:
    """`ptr train export`."""
    from ptr_models.training.export import export

    card = read_object(options.card) if options.card else {}
    path = export(options.source, options.destination, inference=options.inference, card=card)
    size = sum(file.stat().st_size for file in path.iterdir())
    print(f"{path}: {size / 1e6:.1f} MB")
    _next_deploy(path)
    return 0


def run_q_range(options: argparse.Namespace) -> int:
    """`ptr train q-range`."""
    from ptr_models.analysis.q_range import add_from_folders

    found = add_from_folders(
        options.source, options.data, demonstrations=options.limit, cache=options.cache, exclude=options.exclude
    )
    for task, item in found.items():
        begin, end = item.at(0), item.at(len(item.low))
        print(
            f"{task}: {begin[0]:.1f} to {begin[1]:.1f} at first, {end[0]:.1f} to {end[1]:.1f} at the end "
            f"({item.demonstrations} demonstrations)"
        )
    _next_deploy(options.source)
    return 0


def _next_deploy(checkpoint: Path) -> None:
    words = ("launch", "ptr_bringup", "deploy.launch.xml", f"checkpoint:={checkpoint}")
    next_step(*words, about="run it on the arm, simulated or real")


def _train_fresh(options: argparse.Namespace, title: str, first: list[str]) -> int:
    from ptr_models.training import run_setup
    from ptr_models.training.distributed import joined
    from ptr_models.training.presets import preset

    _report_former_keys(options.config)
    config = preset(options.preset)
    config = run_setup.adjusted(dataclasses.replace(config, **_overrides(options)), [*first, *_adjustments(options, 0)])
    if options.print_config:
        print(config.to_yaml(), end="")
        return 0
    with joined(config.device) as group:
        _start_logging(group)
        with resumable(lambda: BEFORE, BEGINS_AGAIN):
            if options.resume:
                trainer = _resume(options, group)
            else:
                bags, folder = _bags(options), _folder(options, group)
                trainer = run_setup.start_pretraining(config, bags, folder, options.task, group)
        code = _run(trainer, title)
        if code == 0 and group.is_main:
            _next_evaluate(options) if title == "joint training" else _next_phase(trainer, options)
        return code


def _next_phase(trainer: Trainer, options: argparse.Namespace) -> None:
    from ptr_models.training.representation import is_before_pretraining

    if not is_before_pretraining(trainer.config):
        _next_finetune(options)
        return
    words = ("--preset", trainer.config.preset, "--set", f"networks.weights={options.out}", "--data", "…", "--out", "…")
    next_step("train", "pretrain", *words, about="pre-train a policy from this encoder")


def _next_finetune(options: argparse.Namespace) -> None:
    words = ("--checkpoint", options.out, "--target", "…", "--data", "…", "--steps", "…", "--out", "…")
    next_step("train", "finetune", *words, about="teach it a new task")


def _next_evaluate(options: argparse.Namespace) -> None:
    words = ("--checkpoint", options.out, "--task", "…", "--kitchen", "…")
    next_step("sim", "evaluate", *words, about="or on the arm: ptr launch ptr_bringup deploy.launch.xml")


def _resume(options: argparse.Namespace, group: Group) -> Trainer:
    from ptr_models.training import run_setup

    folder = _folder(options, group)
    if options.exclude and not (options.data or options.target):
        raise PtrError("--resume uses the run's own data; give --exclude together with --data and --target, or omit it")
    begin = run_setup.first_step(folder)
    _require_beyond(options, folder, begin)
    bags = _bags(options) if options.data or options.target or _videos(options) else None
    return run_setup.resume(
        bags, folder, _adjustments(options, begin), group, cache=options.cache, **_overrides(options)
    )


def _require_beyond(options: argparse.Namespace, folder: Path, begin: int) -> None:
    """Refuse `--steps` that a run has already done; `begin` updates came before the run."""
    from ptr_models.training.runs import checkpoint_step, latest_checkpoint

    newest = latest_checkpoint(folder)
    done = 0 if newest is None else checkpoint_step(newest) - begin
    if options.steps is not None and options.steps < done:
        raise PtrError(
            f"{folder} has already done {done} updates, so --steps {options.steps} leaves none; --steps counts from "
            "the start of the run"
        )


def _run(trainer: Trainer, title: str) -> int:
    """Train; returns 0, or 128 + the number of the signal that stopped it."""
    again = ("train", KINDS[title], "--resume", "--out", trainer.folder)
    how = f"the newest checkpoint is kept, if there is one; continue with {command_text(*again)}"
    with resumable(lambda: f"{_made(trainer)} were made", how):
        outcome = trainer.run(title)
    if trainer.group.is_main:
        print(_sentence(trainer, outcome))
        if outcome.signal:
            next_step(*again, about="continues exactly where it stopped")
    return 128 + outcome.signal if outcome.signal else 0


def _sentence(trainer: Trainer, outcome: Outcome) -> str:
    from ptr_models.training.representation import describe

    text = f"{_made(trainer)}, {outcome.seconds:.0f} s; {ENDINGS[outcome.reason]}. Checkpoint: {outcome.checkpoint}"
    features = describe(trainer.start.card)
    return f"{text}\n{features}" if features else text


def _made(trainer: Trainer) -> str:
    """Updates done and planned in this run, without those of the checkpoint that it fine-tunes."""
    from ptr_models.training.run_setup import first_step

    begin = first_step(trainer.folder)
    made = f"{trainer.step - begin} of {trainer.config.schedule.steps - begin} updates"
    return f"{made} (after the {begin} of its checkpoint)" if begin else made


def _choose(trainer: Trainer, cache: Path | None) -> None:
    from ptr_models.analysis.choice import choose_of_run

    how = f"{command_text('analyze', 'choose', '--run', trainer.folder)} chooses among its checkpoints"
    with resumable(lambda: "all updates are made and kept", how):
        print(choose_of_run(trainer.folder, cache=cache, device=trainer.config.device))


def _bags(options: argparse.Namespace) -> Bags:
    from ptr_models.training.data import Bags

    return Bags(
        tuple(options.data), tuple(options.target), options.cache, tuple(options.exclude), tuple(_videos(options))
    )


def _videos(options: argparse.Namespace) -> list[Path]:
    """The paths of `--videos`, if the command has the option."""
    return getattr(options, "videos", [])


def _folder(options: argparse.Namespace, group: Group) -> Path:
    """The folder of the run. Checked before hours of reading: nothing else is in it or writes to it."""
    from ptr_models.training.runs import CONFIG

    if options.out is None:
        raise PtrError("the run needs a folder; name it with --out")
    if group.is_main:
        require_unused(options.out)
        require_run_or_empty(options.out, "ptr train", CONFIG)
    return options.out


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    names = ("seed", "threads", "device")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _adjustments(options: argparse.Namespace, done: int) -> list[str | Path]:
    """Values from --config, --aliases, --steps and --seconds, then --set; `done` updates came before this run."""
    from ptr_models.training.tasks import read_aliases

    found: list[str | Path] = [] if options.config is None else [options.config]
    if options.aliases is not None:
        found.append(f"data.aliases={json.dumps(read_aliases(options.aliases))}")
    if options.steps is not None:
        found.append(f"schedule.steps={done + options.steps}")
    if options.seconds is not None:
        found.append(f"schedule.seconds={options.seconds}")
    return [*found, *options.set]


def _report_former_keys(file: Path | None) -> None:
    """Report keys in a `--config` file that have been renamed; their values still count."""
    from ptr_models.training.config import ConfigError
    from ptr_models.training.renamed_keys import former_keys, now_called
    from ptr_models.yaml_input import read_yaml

    values = read_yaml(file, "the configuration", ConfigError) if file is not None else None
    for key in former_keys(values) if isinstance(values, dict) else ():
        print(f"{file}: {now_called(key)}", file=sys.stderr)


def _start_logging(group: Group) -> None:
    level = logging.INFO if group.is_main else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
