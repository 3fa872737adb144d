# SPDX-License-Identifier: Apache-2.0
"""Checkpoints with fresh networks, for tests of what happens around a policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ptr_models.algorithms import make_algorithm
from ptr_models.contract import Contract
from ptr_models.training.checkpoint import Checkpoint, save_checkpoint
from ptr_models.training.presets import preset
from ptr_models.training.q_range import QRange
from ptr_models.training.tasks import GOAL_IMAGE, GoalImageTable, TaskTable

TASK, OTHER_TASK = "put_carrot_on_plate", "put_corn_in_pot"


def write_checkpoint(
    path: Path,
    contract: Contract | None = None,
    *,
    nan: str = "",
    ranges: dict[str, QRange] | None = None,
    by_goal_image: bool = False,
) -> Path:
    """A checkpoint that knows two tasks and has learned nothing.

    Args:
        nan: weights whose name holds this are not a number.
        ranges: of Q, by task.
        by_goal_image: it is told its task by an image of the end.
    """
    contract, config = contract or Contract(), preset("ptr_small")
    size, views = contract.cameras[0].height, len(contract.cameras) * (1 + by_goal_image)
    config = replace(config, networks=replace(config.networks, image_size=size, cameras=views))
    tasks = TaskTable.from_names([TASK, OTHER_TASK], spare=4)
    if by_goal_image:
        config = config.replaced([f"data.task_conditioning={GOAL_IMAGE}"])
        tasks = GoalImageTable.of([TASK, OTHER_TASK])
    algorithm = make_algorithm(config.algorithm, config.networks, tasks.slots)
    for name, module in algorithm.modules.items():
        for key, value in module.state_dict().items():
            if nan and nan in f"{name}.{key}":
                value.fill_(float("nan"))
    state = Checkpoint(Path(), contract, tasks, config, step=0, q_ranges=ranges or {})
    return save_checkpoint(path, algorithm, state, optimizer=False, random=False)
