# SPDX-License-Identifier: Apache-2.0
"""Parameters under former names are refused, because ROS would silently ignore them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy")

from ptr_bringup.arm.parameters import declare_limits, declare_timing  # noqa: E402
from ptr_bringup.ros.context import StartupError, ros_context  # noqa: E402
from ptr_bringup.ros.parameters import declare  # noqa: E402
from ptr_bringup.ros.renamed_parameters import RENAMED  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
NAMES = set(re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs/reference/parameters.md").read_text(encoding="utf-8"), re.M))


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ROS_DOMAIN_ID", "99")
    yield


def arm_with(arguments: list[str], namespace: str = "") -> None:
    """Declare the gate's parameters of a node `arm` that was started with these arguments."""
    with ros_context(["--ros-args", *arguments]):
        node = rclpy.create_node("arm", namespace=namespace)
        declare_limits(node)
        declare_timing(node)
        node.destroy_node()


@pytest.mark.parametrize("key", ["arm", "/**/arm", "/**"])
def test_a_file_with_former_names_is_refused_with_all_the_new_ones(domain: None, key: str, tmp_path: Path) -> None:
    text = f"{key}:\n  ros__parameters: {{box_low: [0.2, -0.1, 0.05], watchdog: 0.2, rate: 50.0}}\n"
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(StartupError) as caught:
        arm_with(["--params-file", str(tmp_path / "mine.yaml")])
    assert str(caught.value) == (
        "parameters of /arm have new names: box_low is now workspace_min, watchdog is now command_timeout; rename them "
        "in the parameter file or on the command line"
    )


def test_a_former_name_on_the_command_line_is_refused(domain: None) -> None:
    with pytest.raises(StartupError, match="of /left/arm have new names: joint_margin is now joint_limit_margin;"):
        arm_with(["-p", "joint_margin:=0.1"], "left")


def test_a_file_of_another_node_and_one_of_new_names_are_taken(domain: None, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "teleop:\n  ros__parameters: {max_speed: 0.1}\narm:\n  ros__parameters: {max_linear_velocity: 0.1}\n"
    )
    arm_with(["--params-file", str(tmp_path / "mine.yaml")])


def test_a_name_of_several_parts_is_refused_too(domain: None) -> None:
    with ros_context(["--ros-args", "-p", "joy.dead_zone:=0.3"]):
        node = rclpy.create_node("teleop")
        with pytest.raises(StartupError, match=r"joy\.dead_zone is now joy\.deadzone"):
            declare(node, "joy.deadzone", 0.08, "deflection that counts as none")
        node.destroy_node()


def test_the_new_names_are_those_of_parameters_and_the_former_ones_are_free() -> None:
    assert set(RENAMED.values()) <= NAMES
    assert not set(RENAMED) & NAMES
