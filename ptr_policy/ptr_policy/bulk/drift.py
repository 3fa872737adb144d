# SPDX-License-Identifier: Apache-2.0
"""Tests whether the drift alarm distinguishes failures from successes, with trials in right and wrong scenes.

A wrong scene is that of another task: the policy's object is missing or replaced by another one. The alarm gets the
same values as on the robot, but has no effect.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_bringup.sim.world import World
from ptr_models.common.errors import PtrError
from ptr_models.inference.acting import Decision
from ptr_models.inference.goal import set_goal
from ptr_models.inference.policy import Policy
from ptr_policy.bulk.evaluate import goals_of, run_trial
from ptr_policy.bulk.sight import robot_for
from ptr_policy.evaluation.statistics import wilson_interval
from ptr_policy.server.drift import DriftMonitor


@dataclass(frozen=True)
class MonitoredTrial:
    """One trial.

    Attributes:
        task: given to the policy.   scene: task whose scene was set up.
        steps: until success, or all.
        alarm: first step with the alarm on; None: it was never on.
    """

    task: str
    scene: str
    kitchen: str
    seed: int
    success: bool
    steps: int
    alarm: int | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


class MonitoredPolicy:
    """A policy with the drift alarm; `alarm` is the first step of the episode with the alarm on, or None."""

    def __init__(self, policy: Policy, task: str, drift_time: float) -> None:
        self._policy, self._range = policy, policy.q_range(task)
        if self._range is None:
            raise PtrError(
                f"{policy.checkpoint.path} has no range of Q for {task}; add it with ptr train q-range and its data"
            )
        self._window = max(1, round(drift_time * policy.contract.control_rate))
        self.reset()

    def reset(self) -> None:
        """Start a new episode."""
        self._policy.reset()
        self._watch, self._steps = DriftMonitor(self._range, self._window), 0
        self.alarm: int | None = None

    def act(
        self, image: np.ndarray | None, state: np.ndarray, task: str, choice: str = "", candidates: int = 0
    ) -> Decision:
        """The policy's decision, unchanged."""
        decision = self._policy.act(image, state, task, choice, candidates)
        if self._watch.update(decision.q_mode) and self.alarm is None:
            self.alarm = self._steps
        self._steps += 1
        return decision


def watch_trials(options: argparse.Namespace) -> list[MonitoredTrial]:
    """All trials of `ptr sim drift`."""
    torch.set_num_threads(1)
    policy = Policy.load(options.checkpoint)
    scenes = _scenes(options.tasks, options.wrong)
    return [
        trial
        for task, scene, kitchen in track(
            [(*pair, kitchen) for pair, kitchen in itertools.product(scenes, options.kitchens)],
            "trials",
            transient=True,
        )
        for trial in _in_one_scene(policy, task, scene, kitchen, options)
    ]


def _scenes(tasks: Sequence[str], wrong: int) -> list[tuple[str, str]]:
    """Pairs of a task and a scene: the task's own, and those of the next `wrong` tasks in the list."""
    if wrong >= len(tasks):
        raise PtrError(f"{wrong} wrong scenes for each task need more than the {len(tasks)} tasks of --task")
    return [(task, tasks[(index + k) % len(tasks)]) for index, task in enumerate(tasks) for k in range(wrong + 1)]


def _in_one_scene(
    policy: Policy, task: str, scene: str, kitchen: str, options: argparse.Namespace
) -> Iterator[MonitoredTrial]:
    monitored = MonitoredPolicy(policy, task, options.drift_time)
    goals = goals_of(options.goal, task)
    with World(kitchen, scene, options.level) as world:
        robot = robot_for(world, policy.contract)
        for index in range(options.episodes):
            set_goal(policy, str(options.checkpoint), goals[index % len(goals)])
            seed = scene_seed("trial", options.seed, index)
            done = run_trial(robot, monitored, policy.contract, task, seed, options.max_steps)
            yield MonitoredTrial(task, scene, kitchen, seed, done.success, done.steps, monitored.alarm)


def show(trials: Sequence[MonitoredTrial]) -> None:
    """Print how often the alarm was on, and from which step, by scene and outcome."""
    table = Table("scene", "trial", box=None, pad_edge=False)
    for heading in ("with alarm", "95 % interval", "median step of the alarm"):
        table.add_column(heading, justify="right")
    for right, success in itertools.product((True, False), (True, False)):
        group = [trial for trial in trials if (trial.task == trial.scene) is right and trial.success is success]
        if not group:
            continue
        alarms = [trial.alarm for trial in group if trial.alarm is not None]
        low, high = wilson_interval(len(alarms), len(group))
        middle = f"{np.median(alarms):.0f}" if alarms else "-"
        words = ("right" if right else "wrong", "success" if success else "failure")
        table.add_row(*words, f"{len(alarms)}/{len(group)}", f"{100 * low:.0f}-{100 * high:.0f} %", middle)
    Console().print(table)
