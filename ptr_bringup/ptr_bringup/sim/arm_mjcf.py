# SPDX-License-Identifier: Apache-2.0
"""MJCF of the WidowX 250 6-DoF from simple shapes.

Joint axes, link offsets, limits and finger stroke are the published wx250s values; masses are those of a light arm.
The pads' inner surfaces lie at the finger joint's value from the center line, so the opening is 30 to 74 mm.
Gravity is compensated on the arm, as if by its motors. The pads' friction holds grasped objects.
"""

from __future__ import annotations

from ptr_bringup.arm.model.kinematics import FINGER_CLOSED, FINGER_OPEN, JOINT_LOWER, JOINT_NAMES, JOINT_UPPER
from ptr_bringup.sim.shapes import text

JOINT_EFFORT_LIMITS = (10.0, 20.0, 15.0, 4.0, 5.0, 2.0)
"""Maximum torque of each joint's actuator (N m)."""
FINGER_FORCE_LIMIT = 9.0
"""Maximum force of the finger actuator (N)."""
STIFFNESS = (300.0, 500.0, 350.0, 60.0, 80.0, 30.0)
DAMPING = (14.0, 24.0, 16.0, 2.0, 3.0, 1.0)
ARMATURE = (0.05, 0.08, 0.05, 0.01, 0.015, 0.005)
FINGERTIP_BEYOND_TOOL = 0.014
"""How far the fingertips reach past `ee_gripper_link` (m)."""

_DARK = "0.16 0.16 0.18 1"
_METAL = "0.42 0.43 0.46 1"
_PAD = "0.05 0.05 0.06 1"
_OFFSETS = {
    "waist": (0.0, 0.0, 0.072),
    "shoulder": (0.0, 0.0, 0.03865),
    "elbow": (0.04975, 0.0, 0.25),
    "forearm_roll": (0.175, 0.0, 0.0),
    "wrist_angle": (0.075, 0.0, 0.0),
    "wrist_rotate": (0.065, 0.0, 0.0),
}
_AXES = {
    "waist": "0 0 1",
    "shoulder": "0 1 0",
    "elbow": "0 1 0",
    "forearm_roll": "1 0 0",
    "wrist_angle": "0 1 0",
    "wrist_rotate": "1 0 0",
}
TOOL_OFFSET = 0.043 + 0.023 + 0.027575
"""From the wrist_rotate joint to `ee_gripper_link`, along x (m)."""


def _visual_geoms(link: str) -> str:
    """Visible, non-colliding shapes of a link; their mass is the link's."""
    shape = {
        "waist": [("cylinder", "0.045 0.03", "0 0 0.005", _DARK, 0.4)],
        "shoulder": [
            ("box", "0.03 0.032 0.125", "0 0 0.125", _DARK, 0.45),
            ("box", "0.028 0.026 0.022", "0.025 0 0.25", _METAL, 0.15),
        ],
        "elbow": [("box", "0.0875 0.026 0.022", "0.0875 0 0", _DARK, 0.3)],
        "forearm_roll": [("box", "0.0375 0.02 0.02", "0.0375 0 0", _METAL, 0.12)],
        "wrist_angle": [("box", "0.03 0.022 0.018", "0.03 0 0", _DARK, 0.12)],
        "wrist_rotate": [
            ("box", "0.018 0.02 0.02", "0.012 0 0", _METAL, 0.08),
            ("box", "0.011 0.05 0.014", "0.042 0 0", _DARK, 0.06),
        ],
    }[link]
    return "".join(
        f'<geom class="arm" type="{kind}" size="{size}" pos="{pos}" rgba="{rgba}" mass="{mass}"/>'
        for kind, size, pos, rgba, mass in shape
    )


def _finger(name: str, side: int) -> str:
    """One finger: a slide joint along +-y, a visible plate, and the colliding pad."""
    reach = TOOL_OFFSET + FINGERTIP_BEYOND_TOOL
    base = 0.053
    middle, half = (reach + base) / 2, (reach - base) / 2
    return (
        f'<body name="{name}_link" gravcomp="1">'
        f'<joint name="{name}" type="slide" axis="0 {side} 0" range="{FINGER_CLOSED} {FINGER_OPEN}" '
        f'armature="0.05" damping="2"/>'
        f'<geom class="pad" size="{half:.5f} 0.0035 0.011" pos="{middle:.5f} {side * 0.0035} 0" rgba="{_PAD}" '
        f'mass="0.02"/></body>'
    )


def body(mounted: str = "") -> str:
    """The arm's body tree, its base at the world's origin, with the site `ee_gripper_link`.

    Args:
        mounted: MJCF of parts that move with the gripper, in the frame of the joint wrist_rotate.
    """
    xml = (
        '<body name="base_link" gravcomp="1">'
        f'<geom class="arm" type="box" size="0.07 0.06 0.02" pos="-0.02 0 0.02" rgba="{_DARK}" mass="1"/>'
        f'<geom class="arm" type="cylinder" size="0.05 0.012" pos="0 0 0.052" rgba="{_METAL}" mass="0.3"/>'
    )
    for i, name in enumerate(JOINT_NAMES):
        xml += (
            f'<body name="{name}_link" pos="{text(_OFFSETS[name])}" gravcomp="1">'
            f'<joint name="{name}" type="hinge" axis="{_AXES[name]}" armature="{ARMATURE[i]}" '
            f'range="{JOINT_LOWER[i]:.6f} {JOINT_UPPER[i]:.6f}"/>{_visual_geoms(name)}'
        )
    xml += f'<site name="ee_gripper_link" pos="{TOOL_OFFSET:.6f} 0 0" size="0.002" rgba="0 0 0 0"/>' + mounted
    xml += _finger("left_finger", 1) + _finger("right_finger", -1)
    return xml + "</body>" * (len(JOINT_NAMES) + 1)


def defaults() -> str:
    """Default classes: `arm` is visible without collisions, `pad` collides with objects and furniture."""
    return (
        '<default class="arm"><geom contype="0" conaffinity="0" group="1"/></default>'
        '<default class="pad"><geom type="box" contype="2" conaffinity="1" condim="4" friction="2 0.05 0.001" '
        'solref="0.01 1" solimp="0.95 0.99 0.001" group="1"/></default>'
    )


def actuators() -> str:
    """Position actuators of the six joints and of the coupled fingers."""
    xml = ""
    for i, name in enumerate(JOINT_NAMES):
        limit = JOINT_EFFORT_LIMITS[i]
        xml += (
            f'<position name="{name}" joint="{name}" kp="{STIFFNESS[i]}" kv="{DAMPING[i]}" '
            f'forcerange="-{limit} {limit}" ctrlrange="{JOINT_LOWER[i]:.6f} {JOINT_UPPER[i]:.6f}"/>'
        )
    return xml + (
        f'<position name="gripper" joint="left_finger" kp="1500" kv="40" '
        f'forcerange="-{FINGER_FORCE_LIMIT * 2} {FINGER_FORCE_LIMIT * 2}" '
        f'ctrlrange="{FINGER_CLOSED - 0.005} {FINGER_OPEN}"/>'
    )


def equalities() -> str:
    """Couples the fingers, like the real ones on their common horn."""
    return '<joint joint1="right_finger" joint2="left_finger" polycoef="0 1 0 0 0" solref="0.01 1"/>'
