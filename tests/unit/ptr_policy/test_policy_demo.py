# SPDX-License-Identifier: Apache-2.0
"""The demonstration's plan, runner and result, without the robot."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ptr_models.errors import PtrError
from ptr_policy.demo.cli import prepare
from ptr_policy.demo.plan import Plan
from ptr_policy.demo.report import read_result
from ptr_policy.demo.runner import StageError, progress_bar, run_stage
from ptr_policy.demo.stages import Stage


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan whose folders lie in a temporary one."""
    return Plan(tmp_path / "run", 0, "put_knife_in_pot", "toykitchen_target1", 10, 10, tmp_path, tmp_path, 5, 5)


def stage_of(code: str, total: int, done: int) -> Stage:
    """A stage that runs a line of Python and has then done so much."""
    return Stage("work", "Working", [sys.executable, "-c", code], total, lambda: done, "things")


def run(stage: Stage, logs: Path) -> float:
    """Run a stage without a bar on the screen."""
    with progress_bar(Console(quiet=True)) as progress:
        return run_stage(stage, logs, progress)


def test_a_run_of_another_plan_is_moved_aside_and_nothing_of_it_is_lost(plan: Plan) -> None:
    assert prepare(plan) is None
    (plan.out / "report.json").write_text("precious")
    moved = prepare(dataclasses.replace(plan, seed=1))
    assert moved is not None
    assert (moved / "report.json").read_text() == "precious"
    assert json.loads((plan.out / "plan.json").read_text())["seed"] == 1
    assert not (plan.out / "report.json").exists()


def test_the_same_plan_goes_on_where_it_was(plan: Plan) -> None:
    prepare(plan)
    (plan.out / "stages.json").write_text("[]")
    assert prepare(plan) is None
    assert (plan.out / "stages.json").exists()


def test_a_stage_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="exit code 3(.|\n)*the motor is hot"):
        run(stage_of("print('the motor is hot'); raise SystemExit(3)", 2, 2), tmp_path)


def test_a_stage_that_ends_well_with_less_than_its_total_has_failed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="after 1 of 2 things"):
        run(stage_of("pass", 2, 1), tmp_path)


def test_a_stage_leaves_its_output_in_a_log(tmp_path: Path) -> None:
    assert run(stage_of("print('all is well')", 1, 1), tmp_path) > 0.0
    assert (tmp_path / "work.log").read_text() == "all is well\n"


def test_a_result_without_trials_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="the evaluation did not run"):
        read_result(tmp_path)


def test_invalid_trials_count_neither_way(tmp_path: Path) -> None:
    trials = [{"outcome": outcome, "bag": ""} for outcome in ("success", "invalid", "failure")]
    summary = {"successes": 1, "success_rate": 0.5, "wilson_95": [0.09, 0.91], "trials": trials}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    result = read_result(tmp_path)
    assert (result.successes, result.trials, result.outcomes) == (1, 2, [True, False])
