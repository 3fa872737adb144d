# SPDX-License-Identifier: Apache-2.0
"""`ptr train online`: continue to learn from trials as they are recorded."""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ptr_models.common import arguments
from ptr_models.common.guidance import next_step
from ptr_models.common.output_folder import require_run_or_empty, require_unused
from ptr_models.episodes.exclusion import add_exclude
from ptr_models.training.settings import add_settings

if TYPE_CHECKING:
    from ptr_models.training.online import OnlineLearner

DESCRIPTION = """\
Continue a fine-tuned checkpoint with trials of the policy that appear in a folder. Each trial is followed by as many
updates as it has steps. Half of every batch is online data (online.mix), half is drawn as in fine-tuning. A success
classifier (`ptr train classifier`) or the label decides whether a trial succeeded. Stop it with Ctrl-C, continue with
--resume."""
EPILOGUE = """\
examples:
  ptr train online --checkpoint runs/carrot --target data/carrot --data data/mix --classifier runs/carrot_done \\
                   --bags data/carrot_trials --out runs/carrot_online
  ptr train online --resume --out runs/carrot_online --bags data/carrot_trials --classifier runs/carrot_done

The program that collects the trials uses the newest checkpoint of --out. In simulation, use `ptr sim practice`."""


def add_online(kinds: argparse._SubParsersAction) -> None:
    """Add `online` to `ptr train`."""
    parser = kinds.add_parser(
        "online",
        help="improve a fine-tuned checkpoint with its own trials",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=arguments.output_folder, required=True, metavar="DIR", help="folder of the run")
    arguments.option(
        parser,
        "--bags",
        old=("--trials",),
        dest="trials",
        type=arguments.output_folder,
        metavar="DIR",
        help="folder in which bags of trials appear (default: OUT/trials)",
    )
    add("--until", type=arguments.count, metavar="N", help="end after this many judged trials")
    add("--seed", type=arguments.seed, metavar="N", help="seed of batches and augmentation")
    add_learning_arguments(parser)
    add_judge_arguments(parser)
    parser.set_defaults(run=run_online)


def add_learning_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every online run, no matter what collects its trials."""
    add = parser.add_argument
    add(
        "--checkpoint",
        type=arguments.checkpoint,
        metavar="DIR",
        help="fine-tuned checkpoint to start from, or its run's folder",
    )
    add("--resume", action="store_true", help="continue the run in --out from its newest checkpoint, on its data")
    for name, about in (("--target", "target demonstrations"), ("--data", "pre-training episodes")):
        arguments.several(
            parser, name, type=arguments.episodes, metavar="DIR", help=f"folders of {about}, or sets (.json)"
        )
    add_exclude(parser)
    add_settings(parser, "e.g. online.mix=0.5; may be repeated")
    add("--threads", type=arguments.optional_count, metavar="N", help="CPU threads of PyTorch")
    add("--device", type=arguments.device, help="cpu, cuda or auto")
    arguments.add_cache(parser)


def add_judge_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments for judging trials: exactly one of --classifier and --labels."""
    judge = parser.add_mutually_exclusive_group(required=True)
    judge.add_argument(
        "--classifier", type=arguments.existing_folder, metavar="DIR", help="success classifier that judges the trials"
    )
    judge.add_argument("--labels", action="store_true", help="use the labels of the trials; unlabelled trials wait")


def open_learner(options: argparse.Namespace, trials: Path) -> OnlineLearner:
    """The learner that the options describe.

    Raises:
        PtrError: there is nothing to start from, or to resume.
    """
    from ptr_models.common.errors import PtrError
    from ptr_models.training.data import Bags
    from ptr_models.training.online_session import Trials, resume_online, start_online

    if options.resume == (options.checkpoint is not None):
        raise PtrError("an online run starts with --checkpoint or continues with --resume; give one of them")
    if options.resume and (options.target or options.data or options.exclude):
        raise PtrError("--resume uses the run's own data; omit --target, --data and --exclude")
    names = ("seed", "threads", "device")
    overrides = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    where = Trials(trials, options.classifier)
    if options.resume:
        return resume_online(where, options.out, options.set, options.cache, **overrides)
    bags = Bags(tuple(options.data), tuple(options.target), options.cache, tuple(options.exclude))
    return start_online(options.checkpoint, bags, where, options.out, options.set, **overrides)


def run_online(options: argparse.Namespace) -> int:
    """`ptr train online`. After a signal, the exit code is 128 + its number."""
    from ptr_models.training.online import success_rate
    from ptr_models.training.online_session import watch
    from ptr_models.training.runs import CONFIG, latest_checkpoint

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    require_unused(options.out)
    trials = options.trials or options.out / "trials"
    require_run_or_empty(options.out, "ptr train", CONFIG, besides=(trials.name,))
    learner = open_learner(options, trials)
    print(f"Waiting for trials in {trials}; Ctrl-C ends.")
    number = watch(learner, options.until)
    now = learner.progress
    rate = success_rate(learner.trials.verdicts, 20)
    told = "" if math.isnan(rate) else f"; success of the last 20: {100 * rate:.0f} %"
    print(f"{now.trials} trials, {now.step} updates{told}.")
    print(f"Checkpoint: {latest_checkpoint(options.out)}")
    words = ("--resume", "--out", options.out, "--bags", trials)
    judge = ("--labels",) if options.labels else ("--classifier", options.classifier)
    next_step("train", "online", *words, *judge, about="continues exactly where it stopped")
    return 128 + number if number else 0
