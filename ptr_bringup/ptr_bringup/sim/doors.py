# SPDX-License-Identifier: Apache-2.0
"""Toy doors: cabinets, ovens and microwaves with hinges, each with its own size, handle and colors.

Positions are in m in `base_link`. A door's front faces the arm (-x). Its body's origin lies on the hinge's axis, and
its axes are those of `base_link` while the door is shut. The hinge's angle (rad) is 0 then and grows as it opens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_bringup.sim.kitchens import KITCHENS, pretraining_kitchens
from ptr_models.common.rotations import matrix_from_rotation_vector

Array = NDArray[np.float64]
Color = tuple[float, float, float]

KINDS = ("cabinet", "oven", "microwave")
THICKNESS = 0.012
"""Thickness of a panel (m)."""
FRONT = 0.40
"""x of a shut panel's outer face (m)."""
MAX_ANGLE = {"cabinet": 1.75, "oven": 1.35, "microwave": 1.75}
"""Maximum angle of the hinge (rad)."""
OPEN_ANGLE = {"cabinet": 0.90, "oven": 0.80, "microwave": 0.90}
"""Minimum angle at which a door counts as open (rad)."""
SHUT_ANGLE = 0.08
"""Maximum angle at which a door counts as shut (rad)."""

_AXES: dict[str, tuple[float, float, float]] = {"left": (0, 0, -1), "right": (0, 0, 1), "bottom": (0, -1, 0)}


@dataclass(frozen=True)
class Handle:
    """A handle. Sizes in m; `half` is half the size (away from the panel, along y, up) of the part that is held.

    The fingers clamp a knob, block, pull or ball, and reach behind a bar or a hook.
    """

    kind: str  # knob, block, pull, ball, bar or hook
    half: tuple[float, float, float]
    standoff: float  # from the panel's outer face to the middle of the held part
    color: Color

    @property
    def gap(self) -> float:
        """Gap between the panel and the held part (m)."""
        return self.standoff - self.half[0]

    @property
    def hooked(self) -> bool:
        """True if the fingers pull it from behind instead of clamping it."""
        return self.kind in ("bar", "hook")


@dataclass(frozen=True)
class Door:
    """A door in its box. Sizes in m.

    Attributes:
        kind: cabinet, oven or microwave.
        hinge: left or right (seen from the arm, a vertical axis) or bottom (a horizontal one).
        size: width and height of the panel.
        center: y of the panel's middle.
        bottom: height of the panel's lower edge above the counter.
        handle_height: of the handle above the panel's lower edge.
        handle_inset: of the handle from the free edge of a panel with a vertical hinge.
    """

    name: str
    kind: str
    hinge: str
    size: tuple[float, float]
    center: float
    bottom: float
    handle: Handle
    handle_height: float
    handle_inset: float
    color: Color
    box_color: Color

    @property
    def axis(self) -> Array:
        """(3,) rotation axis; positive angles open the door."""
        return np.array(_AXES[self.hinge], dtype=float)

    @property
    def hinge_position(self) -> Array:
        """(3,) m, origin of the door's body; scenes shift it slightly."""
        width, height = self.size
        if self.hinge == "bottom":
            return np.array([FRONT, self.center, self.bottom])
        side = 1.0 if self.hinge == "left" else -1.0
        return np.array([FRONT, self.center + side * width / 2, self.bottom + height / 2])

    @property
    def panel_center(self) -> Array:
        """(3,) m, middle of the panel's outer face from the hinge, with the door shut."""
        width, height = self.size
        if self.hinge == "bottom":
            return np.array([0.0, 0.0, height / 2])
        return np.array([0.0, -width / 2 if self.hinge == "left" else width / 2, 0.0])

    @property
    def handle_position(self) -> Array:
        """(3,) m, middle of the handle from the hinge, with the door shut."""
        width, height = self.size
        if self.hinge == "bottom":
            return np.array([-self.handle.standoff, 0.0, self.handle_height])
        across = width - self.handle_inset
        y = -across if self.hinge == "left" else across
        return np.array([-self.handle.standoff, y, self.handle_height - height / 2])

    @property
    def max_angle(self) -> float:
        """Angle at which the hinge stops (rad)."""
        return MAX_ANGLE[self.kind]

    @property
    def open_angle(self) -> float:
        """Minimum angle at which it counts as open (rad)."""
        return OPEN_ANGLE[self.kind]

    def rotation(self, angle: float) -> Array:
        """Rotation matrix (3, 3) of the panel at a hinge angle (rad)."""
        return matrix_from_rotation_vector(self.axis * angle)

    def angle(self, quaternion: ArrayLike) -> float:
        """Hinge angle (rad) of a door body's orientation (4,) w x y z."""
        w, *vector = (float(c) for c in np.asarray(quaternion, dtype=float))
        return math.remainder(2.0 * math.atan2(float(np.dot(vector, self.axis)), w), math.tau)


_STEEL: Color = (0.78, 0.80, 0.83)
_BLACK: Color = (0.07, 0.07, 0.08)
_BRASS: Color = (0.85, 0.64, 0.20)
_WHITE: Color = (0.93, 0.93, 0.91)


