# SPDX-License-Identifier: Apache-2.0
"""`ptr sim practice`: a policy practices on its own and, with --learn, improves meanwhile."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ptr_models.common import arguments
from ptr_models.common.guidance import AGAIN, next_step, resumable
from ptr_models.common.output_folder import locked, require_unused

if TYPE_CHECKING:
    from ptr_models.contract import Contract
    from ptr_policy.bulk.practice import Practice

DESCRIPTION = """\
Let a policy practice two tasks that undo each other in a simulated scene without resets: each trial starts where the
last one ended. Every trial becomes a bag in OUT/trials. With --learn the policy improves between the trials, starting
from --checkpoint. Otherwise it is --checkpoint unchanged, or the newest one of OUT, where `ptr train online` may be
running. The judge is a success classifier, or with --labels the poses of the objects, as a person would label."""
EPILOGUE = """\
examples:
  ptr sim practice --task put_cucumber_in_pot --reset take_cucumber_out_of_pot --kitchen toykitchen_target1 \\
                   --trials 60 --out runs/online --learn --checkpoint runs/cucumber --target data/cucumber \\
                   --data data/mix --classifier runs/cucumber_done
  ptr sim practice --task put_cucumber_in_pot --reset take_cucumber_out_of_pot --kitchen toykitchen_target1 \\
                   --trials 20 --out runs/labelled --checkpoint runs/cucumber --labels     for the classifier
  ptr sim practice --task put_cucumber_in_pot --reset take_cucumber_out_of_pot --kitchen toykitchen_target1 \\
                   --trials 60 --out runs/online --classifier runs/cucumber_done           beside ptr train online

OUT/practice.json contains the successes, judged by the poses of the objects, which the learner never sees."""


def add_practice(kinds: argparse._SubParsersAction) -> None:
    """Add `practice` to `ptr sim`."""
    from ptr_models.training.online_cli import add_judge_arguments, add_learning_arguments

    parser = kinds.add_parser(
        "practice",
        help="run trials without a person, for online improvement",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--task", type=arguments.task, required=True, metavar="NAME", help="task to practice")
    add("--reset", type=arguments.task, required=True, metavar="NAME", help="the task that undoes it")
    add("--kitchen", type=arguments.kitchen, required=True, metavar="NAME", help="see ptr sim tasks")
    add("--trials", type=arguments.count, default=60, metavar="N", help="trials in all (default: 60)")
    add("--out", type=arguments.output_folder, required=True, metavar="DIR", help="folder of the run")
    add(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="of scenes, noise and, with --learn, batches (default: 0)",
    )
    add("--max-steps", type=arguments.count, default=40, metavar="N", help="control steps of a trial (default: 40)")
    add(
        "--choice",
        type=arguments.way,
        metavar="NAME",
        help="mode, sample, sample_gripper, argmax_q, softmax_q (default: the checkpoint's)",
    )
    add(
        "--noise",
        type=arguments.Real(0.0),
        default=0.05,
        metavar="SD",
        help="standard deviation of noise added to scaled actions (default: 0.05)",
    )
    add(
        "--order",
        choices=("classifier", "outcome", "alternate"),
        help="which task is next: the one that looks least done, the other one after a success, or by turns "
        "(default: classifier if there is one, else outcome)",
    )
    add(
        "--patience",
        type=arguments.optional_count,
        default=0,
        metavar="N",
        help="reset the scene after this many failures of one task in a row (default: 0, never)",
    )
    add("--learn", action="store_true", help="learn between the trials, in this process")
    add_learning_arguments(parser)
    add_judge_arguments(parser)
    parser.set_defaults(run=run_practice)


def run_practice(options: argparse.Namespace) -> int:
    """`ptr sim practice`."""
    from ptr_models.reward.classifier import SuccessClassifier
    from ptr_policy.bulk.practice import Practice, PracticeOptions, read_made
    from ptr_policy.bulk.practice_report import show
    from ptr_policy.bulk.practice_scene import PracticeScene

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    bags = options.out / "trials"
    require_unused(bags)
    if options.learn:
        require_unused(options.out)
    made = read_made(bags)
    classifier = None if options.classifier is None else SuccessClassifier.load(options.classifier)
    how = PracticeOptions(
        forward=options.task,
        backward=options.reset,
        kitchen=options.kitchen,
        seed=options.seed,
        max_steps=options.max_steps,
        choice=options.choice or "",
        noise=options.noise,
        patience=options.patience,
        order=options.order or ("outcome" if classifier is None else "classifier"),
    )
    acts = options.out if options.learn or options.checkpoint is None else options.checkpoint
    contract = _contract(options.checkpoint or options.out)
    with locked(bags), PracticeScene(how.kitchen, how.forward, how.backward, how.seed, contract) as scene:
        practice = Practice(acts, bags, scene, how, classifier, made)
        again = "to continue, run the same command with --resume instead of --checkpoint, --target and --data"
        done = f"of {options.trials} trials are in {bags}"
        with resumable(lambda: f"{len(practice.made)} {done}", again if options.learn else AGAIN):
            _practice_and_learn(practice, options) if options.learn else _practice(practice, options)
    show(practice.made)
    words = ("--task", options.task, options.reset, "--kitchen", options.kitchen)
    next_step("sim", "evaluate", "--checkpoint", acts, *words, about="its success rate in scenes set up by a person")
    return 0


def _contract(checkpoint: Path) -> Contract:
    """The contract of the practicing policy."""
    from ptr_models.training.checkpoint import read_checkpoint
    from ptr_models.training.runs import resolve_checkpoint

    return read_checkpoint(resolve_checkpoint(checkpoint)).contract


def _practice(practice: Practice, options: argparse.Namespace) -> None:
    """Run all trials; another process learns."""
    from rich.progress import track

    from ptr_policy.bulk.practice_report import write_summary

    for _ in track(range(len(practice.made), options.trials), "practice", transient=True):
        practice.next()
        write_summary(practice.made, options.out / "practice.json")


def _practice_and_learn(practice: Practice, options: argparse.Namespace) -> None:
    """Run all trials, and after each the updates it allows."""
    from ptr_models.training.online_cli import open_learner
    from ptr_models.training.online_log import OnlineLog
    from ptr_policy.bulk.practice_report import write_summary

    learner = open_learner(options, options.out / "trials")
    config = learner.start.config
    with locked(options.out), OnlineLog(options.out, config, learner, options.trials) as log:
        learner.learn()  # from trials that an interrupted run has left
        while len(practice.made) < options.trials:
            practice.next()
            write_summary(practice.made, options.out / "practice.json")
            busy = learner.learn()
            log.warn(learner)
            if busy:
                log.write(learner)
