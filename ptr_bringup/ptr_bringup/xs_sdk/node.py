# SPDX-License-Identifier: Apache-2.0
"""The stand-in's node: `xs_sdk` for a simulated arm.

It has the interface of Interbotix's node in /wx250s, and is a client of the simulator: motor profiles become joint
commands, and the simulator's joint states and motors become those of xs_sdk. So the real arm's driver can be tested
with physics, images and the simulator's faults. Launch files remap the simulator's own topics.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np
from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand, JointTrajectoryCommand
from interbotix_xs_msgs.srv import MotorGains, OperatingModes, Reboot, RegisterValues, RobotInfo, TorqueEnable
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from ptr_bringup.arm.model.kinematics import JOINT_NAMES, Array
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.time import STEADY, seconds
from ptr_bringup.xs_sdk.control_table import effort_from, joint_of, register
from ptr_bringup.xs_sdk.gripper import finger_from_angle
from ptr_bringup.xs_sdk.info import fill
from ptr_bringup.xs_sdk.state import GAINS, GROUPS, MotorBank
from ptr_bringup.xs_sdk.trajectory import Playback
from ptr_msgs.msg import MotorState, MotorStates

MOTORS = GROUPS["all"]
_PERIOD = 0.01
"""s between two updates of the profiles (xs_sdk: joint states at 100 Hz)."""


class XsSdkStandIn(RunnableNode, Node):
    """Connects the topics and services of xs_sdk to those of the simulator."""

    def __init__(self) -> None:
        super().__init__("xs_sdk")
        name = declare(self, "robot_name", "wx250s", "namespace of the topics and services")
        given = declare(self, "xs_sdk_name", "", "instead of robot_name; empty: robot_name")
        self._bank = MotorBank()
        self._joints: Array | None = None
        self._finger = 0.0
        self._motors: dict[str, MotorState] = {}
        self._advanced = time.monotonic()
        self._unplugged = False
        self._forwarding = ReentrantCallbackGroup()  # services that wait for the simulator without blocking others
        self._offer(f"/{(given or name).strip('/')}")
        self._connect()
        self.create_timer(_PERIOD, self._advance, clock=STEADY)

    def _offer(self, namespace: str) -> None:
        self._states = self.create_publisher(JointState, f"{namespace}/joint_states", 10)
        self.create_subscription(JointGroupCommand, f"{namespace}/commands/joint_group", self._on_group, 10)
        self.create_subscription(JointSingleCommand, f"{namespace}/commands/joint_single", self._on_single, 10)
        trajectory = f"{namespace}/commands/joint_trajectory"
        self.create_subscription(JointTrajectoryCommand, trajectory, self._on_trajectory, 10)
        for kind, name, answer in (
            (RobotInfo, "get_robot_info", self._on_info),
            (OperatingModes, "set_operating_modes", self._on_modes),
            (MotorGains, "set_motor_pid_gains", self._on_gains),
            (RegisterValues, "set_motor_registers", self._on_set_registers),
            (RegisterValues, "get_motor_registers", self._on_get_registers),
            (TorqueEnable, "torque_enable", self._on_torque),
            (Reboot, "reboot_motors", self._on_reboot),
            (SetBool, "unplug", self._on_unplug),
        ):
            self.create_service(kind, f"{namespace}/{name}", answer, callback_group=self._forwarding)

    def _connect(self) -> None:
        self._commands = self.create_publisher(JointState, "joint_commands", 1)
        self.create_subscription(JointState, "joint_states", self._on_measured, qos_profile_sensor_data)
        self.create_subscription(MotorStates, "simulator/motors", self._on_motors, 10)
        self._torque: Client = self.create_client(SetBool, "simulator/torque", callback_group=self._forwarding)
        self._reboot: Client = self.create_client(Trigger, "simulator/reboot", callback_group=self._forwarding)

    # --- topics ---------------------------------------------------------------------------------------------------

    def _on_group(self, message: JointGroupCommand) -> None:
        problem = "" if self._unplugged else self._bank.command_group(message.name, message.cmd)
        if problem:
            self.get_logger().error(problem)

    def _on_single(self, message: JointSingleCommand) -> None:
        problem = "" if self._unplugged else self._bank.command_single(message.name, message.cmd)
        if problem:
            self.get_logger().error(problem)

    def _on_trajectory(self, message: JointTrajectoryCommand) -> None:
        """Uses positions for joints in position mode; like xs_sdk, efforts for the gripper in PWM mode."""
        points = message.traj.points
        by_effort = message.name == "gripper" and self._bank.modes["gripper"].mode == "pwm"
        goals = [point.effort if by_effort else point.positions for point in points]
        times = [seconds(point.time_from_start) for point in points]
        playback = Playback(message.cmd_type, message.name, times, goals)
        problem = "" if self._unplugged else self._bank.command_trajectory(playback)
        if problem:
            self.get_logger().warning(problem)

    def _on_motors(self, message: MotorStates) -> None:
        for motor in message.motors:
            before = self._motors.get(motor.name)
            self._motors[motor.name] = motor
            if before is not None and motor.torque_enabled and not before.torque_enabled and self._joints is not None:
                self._bank.hold(self._joints)

    def _on_measured(self, message: JointState) -> None:
        place = {name: k for k, name in enumerate(message.name)}
        order = [place.get(name, math.inf) for name in (*MOTORS, "left_finger")]
        if max(order) >= len(message.position):
            return
        *positions, self._finger = (message.position[k] for k in order)
        self._joints = np.array(positions[:6])
        self._bank.initialize(self._joints)
        states = JointState(header=message.header, name=[*MOTORS, "left_finger", "right_finger"])
        if self._unplugged:  # as xs_sdk does when it can't read: position register 0
            zero = finger_from_angle(-math.pi)
            states.position = [*[-math.pi] * len(MOTORS), zero, -zero]
            states.velocity = states.effort = [0.0] * len(states.name)
        else:
            states.position = [*positions, self._finger, -self._finger]
            states.velocity = [*(message.velocity[k] for k in order[:-1]), 0.0, 0.0]
            efforts = (effort_from(name, message.effort[k]) for name, k in zip(MOTORS, order, strict=False))
            states.effort = [*efforts, 0.0, 0.0]
        self._states.publish(states)

    def _advance(self) -> None:
        now = time.monotonic()
        elapsed, self._advanced = now - self._advanced, now
        if self._bank.references is None:
            return
        joints, target = self._bank.advance(self._finger, elapsed)
        message = JointState(name=[*JOINT_NAMES, "left_finger"], position=[*joints.tolist(), target])
        message.header.stamp = self.get_clock().now().to_msg()
        self._commands.publish(message)

    # --- services -------------------------------------------------------------------------------------------------

    def _known(self, kind: str, name: str) -> bool:
        """Check a request like xs_sdk: an unknown name is logged, and the response is empty."""
        if (kind == "group" and name in GROUPS) or (kind == "single" and joint_of(name) is not None):
            return True
        self.get_logger().error(f"There is no {kind} '{name}'.")
        return False

    def _on_info(self, request: RobotInfo.Request, response: RobotInfo.Response) -> RobotInfo.Response:
        if self._known(request.cmd_type, request.name):
            mode = self._bank.modes["gripper" if request.name == "gripper" else "arm"]
            response.mode, response.profile_type = mode.mode, mode.profile
            fill(response, request.name)
        return response

    def _on_modes(self, request: OperatingModes.Request, response: OperatingModes.Response) -> OperatingModes.Response:
        if self._known(request.cmd_type, request.name):
            self._bank.set_modes(
                request.name,
                request.mode,
                request.profile_type,
                request.profile_velocity,
                request.profile_acceleration,
            )
            self.get_logger().info(f"The operating mode of '{request.name}' was changed to '{request.mode}'.")
        return response

    def _on_set_registers(
        self, request: RegisterValues.Request, response: RegisterValues.Response
    ) -> RegisterValues.Response:
        if self._known(request.cmd_type, request.name):
            self._bank.set_register(request.name, request.reg, request.value)
        return response

    def _on_gains(self, request: MotorGains.Request, response: MotorGains.Response) -> MotorGains.Response:
        if self._known(request.cmd_type, request.name):
            values = (getattr(request, name) for name in ("kp_pos", "ki_pos", "kd_pos", "k1", "k2", "kp_vel", "ki_vel"))
            for register, value in zip(GAINS, values, strict=True):
                self._bank.set_register(request.name, register, value)
        return response

    def _on_get_registers(
        self, request: RegisterValues.Request, response: RegisterValues.Response
    ) -> RegisterValues.Response:
        if not self._known(request.cmd_type, request.name):
            return response
        for name in GROUPS.get(request.name, (request.name,)):
            value = None if self._unplugged else self._register(name, request.reg)
            if value is None:
                break  # as xs_sdk: the list ends before the first motor that fails
            response.values.append(value)
        return response

    def _register(self, motor: str, name: str) -> int | None:
        joint = joint_of(motor)
        if joint is None:
            return None
        value = self._bank.register(joint, name)
        if value is None and joint in self._motors:
            value = register(self._motors[joint], name)
        return value

    async def _on_torque(self, request: TorqueEnable.Request, response: TorqueEnable.Response) -> TorqueEnable.Response:
        if not self._known(request.cmd_type, request.name) or self._unplugged:
            return response
        if request.name not in GROUPS:
            self.get_logger().error("The simulated motors can only be switched together; use the group 'all' or 'arm'.")
            return response
        if request.enable and self._joints is not None:
            self._bank.hold(self._joints)
        await self._torque.call_async(SetBool.Request(data=request.enable))
        for motor in self._motors.values():  # visible in reads before the simulator's next message
            motor.torque_enabled = request.enable and not motor.hardware_error_status
        return response

    async def _on_reboot(self, request: Reboot.Request, response: Reboot.Response) -> Reboot.Response:
        if not self._known(request.cmd_type, request.name) or self._unplugged:
            return response
        for name in GROUPS.get(request.name, (request.name,)):
            joint = joint_of(name)
            if joint is None:
                continue
            motor = self._motors.get(joint)
            if not request.smart_reboot or (motor is not None and motor.hardware_error_status):
                self._bank.forget(joint)
        await self._reboot.call_async(Trigger.Request())
        for motor in self._motors.values():
            motor.torque_enabled &= not motor.hardware_error_status
            motor.hardware_error_status = 0
        if request.enable:
            await self._torque.call_async(SetBool.Request(data=True))
        return response

    def _on_unplug(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Only in the stand-in: unplug (true) or plug in the arm's cable."""
        self._unplugged = request.data
        response.success, response.message = True, f"The cable is {'pulled' if request.data else 'plugged in'}."
        return response


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `xs_sdk_stand_in`; returns the exit code."""
    return run(XsSdkStandIn, "xs_sdk", args)


if __name__ == "__main__":
    sys.exit(main())
