# SPDX-License-Identifier: Apache-2.0
"""The policy server and goal images: given at start or later, and refused where the policy takes none.

There is no robot here: a run that was accepted ends because it sees nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from untrained import TASK, write_checkpoint  # noqa: E402

from ptr_bringup.ros.parameters import refusal, set_texts  # noqa: E402
from ptr_msgs.action import RunPolicy  # noqa: E402
from ptr_msgs.srv import LoadCheckpoint  # noqa: E402

pytestmark = pytest.mark.xdist_group("policy_server_goal")

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TIMEOUT = 240.0
"""s, for processes that load networks on a busy machine."""


def set_goal(ros: Any, goal: Path | str) -> str:
    """Why the server does not take a goal; empty: it does."""
    request = set_texts({"goal": str(goal)})
    return refusal(ros.call(SetParameters, "/policy_server/set_parameters", request, TIMEOUT))


def load(ros: Any, checkpoint: Path) -> Any:
    request = LoadCheckpoint.Request(checkpoint=str(checkpoint))
    return ros.call(LoadCheckpoint, "/policy_server/load", request, TIMEOUT)


def end_of_run(ros: Any) -> str:
    return ros.act(RunPolicy, "/run_policy", RunPolicy.Goal(task=TASK, max_steps=5), TIMEOUT).message


def test_a_goal_can_be_given_to_a_server_that_runs_and_only_where_the_policy_takes_one(
    ros: Any, tmp_path: Path
) -> None:
    by_goal = write_checkpoint(tmp_path / "by_goal", by_goal_image=True)
    one_hot = write_checkpoint(tmp_path / "one_hot")
    end = tmp_path / "end.png"
    cv2.imwrite(str(end), np.full((48, 64, 3), 200, np.uint8))
    statuses = ros.collect(DiagnosticStatus, "/policy/status", LATCHED)
    ros.start("ptr_policy.server.node", checkpoint=by_goal, max_holds=2)
    assert "has task_conditioning goal_image and needs a goal" in end_of_run(ros)
    assert "does not exist" in set_goal(ros, tmp_path / "nowhere.png")
    assert set_goal(ros, end) == ""
    ros.wait(lambda: values(statuses).get("goal") == str(end), "the status with the goal", TIMEOUT)
    assert values(statuses)["task_conditioning"] == "goal_image"
    assert end_of_run(ros).startswith("held 2 steps in a row: ")
    refused = load(ros, one_hot)
    assert not refused.success
    assert "is a goal_image, but the policy" in refused.message and "task_conditioning one_hot" in refused.message
    assert set_goal(ros, "") == ""
    assert "needs a goal" in end_of_run(ros)
    assert load(ros, one_hot).success
    assert "has task_conditioning one_hot" in set_goal(ros, end)
    assert end_of_run(ros).startswith("held 2 steps in a row: ")


def values(statuses: list[DiagnosticStatus]) -> dict[str, str]:
    """Of the newest status."""
    return {item.key: item.value for status in statuses[-1:] for item in status.values}
