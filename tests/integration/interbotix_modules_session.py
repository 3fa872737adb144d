# SPDX-License-Identifier: Apache-2.0
"""What a script of a lab does with Interbotix's Python API; prints what the arm says of it as one line of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from interbotix_common_modules.common_robot.robot import robot_shutdown, robot_startup
from interbotix_xs_modules.xs_robot.arm import InterbotixManipulatorXS

ARRIVAL = 30.0
"""s for the arm to arrive on a busy machine, beyond the time that the API itself waits."""


def arrived(read: Callable[[], Sequence[float]], wanted: Sequence[float], tolerance: float) -> Sequence[float]:
    """What is read once it is as wanted, or when time has run out."""
    deadline = time.monotonic() + ARRIVAL
    while not np.allclose(read(), wanted, atol=tolerance) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [float(value) for value in read()]


def session(robot: InterbotixManipulatorXS) -> dict[str, Any]:
    """Gains and registers, moves in joint space and in Cartesian space, a line, the gripper, torque, sleep."""
    seen: dict[str, Any] = {}
    robot.core.robot_set_motor_pid_gains("group", "arm", kp_pos=640)
    seen["gains"] = list(robot.core.robot_get_motor_registers("group", "arm", "Position_P_Gain"))
    seen["groups"] = list(robot.core.robot_get_robot_info("group", "all").name)

    robot.arm.go_to_home_pose(moving_time=2.0, accel_time=0.5)
    seen["home"] = arrived(robot.arm.get_joint_positions, [0.0] * 6, 0.02)
    seen["moving_time"] = list(robot.core.robot_get_motor_registers("group", "arm", "Profile_Velocity"))
    seen["waist_accepted"] = robot.arm.set_single_joint_position("waist", 0.3)
    seen["waist"] = arrived(lambda: robot.arm.get_joint_positions()[:1], [0.3], 0.02)

    def tip() -> Sequence[float]:
        return robot.arm.get_ee_pose()[:3, 3]

    _, seen["pose_found"] = robot.arm.set_ee_pose_components(x=0.30, y=0.0, z=0.20)
    seen["pose"] = arrived(tip, [0.30, 0.0, 0.20], 0.01)
    seen["line_planned"] = robot.arm.set_ee_cartesian_trajectory(z=0.06, moving_time=2.0)
    seen["line"] = arrived(tip, [0.30, 0.0, 0.26], 0.01)

    for name, wanted in (("closed", 0.015), ("opened", 0.037)):
        robot.gripper.grasp() if name == "closed" else robot.gripper.release()
        seen[name] = arrived(lambda: [robot.gripper.get_finger_position()], [wanted], 0.002)
    robot.core.robot_torque_enable("group", "arm", True)
    sleep = list(robot.arm.group_info.joint_sleep_positions)
    robot.arm.go_to_sleep_pose(moving_time=2.0)
    seen["asleep"] = np.subtract(arrived(robot.arm.get_joint_positions, sleep, 0.05), sleep).tolist()
    return seen


def main() -> None:
    """Connect as Interbotix's examples do, and end as they do."""
    robot = InterbotixManipulatorXS(robot_model="wx250s", group_name="arm", gripper_name="gripper")
    robot_startup()
    print(json.dumps(session(robot)), flush=True)
    robot_shutdown()


if __name__ == "__main__":
    main()
