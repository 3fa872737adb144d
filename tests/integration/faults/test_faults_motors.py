# SPDX-License-Identifier: Apache-2.0
"""Motors that trip, get hot or lose their torque, and a supply that drops, while the policy drives."""

from __future__ import annotations

import pytest
from fault_drivers import PolicyRun
from fault_plant import Plant
from std_srvs.srv import SetBool

from ptr_msgs.msg import MotorStates

FAULTS = {
    "overload": ("shoulder", "shoulder"),
    "overheating": ("elbow", "elbow"),
    "torque_lost": ("wrist_angle", "wrist_angle"),
    "encoder": ("elbow", "elbow"),
    "voltage_low": ("", "V"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_motor_that_fails_holds_the_arm(plant: Plant, fault: str) -> None:
    target, word = FAULTS[fault]
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.inject(fault, target))
    trial.assert_held()
    assert "MOTOR_FAULT" in trial.bag.reasons()
    levels = [one.content.level for one in trial.bag.of("/arm/motors") if one.stamp > trial.begun]
    assert MotorStates.FAULT in levels
    assert any(word in one.content.message for one in trial.bag.of("/arm/motors") if one.content.level)
    refused = plant.ask("/arm/clear")
    assert not refused.success, "a motor with a fault must be mended first"
    mend(plant)


def mend(plant: Plant) -> None:
    """What `ptr arm recover` does: end the cause, reboot, torque on, clear."""
    plant.inject("clear")
    assert plant.ask("/arm/reboot_motors").success
    plant.ros.wait(lambda: not any(one.hardware_error_status for one in plant.motors.newest.motors), "the reboot")
    answer = plant.ask("/arm/torque", SetBool.Request(data=True))
    assert answer.success, answer.message
    plant.ros.wait(lambda: plant.motors.newest.level != MotorStates.FAULT, "motors that are well")
    plant.ready()
