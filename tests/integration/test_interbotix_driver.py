# SPDX-License-Identifier: Apache-2.0
"""The path of the real arm without one: gate, Interbotix driver, the stand-in of xs_sdk, simulated arm."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")
pytest.importorskip("interbotix_xs_msgs.msg")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand  # noqa: E402
from interbotix_xs_msgs.srv import OperatingModes, RegisterValues, RobotInfo  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, MotorStates, ObjectStates  # noqa: E402
from ptr_msgs.srv import InjectFault  # noqa: E402

pytestmark = pytest.mark.xdist_group("interbotix_driver")

BEHIND = ("-r", "/joint_states:=/simulator/joint_states", "-r", "/joint_commands:=/simulator/joint_commands")
HOLD_PWM = 200.0


class Path:
    """The nodes of robot:=wx250s xs_sdk:=stand_in, and what can be seen of them."""

    driver = "xs_sdk"

    def __init__(self, ros) -> None:
        self.ros = ros
        self.states = ros.collect(ArmState, "/arm/state")
        self.relayed = ros.collect(JointState, "/joint_states", qos_profile_sensor_data)
        self.simulated = ros.collect(JointState, "/simulator/joint_states", qos_profile_sensor_data)
        self.motors = ros.collect(MotorStates, "/arm/motors")
        self.goals = ros.collect(JointGroupCommand, "/wx250s/commands/joint_group")
        self.pwm = ros.collect(JointSingleCommand, "/wx250s/commands/joint_single")
        self.objects = ros.collect(ObjectStates, "/simulator/objects")
        self.health: list[DiagnosticStatus] = []
        ros.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.commands = ros.node.create_publisher(ArmCommand, "/teleop/command", 10)
        ros.start("ptr_bringup.sim.node", *BEHIND, joint_rate=100.0, camera_rate=1.0, width=64, height=48)
        self.xs_sdk = self.start_xs_sdk()
        self.arm = self.start_arm()
        ros.wait(lambda: self.states and self.objects, "arm state and objects", 120.0)
        ros.wait(self.commands.get_subscription_count, "the arm's subscription")

    def start_xs_sdk(self):
        return self.ros.start("ptr_bringup.xs_sdk.node", *BEHIND)

    def start_arm(self):
        return self.ros.start("ptr_bringup.arm.node", robot="wx250s", driver=self.driver)

    def revive(self) -> None:
        """Start again what a failed test has killed."""
        for node in (self.xs_sdk, self.arm):
            node.signal(signal.SIGCONT)
        if self.xs_sdk.running and self.arm.running:
            return
        if not self.xs_sdk.running:
            self.xs_sdk = self.start_xs_sdk()
        if not self.arm.running:
            self.arm = self.start_arm()
        self.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)

    def replace_a_lost_arm(self) -> None:
        """Start the arm node again where the test's node no longer finds it.

        Fast DDS may not find a process again that was stopped for longer than others wait for a sign of it.
        """
        client = ActionClient(self.ros.node, MoveTo, "/arm/move_to")
        found = self.ros.wait_until(client.server_is_ready, 20.0)
        client.destroy()
        if not found:
            self.arm.signal(signal.SIGKILL)
            self.arm.wait()
            self.arm = self.start_arm()
            self.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        self.health += [status for status in array.status if status.name == "arm"]

    def wait_for_health(self, text: str, level: bytes) -> None:
        """A report from now on that says so."""
        known = len(self.health)
        self.ros.wait(
            lambda: any(s.level == level and text in s.message for s in self.health[known:]),
            f"diagnostics of the arm with {text!r}",
            60.0,
        )

    def profile(self) -> list[int]:
        """Profile registers of the arm's first motor, as xs_sdk has them."""
        request = RegisterValues.Request(cmd_type="single", name="waist")
        found = []
        for request.reg in ("Profile_Velocity", "Profile_Acceleration"):
            answer = self.ros.call(RegisterValues, "/wx250s/get_motor_registers", request)
            found += list(answer.values)
        return found

    def reach(self, **goal) -> None:
        """Move there; on a busy machine the arm may seem not to follow, and the move is begun again."""
        for _ in range(5):
            result = self.ros.act(MoveTo, "/arm/move_to", MoveTo.Goal(**goal))
            if result.success:
                return
            self.ros.spin(0.5)
        pytest.fail(result.message)

    def drive(self, gripper: float, linear=(0.0, 0.0, 0.0)) -> None:
        """One command as a source at 5 Hz sends it."""
        message = ArmCommand(source="test", gripper_position=gripper, deadman=True)
        message.header.stamp = self.ros.node.get_clock().now().to_msg()
        message.twist.linear.x, message.twist.linear.y, message.twist.linear.z = linear
        message.valid_for.nanosec = 200_000_000
        self.commands.publish(message)

    def drive_until(self, condition: Callable[[], bool], what: str, gripper: float, **motion) -> None:
        for _ in range(75):
            self.drive(gripper, **motion)
            if self.ros.wait_until(condition, 0.2):
                return
        pytest.fail(f"drove for 15 s in vain until {what}")

    def release(self) -> None:
        message = ArmCommand(source="test", deadman=False)
        message.header.stamp = self.ros.node.get_clock().now().to_msg()
        self.commands.publish(message)
        self.ros.wait(lambda: self.states[-1].mode == ArmState.IDLE, "release")

    def next(self, messages: list) -> object:
        """A message from now on."""
        known = len(messages)
        self.ros.wait(lambda: len(messages) > known + 1, "a message")
        return messages[-1]

    def fingers(self) -> float:
        return self.relayed[-1].position[7]


