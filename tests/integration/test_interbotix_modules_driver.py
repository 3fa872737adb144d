# SPDX-License-Identifier: Apache-2.0
"""driver:=modules, on Interbotix's Python API, passes tests of the first driver where that API is installed."""

from __future__ import annotations

import pytest

pytest.importorskip("ptr_msgs.msg")
pytest.importorskip(
    "interbotix_xs_modules.xs_robot.arm", reason="Interbotix's Python API is not installed", exc_type=ImportError
)

from test_interbotix_driver import (  # noqa: E402, F401
    Path,
    at_start,
    test_a_gripper_that_moves_loses_its_force_when_the_arm_node_is_gone,
    test_a_motion_arrives_and_is_relayed_as_standard_joint_states,
    test_a_pulled_cable_holds_the_arm_where_it_was,
    test_a_tripped_motor_is_rebooted_and_does_not_jump,
    test_an_xs_sdk_that_hangs_is_not_waited_for,
    test_other_modes_are_noticed_after_an_interruption,
    test_start_up_sets_modes_and_profile,
    test_the_arm_node_ends_cleanly_without_force_on_the_gripper_and_the_next_one_takes_over,
    test_the_gripper_closes_on_an_object_and_backs_off,
    test_without_xs_sdk_the_arm_holds_and_says_so_and_a_new_one_is_set_up_again,
)

pytestmark = pytest.mark.xdist_group("interbotix_modules_driver")


class ModulesPath(Path):
    """The same nodes, with the arm node on the API."""

    driver = "modules"


@pytest.fixture(scope="module")
def path(ros) -> ModulesPath:
    return ModulesPath(ros)


def test_goals_come_from_the_node_of_the_api(path: ModulesPath) -> None:
    """Else this would be the first driver again."""
    found = path.ros.node.get_publishers_info_by_topic("/wx250s/commands/joint_group")
    assert [info.node_name for info in found] == ["arm_interbotix_api"]


def test_without_xs_sdk_a_new_arm_node_says_what_it_waits_for(ros, path: ModulesPath) -> None:
    """The API itself waits for ever; the node answers and ends all the same."""
    node = ros.start("ptr_bringup.arm.node", "-r", "__node:=lonely", "-r", "/arm/state:=/lonely/state",
                     robot="wx250s", robot_name="lonely", driver="modules")  # fmt: skip
    ros.wait(lambda: "Interbotix's API waits for xs_sdk" in node.output, "the sentence", 60.0)
    node.signal()
    assert node.wait() == 0
