# SPDX-License-Identifier: Apache-2.0
"""The node `scene` with the simulated arm: the next scene by a service and after a save, none while one is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_bringup.ros.qos import LATCHED  # noqa: E402
from ptr_bringup.sim.scene_sampling import start_position  # noqa: E402
from ptr_msgs.msg import ArmState, EpisodeEvent, EpisodeStatus, ObjectStates  # noqa: E402

pytestmark = pytest.mark.xdist_group("recording")

WAIT = 90.0  # s; the arm goes slowly, and a busy machine is slow


@pytest.fixture(scope="module")
def robot(ros) -> Any:
    """The simulated arm with scene 7; what it shows is in `objects` and `states`."""
    ros.start("ptr_bringup.sim.node", width=64, height=64, camera_rate=5.0, seed=7)
    ros.start("ptr_bringup.arm.node")
    ros.objects = ros.collect(ObjectStates, "/simulator/objects")
    ros.states = ros.collect(ArmState, "/arm/state", qos_profile_sensor_data)
    ros.wait(lambda: ros.states and ros.objects, "the robot", WAIT)
    ros.recorder = ros.node.create_publisher(EpisodeStatus, "/episode/status", LATCHED)
    ros.events = ros.node.create_publisher(EpisodeEvent, "/episode/event", 10)
    return ros


def shown(robot: Any) -> int:
    """The seed of the scene that is seen now."""
    robot.objects.clear()
    robot.wait(lambda: robot.objects, "the scene")
    return robot.objects[-1].seed


def test_the_next_scene_is_asked_for_and_comes_after_each_save(robot: Any) -> None:
    robot.start("ptr_bringup.sim_ros.scene_node")
    answer = robot.call(Trigger, "/scene/next", timeout=WAIT)
    assert (answer.success, answer.message) == (True, "put_carrot_on_plate in toykitchen1, seed 8")
    assert shown(robot) == 8
    p = robot.states[-1].measured_pose.position
    assert np.abs(np.array([p.x, p.y, p.z]) - start_position(8)).max() < 0.03

    robot.recorder.publish(EpisodeStatus(state=EpisodeStatus.RECORDING))
    robot.wait(lambda: not robot.call(Trigger, "/scene/next", timeout=WAIT).success, "a refusal while it records", WAIT)
    before = shown(robot)
    robot.recorder.publish(EpisodeStatus(state=EpisodeStatus.SAVING))
    robot.events.publish(EpisodeEvent(type="stop", message="saved as success"))
    robot.wait(lambda: robot.objects[-1].seed == before + 1, "the scene after the save", WAIT)

    poses = [pose.position for pose in robot.objects[-1].poses]
    robot.events.publish(EpisodeEvent(type="stop", message="discarded as unlabelled"))
    again = robot.call(Trigger, "/scene/again", timeout=WAIT)  # after the one that the discarded episode asked for
    assert again.success
    assert shown(robot) == before + 1
    for one, other in zip(poses, robot.objects[-1].poses, strict=True):
        assert abs(one.x - other.position.x) < 0.01 and abs(one.y - other.position.y) < 0.01


def test_where_a_person_lays_the_scenes_the_arm_moves_only_when_it_is_asked_to(robot: Any) -> None:
    robot.processes[-1].end()
    robot.start("ptr_bringup.sim_ros.scene_node", simulated=False)
    before = shown(robot)
    answer = robot.call(Trigger, "/scene/next", timeout=WAIT)
    assert (answer.success, answer.message) == (True, "the arm is at its start")
    modes = robot.collect(ArmState, "/arm/state", qos_profile_sensor_data)
    robot.events.publish(EpisodeEvent(type="stop", message="saved as success"))
    robot.spin(1.0)
    assert {state.mode for state in modes} <= {ArmState.IDLE, ArmState.HOLD}
    assert shown(robot) == before