@pytest.fixture(scope="module")
def path(ros) -> Path:
    return Path(ros)


@pytest.fixture(autouse=True)
def at_start(path: Path) -> None:
    """Each test begins with both nodes running, and a well arm at its start pose."""
    path.revive()
    path.replace_a_lost_arm()
    path.reach(named_pose="start", gripper_position=1.0)


def stamp(message: JointState) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def simulated_finger(message: JointState) -> float:
    return message.position[list(message.name).index("left_finger")]


def joints(message: JointState) -> np.ndarray:
    return np.array(message.position[:6])


def test_start_up_sets_modes_and_profile(path: Path) -> None:
    """xs_sdk starts with Interbotix's 2000 and 300 ms; 50 Hz setpoints need 50 and 20."""
    info = path.ros.call(RobotInfo, "/wx250s/get_robot_info", RobotInfo.Request(cmd_type="group", name="arm"))
    assert (info.mode, info.profile_type) == ("position", "time")
    assert path.profile() == [50, 20]
    path.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)


def test_a_motion_arrives_and_is_relayed_as_standard_joint_states(path: Path) -> None:
    path.reach(named_pose="home", gripper_position=1.0)
    relayed = path.next(path.relayed)
    assert joints(relayed) == pytest.approx(np.zeros(6), abs=0.02)
    assert list(relayed.name[6:]) == ["gripper", "left_finger", "right_finger"]
    assert len(relayed.velocity) == len(relayed.effort) == 9
    path.next(path.simulated)
    measured = {stamp(m) for m in path.simulated}  # those that this test's reader has not lost
    times = np.array(sorted(second + nanosecond * 1e-9 for second, nanosecond in measured))
    period = np.median(np.diff(times))
    for second, nanosecond in {stamp(m) for m in path.relayed[-50:-5]} - measured:
        place = np.searchsorted(times, second + nanosecond * 1e-9)
        assert times[place] - times[place - 1] > 1.5 * period, "stamps are those of the measurement"


def test_the_gripper_closes_on_an_object_and_backs_off(path: Path) -> None:
    """It is closed on the carrot, stays open by the carrot's width, and the force falls to the holding one."""
    objects = path.next(path.objects)
    carrot = objects.poses[objects.names.index("carrot")].position
    goal = MoveTo.Goal(gripper_position=1.0)
    goal.pose.orientation.y = goal.pose.orientation.w = math.sqrt(0.5)
    for height in (0.10, 0.02):
        goal.pose.position.x, goal.pose.position.y, goal.pose.position.z = carrot.x, carrot.y, height
        path.reach(gripper_position=1.0, pose=goal.pose)
    began = len(path.pwm)
    path.drive_until(lambda: path.pwm[-1].cmd == -HOLD_PWM, "the force backs off", gripper=0.0)
    path.release()
    pushed = [message.cmd for message in path.pwm[began:]]
    assert min(pushed) == -350.0
    assert 0.0155 < path.fingers() < 0.034
    path.ros.wait(
        lambda: {message.cmd for message in path.pwm[-25:]} == {-HOLD_PWM}, "half a second of the holding force", 60.0
    )  # released: the object stays held, gently
    path.ros.act(
        MoveTo, "/arm/move_to", MoveTo.Goal(named_pose="start", gripper_position=0.0)
    )  # the gripper can't close
    objects = path.next(path.objects)
    assert objects.poses[objects.names.index("carrot")].position.z > 0.04
    path.drive_until(lambda: path.fingers() > 0.036, "the gripper is open", gripper=1.0)
    path.release()
    path.ros.wait(lambda: path.pwm[-1].cmd == 0.0, "no force at the end stop")


