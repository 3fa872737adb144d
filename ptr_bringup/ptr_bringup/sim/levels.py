# SPDX-License-Identifier: Apache-2.0
"""How hard a scene is: named levels, each a set of ranges that the seed of a scene draws from."""

from __future__ import annotations

from dataclasses import dataclass

MAX_DISTRACTORS = 4
"""Bodies that a physics model keeps ready for distractors; a scene shows as many of them as its level wants."""


@dataclass(frozen=True)
class Level:
    """Ranges of a scene.

    Attributes:
        name: `easy`, `standard` or `hard`; stored with every episode.
        distractors: fewest and most objects that the task does not name.
        clearance: m, least distance between the centers of two objects on the counter.
        yaw: rad, the item is turned by up to this much either way from lying across the fingers; above a quarter
            turn the arm's wrist has to turn with it.
        receptacle_shift: m, how far the receptacle moves from its place, along x and y.
        light: strength of the variation of light, colors and clutter; 1 is that of `easy`.
        rolling: rolling resistance of round items (m); small values let them roll away when they are pushed.
        friction: sliding friction of items on the counter; what the pads touch is held by the pads' own friction.
        mass: kg, of every item.
    """

    name: str
    distractors: tuple[int, int]
    clearance: float
    yaw: float
    receptacle_shift: float
    light: float
    rolling: float
    friction: float
    mass: float


LEVELS: dict[str, Level] = {
    level.name: level
    for level in (
        Level("easy", (0, 0), 0.0, 0.35, 0.015, 1.0, rolling=0.002, friction=1.5, mass=0.04),
        Level("standard", (1, 3), 0.080, 0.90, 0.030, 1.5, rolling=0.00005, friction=0.35, mass=0.03),
        Level("hard", (2, 4), 0.060, 1.50, 0.040, 2.0, rolling=0.00002, friction=0.2, mass=0.02),
    )
}
DEFAULT_LEVEL = "easy"


def level_named(name: str) -> Level:
    """The level of that name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if name not in LEVELS:
        raise ValueError(f"unknown level {name!r}; known are {', '.join(LEVELS)}")
    return LEVELS[name]
