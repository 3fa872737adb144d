# SPDX-License-Identifier: Apache-2.0
"""Tests the rule that chooses a checkpoint without trials: its score and the success rate of every checkpoint.

The rule (`ptr_models.analysis.values.choose`) uses demonstrations only. In simulation, each checkpoint of a fine-tuning
run is also evaluated, all in the same scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ptr_bringup.sim.robot import SimulatedRobot
from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_bringup.sim.world import World
from ptr_models.analysis.values import Candidate, choose, rank_correlation, score_checkpoints
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.common.plotting import COLORS, INK, save, tidy
from ptr_models.inference.goal import set_goal
from ptr_models.inference.policy import Policy
from ptr_models.json_input import read_object
from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.data import limited, open_folders
from ptr_policy.bulk.evaluate import goals_of, run_trial
from ptr_policy.bulk.sight import robot_for
from ptr_policy.evaluation.statistics import wilson_interval


@dataclass(frozen=True)
class CheckpointResult:
    """One checkpoint: the rule's score, and its trials."""

    step: int
    score: float
    accepted: bool
    successes: int
    trials: int

    @property
    def rate(self) -> float:
        """Share of successful trials."""
        return self.successes / self.trials


@dataclass(frozen=True)
class RuleResult:
    """How well the rule chose in one run.

    Attributes:
        chosen: update of the chosen checkpoint.
        rate: its success rate.   mean, best: mean over all checkpoints, and the best one's.
        correlation: Spearman's, of score and success over checkpoints; None: one of them is constant.
    """

    chosen: int
    rate: float
    mean: float
    best: float
    correlation: float | None

    @property
    def regret(self) -> float:
        """Difference of the success rate to that of an oracle's choice."""
        return self.best - self.rate


def rule(options: argparse.Namespace) -> tuple[list[CheckpointResult], RuleResult]:
    """Run `ptr sim rule`; checkpoints already in `rule.json` are not evaluated again."""
    paths = sorted((options.run_folder / "checkpoints").glob("step_*"))
    if not paths:
        raise PtrError(f"{options.run_folder} holds no checkpoints; give the folder of a fine-tuning run")
    torch.set_num_threads(1)
    first = read_checkpoint(paths[0])
    earliest = first.config.schedule.choose_from if options.earliest is None else options.earliest
    goal_images = first.config.data.by_goal_image
    data = open_folders(
        options.target, first.contract, cache=options.cache, exclude=options.exclude, goal_images=goal_images
    )
    data = limited(data, 10, 0)
    candidates = score_checkpoints(paths, data)
    place = options.run_folder / "rule.json"
    known = _known(place, options)
    with World(options.kitchen, options.task, options.level) as world:
        robot = robot_for(world, first.contract)
        for candidate in track(candidates, "checkpoints", transient=True):
            if candidate.step not in known:
                known[candidate.step] = successes(robot, candidate.path, options)
                _write(place, options, candidates, known)
    tried = _tried(candidates, known, options.episodes)
    return tried, rule_result(tried, choose(candidates, earliest).step)


def successes(robot: SimulatedRobot, checkpoint: Path, options: argparse.Namespace) -> int:
    """Number of successful trials of a checkpoint, in the same scenes for all checkpoints."""
    policy = Policy.load(checkpoint)
    goals, successful = goals_of(options.goal, options.task), 0
    for index in track(range(options.episodes), checkpoint.name, transient=True):
        set_goal(policy, str(checkpoint), goals[index % len(goals)])
        seed = scene_seed("trial", options.seed, index)
        successful += run_trial(robot, policy, policy.contract, options.task, seed, options.max_steps).success
    return successful


def rule_result(tried: Sequence[CheckpointResult], chosen: int) -> RuleResult:
    """Compare the choice with the mean and the best checkpoint, and correlate score and success."""
    rates, scores = np.array([item.rate for item in tried]), np.array([item.score for item in tried])
    constant = len(tried) < 2 or np.ptp(rates) == 0 or np.ptp(scores) == 0
    return RuleResult(
        chosen=chosen,
        rate=next(item.rate for item in tried if item.step == chosen),
        mean=float(rates.mean()),
        best=float(rates.max()),
        correlation=None if constant else rank_correlation(scores, rates),
    )


def show(tried: Sequence[CheckpointResult], found: RuleResult) -> None:
    """Print one row per checkpoint, and how well the rule chose."""
    table = Table(box=None, pad_edge=False)
    for heading in ("update", "trend score", "rises", "successes", "95 % interval", ""):
        table.add_column(heading, justify="right")
    for item in tried:
        low, high = wilson_interval(item.successes, item.trials)
        table.add_row(
            str(item.step),
            f"{item.score:.3f}",
            "yes" if item.accepted else "no",
            f"{item.successes}/{item.trials}",
            f"{100 * low:.0f}-{100 * high:.0f} %",
            "chosen" if item.step == found.chosen else "",
        )
    console = Console()
    console.print(table)
    relation = "undefined (one of them is constant)" if found.correlation is None else f"{found.correlation:.2f}"
    console.print(
        f"chosen {100 * found.rate:.0f} %, mean of all {100 * found.mean:.0f} %, best {100 * found.best:.0f} %: "
        f"regret {100 * found.regret:.0f} points; rank correlation of score and success {relation}"
    )


def figure(tried: Sequence[CheckpointResult], found: RuleResult) -> Figure:
    """Score and success over the run, the chosen checkpoint marked."""
    drawing = Figure(figsize=(5.2, 3.0), layout="constrained")
    axis = drawing.subplots()
    steps = [item.step for item in tried]
    intervals = np.array([wilson_interval(item.successes, item.trials) for item in tried]).T
    axis.fill_between(steps, *intervals, color=COLORS[1], alpha=0.15, lw=0)
    axis.plot(steps, [item.rate for item in tried], color=COLORS[1], marker="o", ms=4, label="success (95 %)")
    axis.plot(steps, [item.score for item in tried], color=COLORS[0], marker="s", ms=4, label="trend score")
    axis.axvline(found.chosen, color=INK, lw=1, ls="--", label="chosen")
    axis.set_xlabel("update", fontsize=8, color=INK)
    axis.legend(frameon=False, fontsize=7)
    tidy(axis)
    return drawing


def draw(tried: Sequence[CheckpointResult], found: RuleResult, path: Path) -> Path:
    """Write the image."""
    return save(figure(tried, found), path)


def _question(options: argparse.Namespace) -> dict[str, Any]:
    """The settings on which the results depend, besides the checkpoints."""
    names = ("task", "kitchen", "level", "episodes", "seed", "max_steps")
    return {name: getattr(options, name) for name in names}


def _known(place: Path, options: argparse.Namespace) -> dict[int, int]:
    """Successes by update from an earlier run with the same settings."""
    if not place.is_file():
        return {}
    stored = read_object(place)
    if stored["question"] != _question(options):
        return {}
    return {item["step"]: item["successes"] for item in stored["checkpoints"]}


def _tried(candidates: Sequence[Candidate], known: dict[int, int], trials: int) -> list[CheckpointResult]:
    return [
        CheckpointResult(item.step, item.trend.score, item.trend.accepted, known[item.step], trials)
        for item in candidates
        if item.step in known
    ]


def _write(place: Path, options: argparse.Namespace, candidates: Sequence[Candidate], known: dict[int, int]) -> None:
    rows = [asdict(item) for item in _tried(candidates, known, options.episodes)]
    write_json(place, {"question": _question(options), "checkpoints": rows})
