# SPDX-License-Identifier: Apache-2.0
"""The command line of `ptr train`; `commands` implements it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ptr_models.common import arguments
from ptr_models.episodes.exclusion import add_exclude
from ptr_models.reward.cli import add_classifier
from ptr_models.training import commands
from ptr_models.training.online_cli import add_online
from ptr_models.training.settings import add_settings

TRAIN = """\
A run is a folder: config.yaml (every value), data.json (bags, and those left out), environment.jsonl, metrics.jsonl,
timing.jsonl, tensorboard/, checkpoints/, and after fine-tuning choice.json. Options that take a checkpoint also take
the folder of a run: its chosen checkpoint, or else its newest.

Ctrl-C and SIGTERM save a checkpoint and exit with 130 and 143. --resume continues exactly where the run stopped, also
after kill -9. Several processes: torchrun --nproc-per-node 2 -m ptr_models train ..."""
PRETRAIN = """\
Train new networks on episodes of many tasks. With --target, demonstrations of a new task enter the batches after
schedule.target_from updates: both phases of PTR in one run."""
PRETRAIN_EXAMPLES = """\
examples:
  ptr train pretrain --data data/sim --preset ptr_small --out runs/pretrain --steps 22000
  ptr train pretrain --out runs/pretrain --resume                continue, also after kill -9
  ptr train pretrain --preset ptr_paper --print-config           all keys that --set and --config know
  ptr train pretrain --preset v_ptr_small --videos data/videos --out runs/values --steps 22000
                     learn values from videos without actions; V-PTR starts from them:
  ptr train pretrain --preset v_ptr_small --set networks.weights=runs/values --data data/sim --out runs/v_ptr \\
                     --steps 22000
  torchrun --standalone --nproc-per-node 4 -m ptr_models train pretrain --data data/bridge --preset ptr_paper \\
                     --out runs/paper                            four GPUs share each batch"""
JOINT = """\
Train new networks in one phase, with the target demonstrations mixed in from the first update (schedule.mix). This is
the baseline for PTR. Give it as many --steps as pre-training and fine-tuning together. Without --data it learns from
the target demonstrations alone."""
JOINT_EXAMPLES = """\
examples:
  ptr train joint --preset cog_joint_small --data data/sim --target data/carrot --out runs/joint --steps 22500
  ptr train joint --preset bc_target_small --target data/carrot --out runs/from_scratch --steps 2000"""
FINETUNE = """\
Continue a checkpoint with demonstrations of a new task (--target) mixed into pre-training data (--data). At the end
one of its checkpoints is chosen by the values it gives to the demonstrations; no trials are needed."""
FINETUNE_EXAMPLES = """\
examples:
  ptr train finetune --checkpoint runs/pretrain --data data/sim --target data/carrot --out runs/carrot --steps 2000 \\
                     --set schedule.checkpoint_every=250
  ptr train finetune --checkpoint models/checkpoints/ptr_bernoulli_small --data data/mix --target data/carrot \\
                     --out runs/carrot --seconds 300
  ptr train finetune --out runs/carrot --resume"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to `ptr`."""
    train = subparsers.add_parser(
        "train",
        help="pre-train a policy, or fine-tune one on a new task",
        epilog=TRAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.set_defaults(run=lambda _: train.print_help())
    kinds = train.add_subparsers(title="kinds", metavar="KIND")
    pretrain = _add(kinds, "pretrain", "train new networks", commands.run_pretrain, PRETRAIN, PRETRAIN_EXAMPLES)
    finetune = _add(kinds, "finetune", "from a checkpoint", commands.run_finetune, FINETUNE, FINETUNE_EXAMPLES)
    finetune.add_argument(
        "--checkpoint",
        type=arguments.checkpoint,
        metavar="DIR",
        help="checkpoint to start from, the folder of its run, or the name of a shipped checkpoint "
        "(ptr_bernoulli_small)",
    )
    joint = _add(kinds, "joint", "train on all data in one phase", commands.run_joint, JOINT, JOINT_EXAMPLES)
    for parser in (pretrain, joint):
        _add_fresh_arguments(parser)
    for parser in (pretrain, finetune, joint):
        _add_data_arguments(parser)
        _add_run_arguments(parser)
    about = "MP4 files, or folders of them, whose frames are pre-training data for a preset that needs no actions"
    arguments.several(pretrain, "--videos", type=arguments.existing, metavar="PATH", help=about)
    add_online(kinds)
    add_classifier(kinds)
    _add_tools(kinds)


def _add(
    kinds: argparse._SubParsersAction,
    name: str,
    about: str,
    run: Callable[[argparse.Namespace], int],
    description: str = "",
    examples: str = "",
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(
        name,
        help=about,
        description=description or f"{about[0].upper()}{about[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_fresh_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--preset",
        type=arguments.OneOf("preset", _presets, "ptr train presets lists all"),
        default="ptr_small",
        metavar="NAME",
        help="method and sizes, see `ptr train presets` (default: ptr_small)",
    )
    about = "one or more tasks that get a slot even if no episode has them"
    arguments.several(parser, "--task", type=arguments.any_task, metavar="NAME", help=about)
    add("--print-config", action="store_true", help="print the whole configuration and exit")


def _presets() -> tuple[str, ...]:
    from ptr_models.training.presets import presets

    return tuple(presets())


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    for name, about in (("--data", "pre-training episodes"), ("--target", "target demonstrations")):
        arguments.several(
            parser, name, type=arguments.episodes, metavar="DIR", help=f"folders of {about}, or sets (.json)"
        )
    add_exclude(parser)
    add(
        "--aliases",
        type=arguments.existing_file,
        metavar="YAML",
        help="YAML file of tasks that share a slot, one `NAME: NAME` per line",
    )
    arguments.add_cache(parser)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=arguments.output_folder, metavar="DIR", help="folder of the run")
    add("--resume", action="store_true", help="continue the run in --out from its newest checkpoint, on its data")
    add("--steps", type=arguments.count, metavar="N", help="updates of this run")
    add("--seconds", type=arguments.positive, metavar="S", help="end after this time, if --steps is not reached first")
    add("--seed", type=arguments.seed, metavar="N", help="seed of weights, batches, augmentation and action samples")
    add("--threads", type=arguments.optional_count, metavar="N", help="CPU threads of PyTorch")
    add("--device", type=arguments.device, help="cpu, cuda or auto: cuda if there is a GPU (default: auto)")
    add(
        "--config",
        type=arguments.existing_file,
        metavar="YAML",
        help="YAML file with values that override the preset or checkpoint",
    )
    add_settings(parser, "e.g. schedule.mix=0.8; may be repeated")


def _add_tools(kinds: argparse._SubParsersAction) -> None:
    status = _add(kinds, "status", "show the progress of a run, running or not", commands.run_status)
    arguments.also_by_place(
        status, "run", "run_folder", type=arguments.existing_folder, metavar="RUN", help="folder of the run"
    )
    _add_q_range(kinds)
    _add(kinds, "presets", "list the named configurations", commands.run_presets)
    export = _add(
        kinds,
        "export",
        "make a small checkpoint for shipping",
        commands.run_export,
        "Copy a checkpoint without the data that only resuming needs.",
    )
    _add_checkpoint(export)
    arguments.also_by_place(
        export, "out", "destination", type=arguments.output_folder, metavar="DIR", help="new checkpoint folder"
    )
    export.add_argument("--inference", action="store_true", help="weights only: can act, but fine-tunes less well")
    export.add_argument(
        "--card", type=arguments.existing_file, metavar="JSON", help="facts to store in it: data, commands, figures"
    )


def _add_q_range(kinds: argparse._SubParsersAction) -> None:
    parser = _add(
        kinds,
        "q-range",
        "compute the range of Q along demonstrations, for the policy server's alarm",
        commands.run_q_range,
        "Compute the range of Q at each step of each task's demonstrations and store it in the checkpoint. Fine-tuning "
        "does this automatically for its target task.",
    )
    _add_checkpoint(parser)
    arguments.several(
        parser,
        "--data",
        type=arguments.episodes,
        required=True,
        metavar="DIR",
        help="folders of demonstrations, or sets",
    )
    arguments.add_limit(parser, 10, "demonstrations per task")
    add_exclude(parser)
    arguments.add_cache(parser)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    about = "checkpoint folder, or the folder of a run"
    arguments.also_by_place(parser, "checkpoint", "source", type=arguments.checkpoint, metavar="CHECKPOINT", help=about)
