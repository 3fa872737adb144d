# SPDX-License-Identifier: Apache-2.0
"""Images and joint states that are gone, frozen, damaged or late, while the policy drives."""

from __future__ import annotations

import pytest
from fault_bag import BOUND
from fault_drivers import HumanSource, PolicyRun
from fault_plant import Plant
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState

JOINTS = {
    "joint_states_gone": "joint state is",
    "joint_states_nan": "joint state is",
    "joint_states_late": "joint state is",
    "joint_states_frozen": "joint state",
}
IMAGES = {
    "image_gone": "camera over_shoulder",
    "image_frozen": "frozen",
    "image_dark": "dark",
    "image_torn": "torn",
}


@pytest.mark.parametrize("fault", JOINTS)
def test_joint_states_that_fail_hold_the_arm(plant: Plant, fault: str) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.inject(fault))
        plant.inject("clear")
    trial.assert_held()
    assert "STATE_TIMEOUT" in trial.bag.reasons()
    assert trial.bag.says(JOINTS[fault])


def test_joint_states_that_lack_a_joint_hold_the_arm(plant: Plant) -> None:
    def another_arm() -> None:
        plant.inject("joint_states_gone")
        timer.reset()

    def publish() -> None:
        message = JointState(name=["waist", "shoulder", "elbow"], position=[0.0, 0.0, 0.0])
        message.header.stamp = plant.ros.node.get_clock().now().to_msg()
        publisher.publish(message)

    publisher = plant.ros.node.create_publisher(JointState, "/joint_states", qos_profile_sensor_data)
    timer = plant.ros.node.create_timer(0.02, publish)
    timer.cancel()
    with plant.trial(PolicyRun) as trial:
        trial.strike(another_arm, watched=2.3)
    plant.ros.node.destroy_timer(timer)
    plant.ros.node.destroy_publisher(publisher)
    trial.assert_held()
    assert "STATE_TIMEOUT" in trial.bag.reasons()
    assert trial.bag.says("A joint state lacks forearm_roll, wrist_angle, wrist_rotate")


def test_joint_states_that_are_gone_hold_the_arm_of_a_person_too(plant: Plant) -> None:
    with plant.trial(HumanSource) as trial:
        trial.strike(lambda: plant.inject("joint_states_gone"))
        plant.inject("clear")
    trial.assert_held()
    assert "STATE_TIMEOUT" in trial.bag.reasons()


@pytest.mark.parametrize("fault", IMAGES)
def test_images_that_fail_hold_the_arm(plant: Plant, fault: str) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.inject(fault), watched=1.2)
    trial.assert_held()
    held = [one.content.reason for one in trial.bag.of("/policy/step") if one.stamp > trial.struck and one.content.held]
    assert any(IMAGES[fault] in reason for reason in held), held


def test_no_image_is_acted_on_for_longer_than_the_bound(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.inject("image_slow", value=1.0), watched=2.5)
    bound = BOUND + trial.stalls.allowance(0, trial.watched)
    for stamp in trial.bag.changes():
        newest = max(image for image in trial.bag.images if image <= stamp)
        assert stamp - newest <= bound, f"an image was {(stamp - newest) * 1e-9:.3f} s old and the arm moved"
    assert any(one.content.held for one in trial.bag.of("/policy/step") if one.stamp > trial.struck)


def test_commands_that_do_not_reach_the_motors_hold_the_arm(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.inject("commands_lost"), watched=1.2)
    moved = [stamp for stamp in trial.bag.joint_changes() if trial.struck + trial.bound < stamp < trial.watched]
    assert not moved, "the joints moved although nothing reached them"
    # The joints still arrive where they were sent last; only after that can the gate see that they do not follow.
    commanded = trial.bag.moved_for(trial.struck, trial.watched)
    assert 0 < commanded <= (trial.bound + 100_000_000) * 1e-9, f"{commanded:.3f} s of motion were commanded"
