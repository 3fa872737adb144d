# SPDX-License-Identifier: Apache-2.0
"""`ptr evaluate`: trials with the running policy server, recorded, counted and compared."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import AGAIN, next_step
from ptr_models.common.namespaces import add_namespace
from ptr_models.common.output_folder import require_unused
from ptr_models.common.plain_text import for_markup, plain

if TYPE_CHECKING:
    from ptr_bringup.ros.session import Caller
    from ptr_policy.evaluation.node import EvaluatorNode
    from ptr_policy.evaluation.trials import Result, Trial

DESCRIPTION = """\
Run trials with the running policy server (ptr launch ptr_bringup deploy.launch.xml ...). Each has its own seeded
start, is recorded as a bag and judged by the simulator or, on a real robot, by you. Finished trials are saved at
once; run the same command again for the missing ones, or with a larger --trials to add more.

Several checkpoints are tried in the same scenes, interleaved, under letters that hide which is which until all
trials are done:

  ptr evaluate --task put_carrot_on_plate --checkpoint scratch=runs/a --checkpoint ptr=runs/b --out runs/evaluation

`ptr evaluate report FOLDER` writes the report of an evaluation again, finished or not; `ptr evaluate judge FOLDER
--trial 3 --outcome failure` corrects a judgment."""


class EvaluationError(PtrError):
    """An evaluation can't continue; the message says why."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="run recorded trials of one or several checkpoints, with intervals and a report",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--task",
        type=arguments.any_task,
        metavar="NAME",
        help="task of the trials, e.g. put_sweet_potato_on_plate",
    )
    add("--out", type=arguments.output_folder, metavar="DIR", help="folder of the trials and the report")
    add(
        "--kitchen",
        type=arguments.kitchen,
        metavar="NAME",
        help="kitchen of simulated scenes (default: the current one)",
    )
    several = "checkpoints that the policy server loads; several are compared and need names (default: the loaded one)"
    arguments.several(parser, "--checkpoint", type=_candidate, metavar="[NAME=]DIR", help=several)
    add("--policy", default="", help="name of a single policy, for the report")
    add("--open", action="store_true", help="show the names of several checkpoints while trials are judged")
    add(
        "--trials",
        type=arguments.count,
        default=10,
        metavar="N",
        help="trials per checkpoint (default: 10)",
    )
    add("--seed", type=arguments.seed, default=0, metavar="N", help="of scenes, starts and order (default: 0)")
    add(
        "--max-steps",
        type=arguments.optional_count,
        default=0,
        metavar="N",
        help="steps of a trial (default: the server's)",
    )
    add("--choice", type=arguments.way, metavar="NAME", help="how actions are chosen (default: the server's)")
    add(
        "--new-task",
        type=arguments.any_task,
        metavar="NAME",
        help="task that gets a spare slot in each checkpoint that lacks it",
    )
    about = (
        "the desired end, for policies with task_conditioning goal_image: a bag, whose last image counts, or an image"
    )
    add("--goal", type=arguments.path, metavar="PATH", help=f"{about} file, on the server's machine")
    add("--judge", choices=("auto", "simulator", "person"), default="auto", help="who (default: the simulator)")
    add(
        "--reference",
        type=arguments.episodes,
        metavar="DIR",
        help="demonstrations whose first images are the scenes to set up",
    )
    add(
        "--camera",
        default="over_shoulder",
        metavar="NAME",
        help="camera whose images are kept (default: over_shoulder)",
    )
    add("--no-record", action="store_true", help="don't record bags")
    add_namespace(parser)
    parser.set_defaults(run=run)
    _add_report(parser)