def test_without_xs_sdk_the_arm_holds_and_says_so_and_a_new_one_is_set_up_again(path: Path) -> None:
    path.xs_sdk.signal(signal.SIGKILL)
    path.wait_for_health("/wx250s/joint_states have stopped", DiagnosticStatus.ERROR)
    path.ros.spin(0.5)  # what was on its way has arrived
    held = path.states[-1].commanded_pose
    sent = len(path.goals)
    for _ in range(5):
        path.drive(1.0, linear=(0.1, 0.0, 0.0))
        path.ros.spin(0.1)
    assert path.states[-1].commanded_pose.position.x == held.position.x
    assert len(path.goals) == sent
    path.xs_sdk = path.start_xs_sdk()
    path.release()
    path.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)
    assert path.profile() == [50, 20]


def test_an_xs_sdk_that_hangs_is_not_waited_for(path: Path) -> None:
    """Services and joint states stop; the arm node goes on reporting, and all is well when xs_sdk goes on."""
    path.xs_sdk.signal(signal.SIGSTOP)
    path.wait_for_health("have stopped", DiagnosticStatus.ERROR)
    stopped = path.ros.call(Trigger, "/arm/stop")
    assert stopped.success
    path.xs_sdk.signal(signal.SIGCONT)
    path.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)
    path.ros.wait(lambda: path.ros.call(Trigger, "/arm/clear").success, "the arm to be cleared")


def test_other_modes_are_noticed_after_an_interruption(path: Path) -> None:
    request = OperatingModes.Request(cmd_type="group", name="arm", mode="position", profile_type="velocity")
    path.ros.call(OperatingModes, "/wx250s/set_operating_modes", request)
    for pulled in (True, False):
        path.ros.call(SetBool, "/wx250s/unplug", SetBool.Request(data=pulled))
        if pulled:
            path.wait_for_health("xs_sdk can't read waist", DiagnosticStatus.ERROR)
    path.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)
    info = path.ros.call(RobotInfo, "/wx250s/get_robot_info", RobotInfo.Request(cmd_type="group", name="arm"))
    assert info.profile_type == "time"
    assert path.profile() == [50, 20]


def test_a_pulled_cable_holds_the_arm_where_it_was(path: Path) -> None:
    """xs_sdk publishes -pi for all joints; the gate must not take that for the arm's pose."""
    before = path.next(path.states).commanded_pose.position
    path.ros.call(SetBool, "/wx250s/unplug", SetBool.Request(data=True))
    path.wait_for_health("check the arm's power and USB cable", DiagnosticStatus.ERROR)
    relayed = len(path.relayed)
    path.ros.spin(0.3)
    assert len(path.relayed) == relayed
    path.ros.call(SetBool, "/wx250s/unplug", SetBool.Request(data=False))
    path.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)
    after = path.next(path.states).commanded_pose.position
    assert (after.x, after.y, after.z) == pytest.approx((before.x, before.y, before.z), abs=0.01)


def test_a_tripped_motor_is_rebooted_and_does_not_jump(path: Path) -> None:
    """Overload in the elbow: torque off, fault; reboot, torque on, clear; the arm is led back slowly."""
    fault = InjectFault.Request(fault="overload", target="elbow", value=math.nan)
    injected = path.ros.call(InjectFault, "/simulator/inject", fault)
    assert injected.success, injected.message
    path.ros.wait(lambda: path.motors and path.motors[-1].level == MotorStates.FAULT, "a motor fault", 60.0)
    assert "elbow" in path.motors[-1].message
    path.ros.call(InjectFault, "/simulator/inject", InjectFault.Request(fault="clear"))
    path.ros.wait(lambda: path.ros.call(Trigger, "/arm/reboot_motors").success, "a reboot")
    path.ros.wait(lambda: not any(m.hardware_error_status for m in path.motors[-1].motors), "no error", 60.0)
    watched = len(path.goals)
    path.ros.wait(
        lambda: path.ros.call(SetBool, "/arm/torque", SetBool.Request(data=True)).success, "torque to be accepted"
    )
    path.ros.wait(lambda: path.motors[-1].level == MotorStates.OK, "well motors", 60.0)
    path.ros.wait(lambda: path.ros.call(Trigger, "/arm/clear").success, "the arm to be cleared")
    assert path.profile() == [50, 20]  # the reboot had made them 0
    steps = np.abs(np.diff([goal.cmd for goal in path.goals[watched:]], axis=0))
    assert steps.max() < 0.1


