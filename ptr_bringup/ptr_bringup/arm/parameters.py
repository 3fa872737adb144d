# SPDX-License-Identifier: Apache-2.0
"""The arm node's parameters for limits and timing of the gate, and checks of the files they come from."""

from __future__ import annotations

from pathlib import Path

import yaml
from rclpy.node import Node

from ptr_bringup.arm.gate.arbiter import Timing
from ptr_bringup.arm.gate.limits import Limits
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.parameter_files import is_for, sections
from ptr_bringup.ros.parameters import declare

_NUMBERS = {
    "reach_min": ("m, minimum horizontal distance from the waist's axis", 1.0),
    "reach_max": ("m, maximum horizontal distance from the waist's axis", 1.0),
    "max_linear_velocity": ("m/s, limit of each linear component of a command", 1.0),
    "max_angular_velocity": ("rad/s, limit of each angular component of a command", 6.3),
    "max_joint_velocity": ("rad/s, limit of every joint", 6.3),
    "joint_limit_margin": ("rad, distance that a joint keeps from its mechanical limits", 0.5),
}
_TIMES = {
    "max_command_age": "s, age at which a command is refused",
    "command_timeout": "s of silence after which the arm holds",
    "joint_state_timeout": "s, age of joint states at which the arm holds",
}


def check_config_files(node: Node) -> None:
    """Check that the parameter files named by the launch file exist and contain this node's parameters.

    `ros2 launch` only warns about a missing file; the arm would then run with limits that nobody chose.

    Raises:
        StartupError: a file does not exist, can't be read, or has no parameters of this node.
    """
    text = "parameter file given to the launch file; empty: none"
    paths = {
        "arm_config": declare(node, "arm_config", "", text),
        "driver_config": declare(node, "driver_config", "", text),
    }
    for name, path in paths.items():
        if path and (problem := _problem_with(Path(path), node.get_fully_qualified_name())):
            raise StartupError(f"{name} {path} {problem}")


def _problem_with(path: Path, node: str) -> str:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "does not exist; give the path of a file like ptr_bringup/config/arm.yaml"
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f"can't be read: {error}"
    if not any(is_for(section, node) for section in sections(content)):
        namespace, _, name = node.rpartition("/")
        key = f"/**/{name}" if namespace else name
        return f"has no parameters of the node {node.lstrip('/')}; put them under '{key}:' and 'ros__parameters:'"
    return ""


def declare_limits(node: Node) -> Limits:
    """Declare the parameters of the gate's limits.

    Raises:
        StartupError: the values contradict each other.
    """
    default = Limits()
    corner = "m, corner of the workspace box of the end effector in base_link: x, y, z"
    values = {
        name: declare(node, name, getattr(default, name), text, (0.0, high)) for name, (text, high) in _NUMBERS.items()
    }
    table = declare(node, "table_height", default.table_height, "m, z of the table in base_link", (-1.0, 1.0))
    low = declare(node, "workspace_min", list(default.workspace_min), f"{corner}, lower")
    high = declare(node, "workspace_max", list(default.workspace_max), f"{corner}, upper")
    if len(low) != 3 or len(high) != 3:
        raise StartupError(f"workspace_min and workspace_max need three numbers each, not {list(low)} and {list(high)}")
    try:
        return Limits(workspace_min=tuple(low), workspace_max=tuple(high), table_height=table, **values)
    except ValueError as error:
        raise StartupError(str(error)) from error


def declare_timing(node: Node) -> Timing:
    """Declare the parameters of the gate's timeouts."""
    default = Timing()
    return Timing(
        **{name: declare(node, name, getattr(default, name), text, (0.0, 10.0)) for name, text in _TIMES.items()}
    )