def _candidate(text: str) -> str:
    """A checkpoint with or without a name; its path is on the policy server's machine."""
    name, separator, place = text.rpartition("=")
    arguments.path(place)
    if "," in text or (separator and not name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a checkpoint; write DIR or NAME=DIR, without commas")
    return text


def _add_report(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(title="afterwards", metavar="{report,judge}")
    report = kinds.add_parser(
        "report",
        help="write report.html and report.json of an evaluation again",
        description="Write the report of an evaluation again, finished or not. With several folders the policies of "
        "all are compared, in their common scenes if there are any; the report goes to the first.",
    )
    report.add_argument("folders", nargs="+", type=arguments.existing_folder, metavar="FOLDER", help="of an evaluation")
    report.add_argument("--open", action="store_true", help="show hidden names before all trials are done")
    report.set_defaults(run=_report)
    judge = kinds.add_parser(
        "judge",
        help="judge a trial again, or undo a judgment",
        description="Correct the judgment of a trial, and write the report again. The bag's label is corrected with "
        "it. An invalid trial is repeated by the next `ptr evaluate` with the same --out.",
    )
    judge.add_argument("folder", type=arguments.existing_folder, metavar="FOLDER", help="of an evaluation")
    about = "number of the trial, 1 is the first"
    judge.add_argument("--trial", type=arguments.count, required=True, metavar="N", help=about)
    about = "its outcome; undo: restore the previous judgment"
    outcomes = ("success", "failure", "partial", "invalid", "undo")
    judge.add_argument("--outcome", choices=outcomes, required=True, help=about)
    judge.add_argument("--score", type=arguments.share, metavar="0..1", help="grade, for partial")
    judge.add_argument("--note", default="", metavar="TEXT", help="one sentence")
    judge.set_defaults(run=_judge)


def _judge(options: argparse.Namespace) -> int:
    import time

    from ptr_models.episodes.labelling import relabel
    from ptr_models.episodes.metadata import Label
    from ptr_policy.evaluation.rejudging import rejudge

    result = rejudge(options.folder, options.trial, options.outcome, options.note, options.score)
    print(f"trial {options.trial}: {result.outcome}. {plain(result.reason)}")
    if result.bag and (options.folder / result.bag).is_dir():
        outcome = "unlabelled" if result.outcome == "invalid" else result.outcome
        relabel(options.folder / result.bag, Label(outcome, time.time_ns(), result.judge, result.score, result.reason))
    print(f"report: {options.folder / 'report.html'}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from ptr_policy.evaluation.report import write_report

    first, *others = options.folders
    print(f"report: {write_report(first, others, options.open)}")
    return 0


def run(options: argparse.Namespace) -> int:
    """Run the trials with a progress bar."""
    for name, value in (("--task", options.task), ("--out", options.out)):
        if not value:
            raise EvaluationError(f"`ptr evaluate` needs {name}; add it")
    require_unused(options.out)
    try:
        from ptr_bringup.ros.session import run_session
        from ptr_policy.evaluation.node import EvaluatorNode
    except ImportError as error:
        raise EvaluationError(f"`ptr evaluate` needs ROS 2: {error}") from error
    overrides = {
        "task": options.task,
        "directory": str(options.out),
        "kitchen": options.kitchen or "",
        "checkpoint": ",".join(options.checkpoint),
        "policy": options.policy,
        "open": options.open,
        "trials": options.trials,
        "seed": options.seed,
        "max_steps": options.max_steps,
        "action_choice": options.choice or "",
        "new_task": options.new_task or "",
        "goal": "" if options.goal is None else str(options.goal),
        "judge": options.judge,
        "reference": "" if options.reference is None else str(options.reference),
        "camera": options.camera,
        "record": not options.no_record,
    }
    try:
        make = functools.partial(EvaluatorNode, overrides, options.namespace)
        return run_session(make, _with_progress, "evaluator", args=[], expected=())
    except (OSError, ValueError) as error:
        raise EvaluationError(str(error)) from error


def _with_progress(node: EvaluatorNode, caller: Caller) -> int:
    """Run the trials, with a progress bar and a line per trial."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from ptr_bringup.ros.session import SessionEndedError
    from ptr_policy.evaluation.node import conclude, describe, directory_of, run_trials

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        checkpoints = node.value("checkpoint").split(",")
        bar = progress.add_task(node.value("task"), total=len(checkpoints) * node.value("trials"))

        def show(result: Result, planned: Sequence[Trial]) -> None:
            progress.console.print(for_markup(describe(result, len(planned))), highlight=False)
            done = result.trial.index + (result.outcome != "invalid")
            progress.update(bar, completed=done, total=len(planned))

        try:
            summary = run_trials(node, caller, show)
        except SessionEndedError:
            made = f"{int(progress.tasks[bar].completed)} of {int(progress.tasks[bar].total or 0)}"
            progress.console.print(f"interrupted: {made} trials are done; {AGAIN}", markup=False)
            raise
        progress.update(bar, completed=summary["planned"], total=summary["planned"])
    for line in conclude(directory_of(node)):
        print(line)
    next_step("evaluate", "report", directory_of(node), about="with further folders: compares them")
    return 0
