# SPDX-License-Identifier: Apache-2.0
"""Cells whose trials a person judges: the results of `ptr evaluate`, their cells, and the missing trials."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import command_text
from ptr_models.contract import Contract
from ptr_models.training.runs import latest_checkpoint
from ptr_policy.evaluation.checkpoints import Checkpoint
from ptr_policy.evaluation.findings import Evaluation, command, read_evaluation
from ptr_policy.evaluation.trials import Result, TrialFile
from ptr_policy.table.methods import Method, Recipe
from ptr_policy.table.plan import TablePlan

OWN_CHOICE = "the checkpoint's"
"""Shown for an evaluation without `--choice`."""

Key = tuple[str, str, int]
"""Method, task, seed."""


@dataclass(frozen=True)
class Judged:
    """The valid trials of a cell, and how their actions were chosen."""

    decoding: str
    results: tuple[Result, ...]
    checkpoint: str


@dataclass(frozen=True)
class Step:
    """A step to be done, and its command."""

    about: str
    command: str


def read_evaluations(plan: TablePlan) -> list[Evaluation]:
    """The evaluations in the table's own folder and in `--trials-from`.

    Raises:
        PtrError: a given folder has none, or one can't be read.
    """
    if not plan.judged_tasks:
        return []
    folders: dict[Path, None] = {}
    for folder in (plan.evaluations, *plan.trials_from):
        found = sorted(file.parent.resolve() for file in folder.rglob("trials.jsonl"))
        if not found and folder != plan.evaluations:
            raise PtrError(f"{folder} holds no trials of `ptr evaluate` (trials.jsonl); give the folder of its --out")
        folders |= dict.fromkeys(found)
    return [read_evaluation(folder) for folder in folders if TrialFile(folder / "trials.jsonl").read()]


def judged_cells(plan: TablePlan, evaluations: Sequence[Evaluation]) -> dict[Key, Judged]:
    """The trials of each cell, over all evaluations; policies with hidden names are left out.

    Raises:
        PtrError: the actions of a cell were chosen in several ways.
    """
    cells: dict[Key, Judged] = {}
    for evaluation in evaluations:
        decoding = evaluation.protocol.action_choice or OWN_CHOICE
        for policy, key in _matched(plan, evaluation):
            before = cells.get(key, Judged(decoding, (), evaluation.names[policy].path))
            if before.decoding != decoding:
                raise PtrError(
                    f"{label(key)} was tried with actions chosen by {before.decoding}, and by {decoding} in "
                    f"{evaluation.directory}; move one of these evaluations away"
                )
            cells[key] = dataclasses.replace(before, results=before.results + evaluation.of(policy))
    return {key: cell for key, cell in cells.items() if cell.results}


def unmatched_policies(plan: TablePlan, evaluations: Sequence[Evaluation]) -> list[str]:
    """A sentence for each evaluated policy that is in no cell of the table."""
    found = []
    for evaluation in evaluations:
        matched = {policy for policy, _ in _matched(plan, evaluation)}
        for policy, checkpoint in evaluation.names.items():
            if policy not in matched and not evaluation.hidden:
                found.append(
                    f"{evaluation.directory}: {checkpoint.name}, task {evaluation.protocol.task}, is not a cell of "
                    "this table; evaluate a checkpoint of one of its runs, or name the policy METHOD-sSEED"
                )
    return found


def _matched(plan: TablePlan, evaluation: Evaluation) -> Iterator[tuple[str, Key]]:
    """The policies of an evaluation that are cells of the table."""
    task = evaluation.protocol.task
    if task not in plan.judged_tasks:
        return
    for policy, checkpoint in evaluation.names.items():
        for method, seed in itertools.product(plan.methods, plan.seeds):
            if seed in plan.seeds_of(method) and _is_of(
                checkpoint, plan.policy(method, task, seed), policy_name(method, seed)
            ):
                yield policy, (method.name, task, seed)


def _is_of(checkpoint: Checkpoint, policy: str, name: str) -> bool:
    """Whether a checkpoint is a cell's policy: it is in its folder, or has its name and is on another machine.

    An external policy must have its address; on another machine, the path in it may differ.
    """
    path = Path(checkpoint.path)
    if checkpoint.path and path.exists():
        return path.resolve().is_relative_to(Path(policy).resolve())
    return checkpoint.path == policy or checkpoint.name == name


def policy_name(method: Method, seed: int) -> str:
    """What a cell's policy is called in an evaluation."""
    return f"{method.name}-s{seed}"


