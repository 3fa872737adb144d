# SPDX-License-Identifier: Apache-2.0
"""Renamed parameters: files that still use a former name are refused.

ROS ignores parameters that no node declares, so a limit under its former name would have no effect.
"""

from __future__ import annotations

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from ptr_bringup.ros.context import StartupError

RENAMED = {
    # arm: limits and times of the gate
    "box_low": "workspace_min",
    "box_high": "workspace_max",
    "linear_speed": "max_linear_velocity",
    "angular_speed": "max_angular_velocity",
    "joint_speed": "max_joint_velocity",
    "joint_margin": "joint_limit_margin",
    "command_age": "max_command_age",
    "watchdog": "command_timeout",
    "state_age": "joint_state_timeout",
    # arm: driver
    "catch_up_speed": "catch_up_velocity",
    "profile": "profile_type",
    "gripper_pwm": "gripper_pwm_limit",
    # arm: motors
    "motor_effort_time": "motor_overload_time",
    "motor_sustained": "motor_load_warning",
    "motor_relieved": "motor_load_recovery",
    "motor_sustained_time": "motor_load_time_constant",
    "motor_warm": "motor_temperature_warning",
    "motor_cooled": "motor_temperature_recovery",
    "motor_trips": "motor_temperature_limit",
    "motor_voltage_low": "motor_voltage_min",
    "motor_voltage_high": "motor_voltage_max",
    "motor_silence": "motor_timeout",
    "motor_cooling_time": "motor_cooling_time_constant",
    # teleop
    "max_speed": "max_linear_velocity",
    "max_turn": "max_angular_velocity",
    "max_age": "max_packet_age",
    "spacemouse.dead_zone": "spacemouse.deadzone",
    "joy.dead_zone": "joy.deadzone",
    # camera
    "wait": "wait_for_device",
}
"""The current name for each former one."""


def refuse_former_names(node: Node, name: str) -> None:
    """Refuse a value that was given under a parameter's former name.

    Args:
        name: the current name.

    Raises:
        StartupError: the message lists all parameters given under a former name, with their new names.
    """
    if not any(new == name and _given(node, old) for old, new in RENAMED.items()):
        return
    found = [f"{old} is now {new}" for old, new in RENAMED.items() if _given(node, old)]
    raise StartupError(
        f"parameters of {node.get_fully_qualified_name()} have new names: {', '.join(found)}; rename them in the "
        "parameter file or on the command line"
    )


def _given(node: Node, name: str) -> bool:
    """Whether a file or the command line sets a parameter that the node does not declare."""
    if node.has_parameter(name):
        return False
    value = node.declare_parameter(name, descriptor=ParameterDescriptor(dynamic_typing=True)).value
    node.undeclare_parameter(name)
    return value is not None