def _knob(radius: float, color: Color, standoff: float = 0.032) -> Handle:
    return Handle("knob", (0.011, radius, radius), standoff, color)


def _bar(radius: float, half_length: float, color: Color, kind: str = "bar", gap: float = 0.030) -> Handle:
    return Handle(kind, (radius, half_length, radius), gap + radius, color)


# fmt: off
DOORS: tuple[Door, ...] = (
    Door("white_cabinet", "cabinet", "left", (0.155, 0.150), 0.062, 0.015,
         _knob(0.019, _BRASS), 0.120, 0.022, (0.95, 0.94, 0.90), (0.80, 0.78, 0.74)),
    Door("pine_cabinet", "cabinet", "right", (0.165, 0.160), -0.060, 0.012,
         Handle("pull", (0.008, 0.0185, 0.034), 0.030, _BLACK), 0.118, 0.022, (0.80, 0.58, 0.34), (0.66, 0.46, 0.26)),
    Door("blue_cabinet", "cabinet", "left", (0.140, 0.145), 0.060, 0.015,
         _bar(0.006, 0.040, _STEEL), 0.115, 0.046, (0.20, 0.36, 0.62), (0.16, 0.28, 0.48)),
    Door("green_cabinet", "cabinet", "right", (0.150, 0.155), -0.062, 0.015,
         Handle("block", (0.011, 0.0195, 0.018), 0.030, _WHITE), 0.122, 0.022, (0.36, 0.55, 0.38), (0.88, 0.86, 0.80)),
    Door("steel_oven", "oven", "bottom", (0.200, 0.135), 0.0, 0.025,
         _bar(0.006, 0.060, _STEEL, gap=0.042), 0.128, 0.0, (0.55, 0.57, 0.60), (0.36, 0.37, 0.40)),
    Door("red_oven", "oven", "bottom", (0.180, 0.125), 0.030, 0.030,
         _bar(0.008, 0.050, _WHITE, gap=0.042), 0.117, 0.0, (0.72, 0.14, 0.12), (0.55, 0.10, 0.09)),
    Door("cream_oven", "oven", "bottom", (0.190, 0.140), -0.030, 0.022,
         Handle("block", (0.010, 0.0200, 0.012), 0.030, _BRASS), 0.130, 0.0, (0.93, 0.87, 0.70), (0.78, 0.70, 0.52)),
    Door("black_oven", "oven", "bottom", (0.215, 0.130), 0.010, 0.028,
         _knob(0.0185, (0.85, 0.20, 0.12)), 0.118, 0.0, (0.15, 0.15, 0.17), (0.25, 0.25, 0.27)),
    Door("white_microwave", "microwave", "left", (0.160, 0.120), 0.062, 0.025,
         Handle("pull", (0.008, 0.0190, 0.030), 0.030, (0.62, 0.64, 0.66)), 0.085, 0.022, _WHITE, (0.84, 0.84, 0.82)),
    Door("black_microwave", "microwave", "left", (0.150, 0.130), 0.058, 0.025,
         _bar(0.007, 0.042, (0.88, 0.89, 0.90), "hook"), 0.100, 0.048, (0.16, 0.16, 0.18), (0.10, 0.10, 0.11)),
    Door("silver_microwave", "microwave", "right", (0.155, 0.125), -0.060, 0.025,
         _knob(0.0200, _BLACK, 0.030), 0.092, 0.024, (0.68, 0.70, 0.73), (0.52, 0.54, 0.57)),
    Door("yellow_microwave", "microwave", "left", (0.170, 0.115), 0.065, 0.030,
         Handle("block", (0.010, 0.0180, 0.022), 0.030, (0.20, 0.30, 0.60)), 0.082, 0.022,
         (0.95, 0.78, 0.25), (0.80, 0.62, 0.16)),
)
# fmt: on
"""The doors of pre-training: four of each kind."""

NEW_DOOR = Door(
    "turquoise_microwave",
    "microwave",
    "left",
    (0.182, 0.138),
    0.065,
    0.022,
    Handle("ball", (0.016, 0.0205, 0.024), 0.034, (0.95, 0.50, 0.12)),
    0.104,
    0.026,
    (0.18, 0.66, 0.66),
    (0.92, 0.90, 0.84),
)
"""The door that is not in pre-training, with a unique handle, size and color."""


def door_in(kitchen: str, kind: str) -> Door:
    """The door of a kind in a kitchen: each kitchen has one of each kind; held-out kitchens have the new microwave.

    Raises:
        ValueError: unknown kitchen or kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of door {kind!r}; known: {', '.join(KINDS)}")
    if kitchen not in KITCHENS:
        raise ValueError(f"unknown kitchen {kitchen!r}; known: {', '.join(KITCHENS)}")
    if kitchen not in pretraining_kitchens() and kind == NEW_DOOR.kind:
        return NEW_DOOR
    ordinary = [door for door in DOORS if door.kind == kind]
    return ordinary[list(KITCHENS).index(kitchen) % len(ordinary)]
