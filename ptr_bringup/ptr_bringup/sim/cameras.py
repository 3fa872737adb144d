# SPDX-License-Identifier: Apache-2.0
"""The simulated cameras: poses, and their variation with the seed. No rendering."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.sim.arm_mjcf import TOOL_OFFSET
from ptr_bringup.sim.shapes import text
from ptr_models.common import rotations

Array = NDArray[np.float64]
OVER_SHOULDER, WRIST = "over_shoulder", "wrist"
CAMERAS = (OVER_SHOULDER, WRIST)
TOOL_FRAME = "ee_gripper_link"
NEAR = {OVER_SHOULDER: 0.05, WRIST: 0.01}
"""Near clipping distance, as a share of the model's extent; the fingers are close to the wrist camera."""
WRIST_FOVY = 70.0
"""deg, vertical field of view of the wrist camera."""
_WRIST_POSITION = np.array([-0.095, 0.0, 0.075])
"""m in TOOL_FRAME: above the wrist, behind the fingers."""
_WRIST_TARGET = np.array([0.05, 0.0, -0.005])
"""m in TOOL_FRAME: just beyond the fingertips."""
_TURNED = np.diag([1.0, -1.0, -1.0])
"""MuJoCo's camera looks along -z, with y up; an optical frame along z, with y down."""


class Appearance(NamedTuple):
    """Poses for rendering: (G, 3) m and (G, 9) rotations of shapes, and the same of C cameras."""

    shapes: Array
    shape_rotations: Array
    cameras: Array
    camera_rotations: Array


def axes_toward(position: ArrayLike, target: ArrayLike) -> Array:
    """Rotation (3, 3) of a MuJoCo camera (x right, y up, looks along -z) at `position` that looks at `target`."""
    back = np.asarray(position, dtype=float) - np.asarray(target, dtype=float)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back], axis=1)


def camera_xml(name: str, position: Iterable[float], fovy: float) -> str:
    """MJCF of a camera; `World.reset` aims it."""
    return f'<camera name="{name}" pos="{text(position)}" fovy="{fovy}"/>'


def wrist_xml() -> str:
    """MJCF of the wrist camera, for the body of the joint wrist_rotate."""
    return camera_xml(WRIST, _WRIST_POSITION + [TOOL_OFFSET, 0.0, 0.0], WRIST_FOVY)


def moved(
    position: ArrayLike, target: ArrayLike, rng: np.random.Generator, shift: float, angle: float
) -> tuple[Array, Array]:
    """A camera mounted slightly differently: its position (3,) and rotation (3, 3).

    Args:
        shift, angle: maximum deviation, m and rad.
    """
    place = np.asarray(position) + rng.uniform(-1, 1, 3) * shift
    axes = axes_toward(place, target)
    return place, rotations.matrix_from_rotation_vector(rng.uniform(-1, 1, 3) * angle) @ axes


def moved_wrist(rng: np.random.Generator, shift: float, angle: float) -> tuple[Array, Array]:
    """Like `moved`, for the wrist camera in the frame of its body."""
    place, axes = moved(_WRIST_POSITION, _WRIST_TARGET, rng, shift, angle)
    return place + [TOOL_OFFSET, 0.0, 0.0], axes


def optical_pose(name: str, position: Array, axes: Array) -> tuple[str, Pose]:
    """Frame and pose of a camera's optical frame (x right, y down, z forward), from the result of `moved`."""
    if name == WRIST:
        return TOOL_FRAME, Pose(position - [TOOL_OFFSET, 0.0, 0.0], axes @ _TURNED)
    return "base_link", Pose(position, axes @ _TURNED)
