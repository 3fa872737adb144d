# SPDX-License-Identifier: Apache-2.0
"""Interbotix's own Python API drives the simulated arm through the stand-in of xs_sdk, where that API is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")
pytest.importorskip(
    "interbotix_xs_modules.xs_robot.arm", reason="Interbotix's Python API is not installed", exc_type=ImportError
)

SESSION = Path(__file__).with_name("interbotix_modules_session.py")
BEHIND = ("-r", "/joint_states:=/simulator/joint_states", "-r", "/joint_commands:=/simulator/joint_commands")

pytestmark = pytest.mark.xdist_group("interbotix_modules")


@pytest.fixture(scope="module")
def seen(ros) -> dict[str, Any]:
    """What the API has seen of the arm in one session."""
    ros.start("ptr_bringup.sim.node", *BEHIND, joint_rate=100.0, camera_rate=1.0, width=64, height=48)
    ros.start("ptr_bringup.xs_sdk.node", *BEHIND)
    session = ros.run([sys.executable, str(SESSION)], "session")
    ros.wait(lambda: not session.running, "the end of the session", 300.0)
    lines = [line for line in session.output.splitlines() if line.startswith("{")]
    assert lines, session.output
    return json.loads(lines[-1])


def test_gains_and_registers_are_written_and_read(seen: dict[str, Any]) -> None:
    assert seen["gains"] == [640] * 6
    assert seen["moving_time"] == [2000] * 6
    assert set(seen["groups"]) == {"arm", "all"}


def test_joint_space_moves_arrive(seen: dict[str, Any]) -> None:
    assert seen["home"] == pytest.approx([0.0] * 6, abs=0.02)
    assert seen["waist_accepted"]
    assert seen["waist"] == pytest.approx([0.3], abs=0.02)
    assert np.abs(seen["asleep"]).max() < 0.05


def test_a_pose_and_a_straight_line_are_reached(seen: dict[str, Any]) -> None:
    assert seen["pose_found"]
    assert seen["pose"] == pytest.approx([0.30, 0.0, 0.20], abs=0.01)
    assert seen["line_planned"]
    assert seen["line"] == pytest.approx([0.30, 0.0, 0.26], abs=0.01)


def test_the_gripper_closes_and_opens(seen: dict[str, Any]) -> None:
    assert seen["closed"] == pytest.approx([0.015], abs=0.002)
    assert seen["opened"] == pytest.approx([0.037], abs=0.002)
