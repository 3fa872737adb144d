# SPDX-License-Identifier: Apache-2.0
"""The counts of an evaluation so far, for `summary.json` and the operator's page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ptr_models.common.files import write_atomically
from ptr_policy.evaluation.statistics import wilson_interval
from ptr_policy.evaluation.trials import OUTCOMES, Result, Trial


def newest(planned: Sequence[Trial], results: Iterable[Result]) -> list[Result]:
    """The last result of each finished trial, in the order of the plan."""
    found = {result.trial: result for result in results}
    return [found[trial] for trial in planned if trial in found]


def summarise(planned: Sequence[Trial], results: Iterable[Result]) -> dict[str, Any]:
    """Trials, and counts over all and per policy.

    A success counts only without help; `assisted` are the trials in which a person drove.
    """
    made = newest(planned, results)
    names = sorted({trial.policy for trial in planned})
    per_policy = {name: _counts([result for result in made if result.trial.policy == name]) for name in names}
    first = planned[0]
    return {
        "task": first.task,
        "kitchen": first.kitchen,
        "policy": ", ".join(names),
        "planned": len(planned),
        **_counts(made),
        "policies": per_policy,
        "trials": [result.to_dict() for result in made],
    }


def _counts(made: Sequence[Result]) -> dict[str, Any]:
    """Successes of the judged trials, with the 95 % Wilson interval of the rate."""
    counts = {outcome: sum(result.outcome == outcome for result in made) for outcome in OUTCOMES}
    judged = len(made) - counts["invalid"]
    successes = sum(result.autonomous_success for result in made)
    return {
        "judged": judged,
        "successes": successes,
        "assisted": sum(result.assisted for result in made if result.outcome != "invalid"),
        "counts": counts,
        "success_rate": successes / judged if judged else None,
        "wilson_95": list(wilson_interval(successes, judged)),
    }


def warning_of_held_steps(results: Sequence[Result]) -> str:
    """A warning for readers of the counts if many steps were held; empty: at most one of 20.

    One held step in 20 costs a trial of 40 steps less than half a second.
    """
    held, steps = sum(result.held_steps for result in results), sum(result.steps for result in results)
    if held * 20 <= steps:
        return ""
    return (
        f"{held} of {steps} control steps were held, because images or states were late or the computer was busy; the "
        "policy itself may be better than these trials. /policy/step in the bags has the reasons"
    )


def write_json(path: Path, values: Any) -> None:
    """Replace a JSON file atomically; creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(values, indent=2, sort_keys=True) + "\n")
