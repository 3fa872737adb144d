# SPDX-License-Identifier: Apache-2.0
"""Interbotix's Python API, as the driver uses it."""

from __future__ import annotations

from collections.abc import Mapping

from interbotix_common_modules.common_robot.robot import InterbotixRobotNode
from interbotix_xs_modules.xs_robot.arm import InterbotixManipulatorXS
from rclpy.client import Client

from ptr_bringup.arm.drivers.interbotix.xs_sdk_procedures import ARM


def manipulator(robot_name: str, node_name: str) -> InterbotixManipulatorXS:
    """The API's arm without its gripper, which has a timer that would command it; waits until xs_sdk is there.

    Args:
        robot_name: that xs_sdk was started with.
        node_name: of the API's node. Arguments of this process are not for it: they would give it the arm's name.
    """
    node = InterbotixRobotNode(node_name, use_global_arguments=False, start_parameter_services=False)
    return InterbotixManipulatorXS(
        robot_model="wx250s",
        group_name=ARM,
        gripper_name=None,
        robot_name=robot_name,
        node=node,
        iterative_update_fk=False,
    )


def clients_of(robot: InterbotixManipulatorXS) -> Mapping[str, Client]:
    """The API's clients by the names of xs_sdk's services."""
    core = robot.core
    return {
        "get_robot_info": core.srv_get_info,
        "set_operating_modes": core.srv_set_op_modes,
        "set_motor_registers": core.srv_set_reg,
        "get_motor_registers": core.srv_get_reg,
        "torque_enable": core.srv_torque,
        "reboot_motors": core.srv_reboot,
    }
