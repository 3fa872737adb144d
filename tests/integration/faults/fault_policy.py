# SPDX-License-Identifier: Apache-2.0
"""A policy whose behavior is known: it moves in circles for ever. Its weights are set by hand, not learned.

A fault can only be seen to stop the arm when something moves it. The circles come from feedback alone: a step of
the displacement is a rotation about the centre, and where the arm is further out than the circle, or turned, or at
another height, a step back. Variants go wrong on one side of the circle.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ptr_models.algorithms import make_algorithm
from ptr_models.contract import Contract
from ptr_models.training.checkpoint import Checkpoint, save_checkpoint
from ptr_models.training.presets import preset
from ptr_models.training.q_range import QRange
from ptr_models.training.tasks import TaskTable

TASK = "put_carrot_on_plate"
CENTRE = np.array([0.26, 0.0, 0.16])  # m; the arm's start is 4 cm beside it
TURN = 0.4  # rad of the circle per control step
OUT = 0.045  # m from the centre along an axis, beyond which it turns back
BACK = 0.6  # share of what is too far that a step takes back
LOW, HIGH = np.array(Contract().action_low), np.array(Contract().action_high)
UNITS = {"q": 1e38, "value": 1e3}  # size of a hidden unit of the critic; squared, the first is infinite
SIDE = 16  # number of the actor's hidden unit that says how far y is over 2 cm
HUGE = 1e38  # a finite weight that makes an infinity of a finite number, and NaN of that


def circle(state: np.ndarray) -> np.ndarray:
    """The action (7,) in m, rad and opening at a state (7,)."""
    x, y, z = state[:3] - CENTRE
    action = np.zeros(7)
    action[0] = -TURN * y - BACK * (max(x - OUT, 0.0) - max(-x - OUT, 0.0))
    action[1] = TURN * x - BACK * (max(y - OUT, 0.0) - max(-y - OUT, 0.0))
    action[2] = -BACK * z
    action[3:6] = -BACK * state[3:6]
    action[6] = 1.0
    return np.clip(action, LOW, HIGH)


def write_checkpoint(path: Path, contract: Contract | None = None, goes_wrong: str = "") -> Path:
    """A checkpoint that circles.

    Args:
        goes_wrong: what happens where y is over 2 cm: `action`: it is NaN; `q`: the value is NaN; `value`: it is
            far out of its range; empty: nothing.
    """
    config = preset("ptr_small")
    tasks = TaskTable.from_names([TASK, "put_corn_in_pot"], spare=4)
    algorithm = make_algorithm(config.algorithm, config.networks, tasks.slots)
    with torch.no_grad():
        for name, module in algorithm.modules.items():
            if "actor" in name:
                _circling(module)
                if goes_wrong == "action":
                    module.layers[1].weight[SIDE, SIDE] = module.layers[2].weight[SIDE, SIDE] = HUGE
                elif goes_wrong in UNITS:
                    module.mean.weight[6, SIDE] = -1e3  # it closes the gripper there, and the critic fails for that
            elif goes_wrong in UNITS and "critic" in name:
                _afraid_of_closing(module, UNITS[goes_wrong])
    ranges = {TASK: QRange((-1.0,), (1.0,), demonstrations=10)}  # the values of such a critic are near 0
    state = Checkpoint(Path(), contract or Contract(), tasks, config, step=0, q_ranges=ranges)
    return save_checkpoint(path, algorithm, state, optimizer=False, random=False)


def _circling(actor: nn.Module) -> None:
    """Set the weights so that the mode of the actor is `circle`, as far as tanh is straight.

    The hidden units carry the state through the rectifiers: each number above and below its centre, and how far x
    and y are out.
    """
    center, scale = actor.state_center.numpy(), actor.state_scale.numpy()
    first = actor.encoder.dense.out_features
    middle = np.concatenate([CENTRE, np.zeros(3)])
    rows: list[tuple[int, float, float]] = []  # of the state: dimension, sign, m at which it begins
    rows += [(d, sign, 0.0) for d in range(6) for sign in (1.0, -1.0)]
    rows += [(d, sign, OUT) for d in range(2) for sign in (1.0, -1.0)]
    assert len(rows) == SIDE
    rows += [(1, 1.0, 0.02)]
    for layer in (*actor.layers, actor.mean, actor.log_std):
        layer.weight.zero_()
        layer.bias.zero_()
    for unit, (d, sign, begin) in enumerate(rows):
        actor.layers[0].weight[unit, first + d] = sign * float(scale[d])
        actor.layers[0].bias[unit] = sign * float(center[d] - middle[d]) - begin
        actor.layers[1].weight[unit, unit] = actor.layers[2].weight[unit, unit] = 1.0
        for dimension, gain in _gains(d, begin) if unit != SIDE else []:
            actor.mean.weight[dimension, unit] = sign * gain / float(HIGH[dimension])
    actor.mean.bias[6] = 2.5  # tanh(2.5) = 0.987: open
    actor.log_std.bias.fill_(-10.0)


def _gains(d: int, begin: float) -> list[tuple[int, float]]:
    """Dimensions of the action that a deviation of the state's number d acts on, and by how much."""
    if begin:
        return [(d, -BACK)]
    return {0: [(1, TURN)], 1: [(0, -TURN)]}.get(d, [(d, -BACK)])


def _afraid_of_closing(critic: nn.Module, unit: float) -> None:
    """Let a hidden unit be so large for an action that closes the gripper, and 0 for others."""
    layers = critic.q_function.layers
    tasks = layers[0].sizes[0]
    layers[0].weight[:, :, 0] = 0.0
    layers[0].weight[:, tasks + 6, 0] = -unit
    layers[1].weight[:, 0] *= unit


def damage(checkpoint: Path) -> Path:
    """Flip one bit in the middle of a checkpoint's weights."""
    weights = checkpoint / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    return checkpoint


def wrist_contract() -> Contract:
    """A contract with another camera than the robot has."""
    (camera,) = Contract().cameras
    return dataclasses.replace(Contract(), cameras=(dataclasses.replace(camera, name="wrist"),))
