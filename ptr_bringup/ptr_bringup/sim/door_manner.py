# SPDX-License-Identifier: Apache-2.0
"""How a person handles a door: parameter ranges, and the values drawn for one episode or one attempt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True)
class DoorManner:
    """Parameters of the operator's behavior at doors.

    Attributes:
        name: `machine` or `human`, like the operator's manner with food.
        pace: range of the pace, drawn once per episode; 1 is brisk.
        tremor: m, standard deviation of the error of each step; the next step corrects it.
        turn_tremor: rad, the same for rotations.
        pause: probability of a pause at each step of a motion.
        pause_steps: range of a pause's length.
        detour: probability of an approach via a point off the direct path.
        detour_distance: m, range of its distance from the direct path.
        sloppiness: m, maximum deviation of the aim from the middle.
        miss, miss_again: probability of missing the handle, the first time and later.
        miss_distance: m, range of the deviation when missing.
        slip: probability of losing the handle during the motion, in the first attempt.
        stop_short: probability of releasing before the door has moved far enough, in the first attempt.
        let_go_share: range of the share of the motion after which the slip or the early release happens.
        hesitate, linger: mean steps before the fingers close and before they open again (geometric).
        beyond: rad, range by which the door is opened further than needed.
    """

    name: str = "human"
    pace: Range = (0.6, 1.05)
    tremor: float = 0.004
    turn_tremor: float = 0.02
    pause: float = 0.03
    pause_steps: tuple[int, int] = (2, 4)
    detour: float = 0.25
    detour_distance: Range = (0.05, 0.08)
    sloppiness: float = 0.004
    miss: float = 0.30
    miss_again: float = 0.15
    miss_distance: Range = (0.036, 0.050)
    slip: float = 0.12
    stop_short: float = 0.18
    let_go_share: Range = (0.35, 0.75)
    hesitate: float = 1.5
    linger: float = 1.0
    beyond: Range = (0.10, 0.25)


MACHINE = DoorManner(
    name="machine",
    pace=(1.0, 1.0),
    tremor=0.0,
    turn_tremor=0.0,
    pause=0.0,
    detour=0.0,
    sloppiness=0.0,
    miss=0.0,
    miss_again=0.0,
    slip=0.0,
    stop_short=0.0,
    hesitate=0.0,
    linger=0.0,
    beyond=(0.15, 0.15),
)
"""Without mistakes or delays."""
DOOR_MANNERS: dict[str, DoorManner] = {manner.name: manner for manner in (MACHINE, DoorManner())}


@dataclass(frozen=True)
class Attempt:
    """One attempt at a door.

    Attributes:
        aim: (3,) m, error of the handle's assumed position: away from the panel, along it, up.
        missed: True if that misses the handle.
        detour: (3,) m, offset of an intermediate point of the approach, or None.
        share: of the remaining motion after which the hand comes off; 1: it does not.
        slips: True if the hand comes off unintentionally.
        hesitation, lingering: steps before the fingers close and open.
    """

    aim: Array
    missed: bool
    detour: Array | None
    share: float
    slips: bool
    hesitation: int
    lingering: int


def draw_attempt(manner: DoorManner, rng: np.random.Generator, number: int, pushes: bool = False) -> Attempt:
    """Draw attempt `number` (0 is the first) of an episode; a push can only miss above the panel."""
    missed = bool(rng.random() < (manner.miss if number == 0 else manner.miss_again))
    aim = rng.uniform(-1.0, 1.0, 3) * manner.sloppiness
    if missed:
        aim = aim + rng.uniform(*manner.miss_distance) * _miss_direction(rng, pushes)
    detour = None
    if rng.random() < manner.detour:
        bearing = rng.uniform(0.0, 2.0 * np.pi)
        distance = rng.uniform(*manner.detour_distance)
        detour = np.array([-0.3 * distance, distance * np.cos(bearing), 0.03 + distance * abs(np.sin(bearing))])
    slips, short = (bool(rng.random() < p) and number == 0 for p in (manner.slip, manner.stop_short))
    share = float(rng.uniform(*manner.let_go_share))
    return Attempt(
        aim,
        missed,
        detour,
        share if slips or short else 1.0,
        slips,
        _steps(rng, manner.hesitate),
        _steps(rng, manner.linger),
    )


def _miss_direction(rng: np.random.Generator, pushes: bool) -> Array:
    """Too high, or too short."""
    return np.array([0.0, 0.0, 1.0] if pushes or rng.random() < 0.5 else [-1.0, 0.0, 0.0])


def _steps(rng: np.random.Generator, mean: float) -> int:
    """A geometrically distributed number of steps with this mean, 0 to 6."""
    return min(6, int(rng.geometric(1.0 / (1.0 + mean))) - 1)
