# SPDX-License-Identifier: Apache-2.0
"""The WidowX 250 6-DoF.

Axes and home pose come from Interbotix's `mr_descriptions.wx250s`, joint limits from its URDF. The capsules enclose
the collision meshes that Interbotix publishes (`interbotix_xsarm_descriptions`), the gripper with its fingers open.
"""

from __future__ import annotations

import math

from ptr_bringup.arm.model.arm_model import ArmModel, Capsule

_TURN = math.pi - 1e-5
_Z = 0.36065  # m, height of forearm and hand in the home pose

WX250S = ArmModel(
    name="wx250s",
    joint_names=("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"),
    joint_lower=(-_TURN, -1.885, -2.147, -_TURN, -1.745, -_TURN),
    joint_upper=(_TURN, 1.990, 1.606, _TURN, 2.147, _TURN),
    joint_velocity_limit=math.pi,
    joint_axes=((0, 0, 1), (0, 1, 0), (0, 1, 0), (1, 0, 0), (0, 1, 0), (1, 0, 0)),
    joint_points=(
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 0.11065),
        (0.04975, 0.0, _Z),
        (0.0, 0.0, _Z),
        (0.29975, 0.0, _Z),
        (0.0, 0.0, _Z),
    ),
    home_position=(0.458325, 0.0, _Z),
    finger_closed=0.015,
    finger_open=0.037,
    gripper_body=(0.05, 0.115),
    gripper_radius=0.035,
    capsules=(
        Capsule("base", 0, (-0.08, 0.0, 0.0), (0.0, 0.0, 0.0), 0.08),
        Capsule("base", 0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.04), 0.062),
        Capsule("shoulder", 1, (0.0, -0.037, 0.0995), (0.0, 0.037, 0.0995), 0.022),
        Capsule("upper arm", 2, (0.0, 0.0, 0.118), (0.0, 0.0, 0.34), 0.0205),
        Capsule("elbow", 2, (0.02, -0.03, 0.352), (0.02, 0.03, 0.352), 0.048),
        Capsule("forearm", 3, (0.05, 0.0, _Z), (0.21, 0.0, _Z), 0.0215),
        Capsule("forearm", 4, (0.225, 0.005, _Z), (0.30, 0.0, _Z), 0.033),
        Capsule("wrist", 5, (0.31, 0.0, 0.3705), (0.345, 0.0, 0.373), 0.032),
        Capsule("gripper", 6, (0.365, 0.0, 0.368), (0.41, 0.0, 0.368), 0.034),
        Capsule("gripper", 6, (0.425, -0.026, 0.366), (0.425, 0.026, 0.366), 0.035),
        Capsule("finger", 6, (0.44, 0.03, _Z), (0.457, 0.03, _Z), 0.022),
        Capsule("finger", 6, (0.44, -0.03, _Z), (0.457, -0.03, _Z), 0.022),
    ),
    named_joints={
        "start": (0.0, 0.02201199, 0.18310092, 0.0, 1.36568341, 0.0),  # gripper at (0.3, 0, 0.15) m, pointing down
        "sleep": (0.0, -1.80, 1.55, 0.0, 0.8, 0.0),
        "home": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    },
    motor_ids=(1, 2, 4, 6, 7, 8),  # 3 and 5 are the second motors of shoulder and elbow, 9 is the gripper
)
