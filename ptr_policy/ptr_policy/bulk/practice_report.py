# SPDX-License-Identifier: Apache-2.0
"""Report of practice: true successes of both tasks in blocks of trials, and errors of the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ptr_models.common.files import write_json
from ptr_models.common.plain_text import for_markup
from ptr_policy.bulk.practice import PracticeTrial
from ptr_policy.evaluation.statistics import wilson_interval

BLOCK = 10


def summary(trials: Sequence[PracticeTrial], block: int = BLOCK) -> dict[str, Any]:
    """Blocks of `block` trials per task, and over all trials the errors of the judge and the resets of the scene.

    Returns:
        JSON values: tasks (name to list of blocks with trials, successes, wilson_95), false_successes,
        missed_successes, by_hand.
    """
    tasks: dict[str, list[dict[str, Any]]] = {}
    for name in dict.fromkeys(trial.task for trial in trials):
        own = [trial for trial in trials if trial.task == name]
        tasks[name] = [_block(own[at : at + block]) for at in range(0, len(own), block)]
    return {
        "trials": len(trials),
        "tasks": tasks,
        "false_successes": sum(trial.judged and not trial.success for trial in trials),
        "missed_successes": sum(trial.success and not trial.judged for trial in trials),
        "by_hand": sum(trial.by_hand for trial in trials),
    }


def _block(trials: Sequence[PracticeTrial]) -> dict[str, Any]:
    successes = sum(trial.success for trial in trials)
    return {
        "trials": len(trials),
        "successes": successes,
        "wilson_95": list(wilson_interval(successes, len(trials))),
        "policies": [trials[0].policy, trials[-1].policy],
    }


def show(trials: Sequence[PracticeTrial]) -> None:
    """Print the summary as a table."""
    found = summary(trials)
    table = Table("task", "trials", box=None, pad_edge=False)
    for heading in ("successes", "95 % interval", "policy after"):
        table.add_column(heading, justify="right")
    for task, blocks in found["tasks"].items():
        for number, block in enumerate(blocks):
            low, high = block["wilson_95"]
            first = number * BLOCK + 1
            table.add_row(
                for_markup(task) if number == 0 else "",
                f"{first}-{first + block['trials'] - 1}",
                f"{block['successes']}/{block['trials']}",
                f"{100 * low:.0f}-{100 * high:.0f} %",
                "{}-{}".format(*block["policies"]),
            )
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"judged a success without being one: {found['false_successes']}, missed: {found['missed_successes']}; "
        f"scenes laid out by hand: {found['by_hand']} of {found['trials']}",
        soft_wrap=True,
    )


def write_summary(trials: Sequence[PracticeTrial], path: Path) -> None:
    """The summary as a JSON file."""
    write_json(path, summary(trials))
