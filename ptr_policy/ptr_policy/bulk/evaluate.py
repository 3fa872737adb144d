# SPDX-License-Identifier: Apache-2.0
"""Bulk trials of a policy in simulation: no ROS, no real time, success judged by object poses."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ptr_bringup.sim.robot import SimulatedRobot
from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_bringup.sim.tasks import task_named
from ptr_bringup.sim.wordings import wordings
from ptr_bringup.sim.world import World
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import resumable
from ptr_models.common.plain_text import for_markup
from ptr_models.contract import Contract
from ptr_models.episodes.manifest import is_manifest
from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.inference.acting import ActingPolicy
from ptr_models.inference.goal import set_goal
from ptr_models.inference.loading import load_policy
from ptr_policy.bulk.sight import observe, robot_for
from ptr_policy.evaluation.statistics import wilson_interval

AGAIN_FROM_START = "nothing was saved; run the same command again to repeat the same trials"
AFTER_SUCCESS = 5
"""Control steps for which a policy continues after success, so that it can still undo it."""


@dataclass(frozen=True)
class BulkTrial:
    """One trial and its outcome; `steps` until success, or all; `mean_q` None: no Q-function."""

    task: str
    kitchen: str
    seed: int
    success: bool
    steps: int
    mean_q: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


def evaluate(options: argparse.Namespace, purpose: str = "trial") -> list[BulkTrial]:
    """All trials of `ptr sim evaluate`, with a progress bar.

    Args:
        purpose: seeds the scenes; another purpose gives other scenes.
    """
    torch.set_num_threads(1)  # with one observation at a time, more threads only wait for each other
    pairs = list(itertools.product(options.tasks, options.kitchens))
    trials: list[BulkTrial] = []
    total = len(pairs) * options.episodes
    with (
        closing(load_policy(str(options.checkpoint))) as policy,
        resumable(lambda: successes_text(trials, total), AGAIN_FROM_START),
    ):
        for task, kitchen in track(pairs, "trials", transient=True):
            goals = goals_of(options.goal, task)
            with World(kitchen, task, options.level) as world:
                robot = robot_for(world, policy.contract, command_delay=options.command_delay)
                instructions = _instructions(options, task)
                for index in range(options.episodes):
                    seed = scene_seed(purpose, options.seed, index)
                    words = instructions[index % len(instructions)]
                    set_goal(policy, str(options.checkpoint), goals[index % len(goals)])
                    choice = options.choice or ""
                    trials.append(run_trial(robot, policy, policy.contract, words, seed, options.max_steps, choice))
    return trials


def _instructions(options: argparse.Namespace, task: str) -> tuple[str, ...]:
    """The tasks or instructions given to the policy, in turn.

    Raises:
        PtrError: the task has no such wordings.
    """
    if options.wording is None:
        return (options.as_task or task,)
    texts = wordings(task_named(task), options.wording == "held-out")
    if not texts:
        raise PtrError(f"{task} has no held-out wordings; use --wording training")
    return texts[:1] if options.wording == "plain" else texts


def goals_of(goal: Path | None, task: str) -> tuple[str, ...]:
    """Sources of the trials' goal images, used in turn; one empty text: no goal.

    Args:
        goal: an image file; a bag; or a folder or set of bags, whose successes in the task are used.
    Raises:
        PtrError: no such demonstration in the folder.
    """
    if goal is None:
        return ("",)
    if any(goal.glob("*.mcap")) or (goal.is_file() and not is_manifest(goal)):
        return (str(goal),)
    known = ((path, read_metadata(path)) for path in find_episodes([goal]))
    found = tuple(str(path) for path, about in known if (about.task, about.outcome) == (task, "success"))
    if not found:
        raise PtrError(
            f"{goal} has no successful demonstration of {task} that could give a goal image; give another --goal"
        )
    return found


def successes_text(trials: Sequence[BulkTrial], total: int) -> str:
    """Number of finished trials and of successes."""
    return f"{len(trials)} of {total} trials are done, {sum(trial.success for trial in trials)} succeeded"


def run_trial(
    robot: SimulatedRobot,
    policy: ActingPolicy,
    contract: Contract,
    task: str,
    seed: int,
    max_steps: int,
    choice: str = "",
) -> BulkTrial:
    """Run a policy in one scene, with the observations of its contract."""
    world = robot.world
    robot.reset(seed)
    policy.reset()
    values, left, steps = [], AFTER_SUCCESS, max_steps
    for step in range(max_steps):
        observation = observe(robot, contract)
        decision = policy.act(observation.image, observation.state, task, choice)
        values.append(decision.q)
        robot.act(decision.action, "policy")
        if world.successful():
            steps, left = min(steps, step + 1), left - 1
            if left == 0:
                break
    mean_q = float(np.mean(values))
    return BulkTrial(
        world.task.name, world.kitchen.name, seed, world.successful(), steps, mean_q if np.isfinite(mean_q) else None
    )


def show(trials: Sequence[BulkTrial]) -> None:
    """Print successes per task and kitchen and in total, with Wilson intervals."""
    table = Table("task", "kitchen", box=None, pad_edge=False)
    for heading in ("successes", "95 % interval", "steps"):
        table.add_column(heading, justify="right")
    for (task, kitchen), group in itertools.groupby(trials, key=lambda trial: (trial.task, trial.kitchen)):
        _row(table, for_markup(task), for_markup(kitchen), list(group))
    _row(table, "[bold]all[/bold]", "", trials)
    Console().print(table)


def _row(table: Table, task: str, kitchen: str, trials: Sequence[BulkTrial]) -> None:
    successes = sum(trial.success for trial in trials)
    low, high = wilson_interval(successes, len(trials))
    steps = [trial.steps for trial in trials if trial.success]
    mean = f"{np.mean(steps):.1f}" if steps else "-"
    table.add_row(task, kitchen, f"{successes}/{len(trials)}", f"{100 * low:.0f}-{100 * high:.0f} %", mean)
