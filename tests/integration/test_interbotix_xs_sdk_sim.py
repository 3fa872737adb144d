# SPDX-License-Identifier: Apache-2.0
"""The Interbotix driver against Interbotix's own simulation of xs_sdk, where their packages are installed.

It knows positions only: no velocities, no efforts, no registers but the profile's, no torque, and a gripper without
end stops. So this tests that the driver speaks what Interbotix understands; the rest is tested with the stand-in.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")
pytest.importorskip("interbotix_xs_msgs.msg")

from ament_index_python.packages import get_packages_with_prefixes  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from interbotix_xs_msgs.srv import RegisterValues, RobotInfo  # noqa: E402

from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmState  # noqa: E402

pytestmark = [
    pytest.mark.xdist_group("interbotix_xs_sdk_sim"),
    pytest.mark.skipif(
        shutil.which("ros2") is None or "interbotix_xsarm_control" not in get_packages_with_prefixes(),
        reason="Interbotix's packages are not installed (docs/how-to/set-up-the-arm.md)",
    ),
]
MODES = Path(__file__).resolve().parents[2] / "ptr_bringup" / "config" / "xs_sdk_modes.yaml"


@pytest.fixture
def nodes(ros) -> Iterator[None]:
    """Interbotix's simulation and the arm node, new ones for each run of a test."""
    arguments = ("robot_model:=wx250s", "use_sim:=true", "use_rviz:=false", f"mode_configs:={MODES}")
    launch = ["ros2", "launch", "interbotix_xsarm_control", "xsarm_control.launch.py", *arguments]
    started = [ros.run(launch, "xsarm_control"), ros.start("ptr_bringup.arm.node", robot="wx250s")]
    yield
    for node in reversed(started):
        node.end()


def test_the_driver_sets_up_moves_and_grips_interbotix_own_simulation(ros, nodes: None) -> None:
    states = ros.collect(ArmState, "/arm/state")
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    ros.wait(lambda: states, "arm state", 60.0)

    info = ros.call(RobotInfo, "/wx250s/get_robot_info", RobotInfo.Request(cmd_type="group", name="arm"))
    assert (info.mode, info.profile_type) == ("position", "time")
    request = RegisterValues.Request(cmd_type="group", name="arm", reg="Profile_Velocity")
    assert list(ros.call(RegisterValues, "/wx250s/get_motor_registers", request).values) == [50] * 6

    for name, gripper in (("home", 0.0), ("start", 1.0)):
        result = ros.act(MoveTo, "/arm/move_to", MoveTo.Goal(named_pose=name, gripper_position=gripper))
        assert result.success, result.message
        ros.wait(lambda wanted=gripper: abs(states[-1].gripper_position - wanted) < 0.15, f"the gripper at {gripper}")
    assert np.abs(states[-1].joint_velocities).max() == 0.0  # not published

    values = {v.key: v.value for r in reports for s in r.status if s.name == "arm" for v in s.values}
    assert values["motor registers"] == "not offered by this xs_sdk"
