# SPDX-License-Identifier: Apache-2.0
"""Difficulty levels of scenes: each is a set of ranges from which a scene's seed draws."""

from __future__ import annotations

from dataclasses import dataclass

MAX_DISTRACTORS = 4
"""Bodies for distractors in a physics model; a scene shows as many of them as its level requires."""


@dataclass(frozen=True)
class Level:
    """Ranges of a scene.

    Attributes:
        name: `easy`, `standard` or `hard`; stored with every episode.
        distractors: minimum and maximum number of objects that the task does not name.
        clearance: m, minimum distance between the centers of two objects on the counter.
        yaw: rad, maximum rotation of the item from lying across the fingers, in both directions; above a quarter turn
            the arm's wrist must turn with it.
        receptacle_shift: m, maximum shift of the receptacle along x and y.
        light: strength of the variation of light, colors and clutter, relative to `easy`.
        rolling: rolling resistance of round items (m); with small values they roll away when pushed.
        friction: sliding friction of items on the counter; the pads have their own friction.
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
        ValueError: the name is unknown; the message lists the levels.
    """
    if name not in LEVELS:
        raise ValueError(f"unknown level {name!r}; known: {', '.join(LEVELS)}")
    return LEVELS[name]