def label(key: Key) -> str:
    """A cell in words."""
    method, task, seed = key
    return f"{method}, {task.replace('_', ' ')}, seed {seed}"


def missing_trials(plan: TablePlan, evaluations: Sequence[Evaluation]) -> list[Step]:
    """The steps at the arm until every judged cell has its trials."""
    cells = judged_cells(plan, evaluations)
    steps = []
    for task in plan.judged_tasks:
        started: set[Key] = set()
        for evaluation in evaluations:
            named = read_evaluation(evaluation.directory, disclose=True)
            inside = {key for _, key in _matched(plan, named) if key[1] == task}
            if inside and _is_open(plan, evaluation, cells):
                steps.append(_continue_evaluation(plan, named))
                started |= inside
        keys = [(method, seed) for method in plan.methods for seed in plan.seeds_of(method)]
        new = [(method, seed) for method, seed in keys if (method.name, task, seed) not in started | set(cells)]
        trained = [
            (method, seed)
            for method, seed in new
            if method.recipe is Recipe.EXTERNAL or latest_checkpoint(plan.run(method, task, seed))
        ]
        if trained:
            steps.append(_start_evaluation(plan, task, trained))
    return steps


def _is_open(plan: TablePlan, evaluation: Evaluation, cells: dict[Key, Judged]) -> bool:
    """Whether an evaluation lacks trials of its own plan, or one of its cells lacks trials of the table's plan."""
    if len(evaluation.judged) < len(evaluation.planned):
        return True
    matched = (cells[key] for _, key in _matched(plan, evaluation) if key in cells)
    return any(len(cell.results) < plan.budget.trials for cell in matched)


def _continue_evaluation(plan: TablePlan, evaluation: Evaluation) -> Step:
    """The remaining trials of an evaluation with disclosed names."""
    scenes = max(evaluation.protocol.scenes, plan.budget.trials)
    planned = scenes * len(evaluation.protocol.policies)
    about = (
        f"{evaluation.protocol.task.replace('_', ' ')}: {len(evaluation.judged)} of {planned} trials are judged. "
        "Continue with a running robot and policy server:"
    )
    protocol = dataclasses.replace(evaluation.protocol, scenes=scenes)
    return Step(about, command(protocol, evaluation, evaluation.directory))


def _start_evaluation(plan: TablePlan, task: str, cells: Sequence[tuple[Method, int]]) -> Step:
    """One evaluation of all cells of a task without trials: interleaved, in the same scenes, with letters as names."""
    trials, target = plan.budget.trials, plan.targets.get(task)
    checkpoints = ",".join(f"{policy_name(method, seed)}={plan.policy(method, task, seed)}" for method, seed in cells)
    out = next(path for path in _numbered(plan.evaluations / task) if not (path / "trials.jsonl").exists())
    words = ["launch", "ptr_bringup", "evaluate.launch.xml", "robot:=wx250s", f"task:={task}", f"trials:={trials}"]
    words += [f"checkpoint:={checkpoints}", f"directory:={out}"]
    if plan.cameras not in ((), tuple(camera.name for camera in Contract().cameras)):
        words.append(f"cameras:={','.join(plan.cameras)}")
    if target is not None and len(target.bags) >= trials:
        words.append(f"reference:={target.folder}")
    titles = ", ".join(f"{method.title} (seed {seed})" for method, seed in cells)
    return Step(f"{task.replace('_', ' ')}: no trials yet of {titles}. Make them at the arm:", command_text(*words))


def _numbered(first: Path) -> Iterator[Path]:
    """A folder, followed by the same one with a number added to its name."""
    yield first
    for number in itertools.count(2):
        yield first.with_name(f"{first.name}-{number}")
