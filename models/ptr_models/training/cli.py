# SPDX-License-Identifier: Apache-2.0
"""`ptr train`: pre-train on many tasks, fine-tune on ten demonstrations of a new one."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ptr_models.reward.cli import add_classifier

if TYPE_CHECKING:
    from ptr_models.training.loop import Trainer

PRETRAIN = """\
Train fresh networks on episodes of many tasks. With --target, demonstrations of a new task enter the batches
after schedule.target_from updates (0: from the start, which is joint training)."""
FINETUNE = """\
Continue a checkpoint with demonstrations of a new task (--target) mixed into pre-training data (--data)."""
EPILOGUE = """\
examples:
  ptr train pretrain --data data/sim --preset ptr_small --out runs/pretrain --steps 60000
  ptr train pretrain --data data/sim --out runs/pretrain --resume
  ptr train finetune --checkpoint runs/pretrain/checkpoints/step_00060000 --data data/sim \\
                     --target data/croissant --out runs/croissant --seconds 300
  ptr train pretrain --preset ptr_paper --print-config       all keys that --set and --config know

A run folder holds config.yaml, metrics.jsonl, tensorboard/, checkpoints/. Ctrl-C saves a checkpoint."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to `ptr`."""
    train = subparsers.add_parser("train", help="pre-train a policy, or fine-tune one to a new task")
    train.set_defaults(run=lambda _: train.print_help())
    kinds = train.add_subparsers(title="kinds", metavar="KIND")
    style = argparse.RawDescriptionHelpFormatter
    pretrain = kinds.add_parser(
        "pretrain", help="from fresh networks", description=PRETRAIN, epilog=EPILOGUE, formatter_class=style
    )
    pretrain.add_argument("--preset", default="ptr_small", help="see `ptr train presets` (default: ptr_small)")
    pretrain.add_argument("--config", type=Path, metavar="YAML", help="file with values that replace the preset's")
    pretrain.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="NAME",
        help="give this task a slot although no episode has it",
    )
    pretrain.add_argument("--print-config", action="store_true", help="print the whole configuration and end")
    _add_common(pretrain)
    pretrain.set_defaults(run=run_pretrain)
    finetune = kinds.add_parser(
        "finetune", help="from a checkpoint", description=FINETUNE, epilog=EPILOGUE, formatter_class=style
    )
    finetune.add_argument("--checkpoint", type=Path, metavar="DIR", help="checkpoint to start from")
    _add_common(finetune)
    finetune.set_defaults(run=run_finetune)
    listing = kinds.add_parser("presets", help="list the named configurations")
    listing.set_defaults(run=run_presets)
    add_classifier(kinds)
    shipped = kinds.add_parser(
        "export",
        help="make a small checkpoint for shipping",
        description="Copy a checkpoint without what only resuming needs.",
    )
    shipped.add_argument("source", type=Path, metavar="CHECKPOINT", help="checkpoint folder")
    shipped.add_argument("destination", type=Path, metavar="DIR", help="new checkpoint folder")
    shipped.add_argument("--inference", action="store_true", help="weights only: it acts, but fine-tunes less well")
    shipped.add_argument("--card", type=Path, metavar="JSON", help="facts to keep in it: data, commands, figures")
    shipped.set_defaults(run=run_export)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--data",
        action="extend",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="pre-training episodes",
    )
    add(
        "--target",
        action="extend",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="target demonstrations",
    )
    add("--out", type=Path, metavar="DIR", help="folder of the run")
    add("--resume", action="store_true", help="continue the run in --out from its newest checkpoint")
    add("--steps", type=int, metavar="N", help="updates of this run")
    add("--seconds", type=float, metavar="S", help="end after this time, whichever comes first")
    add("--seed", type=int, help="of weights, batches and augmentation")
    add("--threads", type=int, help="CPU threads of PyTorch")
    add("--device", help="cpu, cuda, ...")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="e.g. schedule.mix=0.8; may be repeated",
    )
    add("--cache", type=Path, metavar="DIR", help="where replay caches lie (default: ~/.cache/ptr/replay)")


def run_pretrain(options: argparse.Namespace) -> int:
    """`ptr train pretrain`."""
    from ptr_models.training import session
    from ptr_models.training.config import TrainingConfig
    from ptr_models.training.presets import preset

    if options.resume:
        return _resume(options)
    config = preset(options.preset)
    if options.config is not None:
        config = TrainingConfig.from_yaml(options.config, config)
    config = dataclasses.replace(config, **_overrides(options)).replaced(_assignments(options, 0))
    if options.print_config:
        print(config.to_yaml(), end="")
        return 0
    _start_logging()
    return _run(session.start_pretraining(config, _bags(options), _folder(options), options.task), "pre-training")


def run_presets(_: argparse.Namespace) -> int:
    """`ptr train presets`."""
    from ptr_models.training.presets import presets

    for name, about in presets().items():
        print(f"{name:24} {about}")
    return 0


def run_finetune(options: argparse.Namespace) -> int:
    """`ptr train finetune`."""
    from ptr_models.errors import PtrError
    from ptr_models.training import session
    from ptr_models.training.checkpoint import read_checkpoint

    if options.resume:
        return _resume(options)
    if options.checkpoint is None:
        raise PtrError("fine-tuning starts from a checkpoint; name it with --checkpoint")
    _start_logging()
    done = read_checkpoint(options.checkpoint).step
    trainer = session.start_finetuning(
        options.checkpoint,
        _bags(options),
        _folder(options),
        _assignments(options, done),
        **_overrides(options),
    )
    return _run(trainer, "fine-tuning")


def run_export(options: argparse.Namespace) -> int:
    """`ptr train export`."""
    import json

    from ptr_models.errors import PtrError
    from ptr_models.training.session import export

    try:
        card = json.loads(options.card.read_text(encoding="utf-8")) if options.card else {}
    except (OSError, ValueError) as error:
        raise PtrError(f"the card {options.card} cannot be read: {error}") from error
    path = export(options.source, options.destination, inference=options.inference, card=card)
    size = sum(file.stat().st_size for file in path.iterdir())
    print(f"{path}: {size / 1e6:.1f} MB")
    return 0


def _resume(options: argparse.Namespace) -> int:
    from ptr_models.training import session

    _start_logging()
    trainer = session.resume(_bags(options), _folder(options), _assignments(options, 0), **_overrides(options))
    return _run(trainer, "training")


def _run(trainer: Trainer, title: str) -> int:
    outcome = trainer.run(title)
    why = {
        "steps": "all updates are done",
        "seconds": "the time is used up",
        "signal": "it was asked to stop",
    }
    print(f"{outcome.step} updates, {outcome.seconds:.0f} s; {why[outcome.reason]}. Checkpoint: {outcome.checkpoint}")
    return 0


def _bags(options: argparse.Namespace) -> object:
    from ptr_models.training.session import Bags

    return Bags(tuple(options.data), tuple(options.target), options.cache)


def _folder(options: argparse.Namespace) -> Path:
    from ptr_models.errors import PtrError

    if options.out is None:
        raise PtrError("the run needs a folder; name it with --out")
    return options.out


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    names = ("seed", "threads", "device")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _assignments(options: argparse.Namespace, done: int) -> list[str]:
    """--steps and --seconds as assignments, then those of --set; `done` updates came before this run."""
    found = [] if options.steps is None else [f"schedule.steps={done + options.steps}"]
    if options.seconds is not None:
        found.append(f"schedule.seconds={options.seconds}")
    return [*found, *options.set]


def _start_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
