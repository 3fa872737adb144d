# SPDX-License-Identifier: Apache-2.0
"""`ptr launch` starts the shipped robot for real, and ends it on one signal."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PTR = [sys.executable, "-m", "ptr_models.cli"]


def installed() -> bool:
    """Whether the suite's programs are installed, as `make setup` does."""
    from ptr_bringup.launching.errors import LaunchError
    from ptr_bringup.launching.packages import executable

    try:
        return executable("ptr_bringup", "arm").is_file()
    except LaunchError:
        return False


needs_installation = pytest.mark.skipif("not installed()", reason="the suite is not installed: make setup")


@needs_installation
def test_the_robot_starts_and_ends_cleanly_on_one_signal(ros: Any) -> None:
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage

    from ptr_msgs.msg import ArmState

    launch = ros.run([*PTR, "launch", "ptr_bringup", "robot.launch.xml", "camera_rate:=5.0"], name="launch")
    states = ros.collect(ArmState, "/arm/state")
    images = ros.collect(CompressedImage, "/camera/over_shoulder/image/compressed", qos_profile_sensor_data)
    ros.wait(lambda: states and images, "arm states and images", timeout=60.0)
    launch.signal(signal.SIGINT)
    assert launch.wait(30.0) == 0, launch.output
    assert "arm-3 ended" in launch.output
    assert "simulator-1 ended" in launch.output


@needs_installation
def test_a_wrong_node_parameter_ends_the_launch_with_its_reason(ros: Any) -> None:
    launch = ros.run([*PTR, "launch", "ptr_bringup", "robot.launch.xml", "camera_width:=1"], name="launch")
    assert launch.wait(60.0) == 1
    assert "width" in launch.output
    assert "ending all processes: simulator-1 has ended" in launch.output


@needs_installation
@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["collect.launch.xml", "tsk:=x"], "no launch argument 'tsk'; did you mean 'task'?"),
        (["collect.launch.xml"], "'task' is required"),
        (["collect.launch.xml", "task:=x", "robot:=ur5"], "invalid launch argument robot:=ur5; choices: sim, wx250s"),
        (["evaluate.xml"], "has no launch file 'evaluate.xml'; did you mean 'evaluate.launch.xml'?"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_code_2(ros: Any, words: list[str], part: str) -> None:
    launch = ros.run([*PTR, "launch", "ptr_bringup", *words], name="launch")
    assert launch.wait(30.0) == 2
    errors = [line for line in launch.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and part in errors[0]