def test_the_arm_node_ends_cleanly_without_force_on_the_gripper_and_the_next_one_takes_over(path: Path) -> None:
    """It ends while the fingers move; xs_sdk would push for ever with the last PWM that it was told."""
    path.drive_until(lambda: path.pwm[-1].cmd < 0.0, "the gripper closes", gripper=0.0)
    path.arm.signal(signal.SIGINT)
    assert path.arm.wait() == 0
    assert "Traceback" not in path.arm.output
    path.ros.wait(lambda: path.pwm[-1].cmd == 0.0, "the last PWM is none")
    told = len(path.pwm)
    path.ros.spin(0.2)
    assert {command.cmd for command in path.pwm[told:]} <= {0.0}  # the guard may say it, too, if the end takes long
    path.arm = path.start_arm()
    path.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)
    path.reach(named_pose="start", gripper_position=1.0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_a_gripper_that_moves_loses_its_force_when_the_arm_node_is_gone(path: Path, how: signal.Signals) -> None:
    """Its guard speaks in its place; without it xs_sdk would push with the last PWM for ever."""
    path.drive_until(lambda: path.pwm[-1].cmd < -HOLD_PWM, "the gripper closes", gripper=0.0)
    path.arm.signal(how)
    try:
        path.ros.wait(lambda: path.pwm[-1].cmd == 0.0, "the force to be taken off", 60.0)
        released = next(index for index in range(len(path.pwm) - 1, -1, -1) if path.pwm[index].cmd != 0.0) + 1
        path.ros.wait(lambda: len(path.pwm) >= released + 3, "the guard to say it again", 10.0)
        stopped = simulated_finger(path.next(path.simulated))
        told = len(path.pwm)
        path.ros.spin(0.5)
        assert {command.cmd for command in path.pwm[released:]} == {0.0} and len(path.pwm) == told
        assert "the gripper's PWM is set to 0" in path.arm.output
        assert simulated_finger(path.simulated[-1]) == pytest.approx(stopped, abs=5e-4)
    finally:
        path.arm.signal(signal.SIGCONT)
    if how is signal.SIGKILL:
        path.arm.wait()
        path.arm = path.start_arm()
        path.wait_for_health("xs_sdk is up", DiagnosticStatus.OK)
    else:
        path.ros.wait(lambda: len(path.pwm) > told, "the arm node to go on")
        path.release()


def second_arm(name: str) -> list[str]:
    """Module and arguments of an arm node beside the first one, with topics of its own."""
    topics = ("/arm/state", "/arm/executed", "/arm/safety", "/arm/motors", "/diagnostics", "/joint_states")
    renamed = [f"{topic}:=/{name}{topic}" for topic in topics]
    return ["ptr_bringup.arm.node", *(word for rule in (f"__node:={name}_arm", *renamed) for word in ("-r", rule))]


def test_without_any_xs_sdk_the_arm_node_says_so_and_waits(ros) -> None:
    """A second arm node under another robot's name."""
    reports: list[DiagnosticArray] = ros.collect(DiagnosticArray, "/second/diagnostics")
    node = ros.start(*second_arm("second"), robot="wx250s", robot_name="left_arm")
    sentence = "No joint state has arrived on /left_arm/joint_states; start xs_sdk"
    ros.wait(lambda: any(sentence in s.message for r in reports for s in r.status), "the sentence", 60.0)
    assert node.running
    node.signal(signal.SIGINT)
    assert node.wait() == 0


def test_an_xs_sdk_that_reads_no_registers_is_warned_of(path: Path) -> None:
    """As Interbotix's xs_sdk_sim; nothing then watches the motors."""
    ros = path.ros
    reports: list[DiagnosticArray] = ros.collect(DiagnosticArray, "/third/diagnostics")
    unread = ("-r", "/simulator/motors:=/third/motors", "-r", "/joint_commands:=/third/joint_commands")
    xs_sdk = ros.start(
        "ptr_bringup.xs_sdk.node", "-r", "__node:=third_xs_sdk", *unread, "-r",
        "/joint_states:=/simulator/joint_states", robot_name="third",
    )  # fmt: skip
    arm = ros.start(*second_arm("third"), robot="wx250s", robot_name="third", register_rate=100.0)
    try:
        ros.wait(lambda: "trips, heat and effort do not stop the arm" in arm.output, "the warning", 60.0)
        ros.wait(
            lambda: any(
                s.name == "arm motors" and s.level == DiagnosticStatus.WARN and "does not read the motors" in s.message
                for report in reports
                for s in report.status
            ),
            "the warning in the diagnostics",
        )
    finally:
        for node in (arm, xs_sdk):
            node.end()
