# SPDX-License-Identifier: Apache-2.0
"""`ptr evaluate`: trials with the running policy server, recorded and counted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptr_models.errors import PtrError

if TYPE_CHECKING:
    from ptr_bringup.session import Caller
    from ptr_policy.evaluation.node import EvaluatorNode
    from ptr_policy.evaluation.trials import Result, Trial

DESCRIPTION = """\
Make trials with the policy server that runs (ptr launch ptr_bringup deploy.launch.xml ...): each from its own
seeded start, recorded as a bag, judged by the simulator or, on a real robot, by you. Finished trials are on
disk at once; the same command again makes those that are missing."""


class EvaluationError(PtrError):
    """An evaluation can't go on; the message says why."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="recorded trials of the running policy, with an interval",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--task", required=True, help="task of the trials, e.g. put_sweet_potato_on_plate")
    parser.add_argument("--out", required=True, type=Path, help="folder of trials.jsonl and summary.json")
    parser.add_argument("--kitchen", default="", help="kitchen of simulated scenes (default: present one)")
    parser.add_argument("--policy", default="", help="name of the policy under test, for the report")
    parser.add_argument("--trials", type=int, default=10, help="trials to make (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of scenes and starts (default: 0)")
    parser.add_argument("--max-steps", type=int, default=0, help="steps of a trial (default: the server's)")
    parser.add_argument("--choice", default="", help="how actions are chosen (default: the server's)")
    parser.add_argument("--no-record", action="store_true", help="make no bags")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make the trials with a progress bar."""
    try:
        from ptr_bringup.session import SessionError, run_session
        from ptr_policy.evaluation.node import EvaluatorNode
    except ImportError as error:
        raise EvaluationError(f"`ptr evaluate` needs ROS 2: {error}") from error
    overrides = {
        "task": options.task,
        "directory": str(options.out),
        "kitchen": options.kitchen,
        "policy": options.policy,
        "trials": options.trials,
        "seed": options.seed,
        "max_steps": options.max_steps,
        "action_choice": options.choice,
        "record": not options.no_record,
    }
    try:
        run_session(lambda: EvaluatorNode(overrides), _with_progress, "evaluator", args=[], expected=())
    except (SessionError, OSError, ValueError) as error:
        raise EvaluationError(str(error)) from error


def _with_progress(node: EvaluatorNode, caller: Caller) -> int:
    """Make the trials, showing a bar and a line per trial."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from ptr_policy.evaluation.node import conclude, describe, run_trials

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        bar = progress.add_task(node.value("task"), total=node.value("trials"))

        def show(result: Result, planned: Sequence[Trial]) -> None:
            progress.console.print(describe(result, len(planned)), highlight=False)
            if result.outcome != "invalid":
                progress.update(bar, completed=result.trial.index + 1)

        summary = run_trials(node, caller, show)
        progress.update(bar, completed=node.value("trials"))
    progress.console.print(conclude(summary))
    return 0
