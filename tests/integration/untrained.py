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
from ptr_models.training.tasks import TaskTable

TASK, OTHER_TASK = "put_carrot_on_plate", "put_corn_in_pot"


def write_checkpoint(
    path: Path, contract: Contract | None = None, *, nan: str = "", ranges: dict[str, QRange] | None = None
) -> Path:
    """A checkpoint that knows two tasks and has learned nothing.

    Args:
        nan: weights whose name holds this are not a number.
        ranges: of Q, by task.
    """
    contract, config = contract or Contract(), preset("ptr_small")
    size, views = contract.cameras[0].height, len(contract.cameras)
    config = replace(config, networks=replace(config.networks, image_size=size, cameras=views))
    tasks = TaskTable.from_names([TASK, OTHER_TASK], spare=4)
    algorithm = make_algorithm(config.algorithm, config.networks, tasks.slots)
    for name, module in algorithm.modules.items():
        for key, value in module.state_dict().items():
            if nan and nan in f"{name}.{key}":
                value.fill_(float("nan"))
    state = Checkpoint(Path(), contract, tasks, config, step=0, q_ranges=ranges or {})
    return save_checkpoint(path, algorithm, state, optimiser=False, random=False)
