# SPDX-License-Identifier: Apache-2.0
"""The driver of the simulated arm: topics for commands and readings, the simulator's services for torque and reboot."""

from __future__ import annotations

import numpy as np
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from ptr_bringup.arm.drivers.base import MAX_JOINTS, DriverHealth, Topic, select_joints
from ptr_bringup.arm.model.kinematics import JOINT_NAMES, Array, finger_from_gripper
from ptr_bringup.arm.motors.conversions import motors_from
from ptr_bringup.arm.motors.readings import Motors
from ptr_bringup.arm.types import JointMeasurement
from ptr_bringup.ros.time import seconds
from ptr_msgs.msg import MotorStates

_SILENCE = 1.0
"""s without joint states after which the simulator counts as gone."""


class SimulatedDriver:
    """Publishes /joint_commands (six joints and left_finger); listens to /joint_states and /simulator/motors."""

    reads_motors = True
    exclusive = (Topic("joint_commands", JointState), Topic("joint_states", JointState))

    def __init__(self, node: Node) -> None:
        self._node = node
        self._newest: JointMeasurement | None = None
        self._received = 0
        self._unusable = ""
        self._commands = node.create_publisher(JointState, "joint_commands", 1)
        self._states = node.create_subscription(JointState, "joint_states", self._on_state, qos_profile_sensor_data)
        self._motors: Motors | None = None
        self._readings = node.create_subscription(MotorStates, "simulator/motors", self._on_motors, 10)
        self._torque: Client = node.create_client(SetBool, "simulator/torque")
        self._reboot: Client = node.create_client(Trigger, "simulator/reboot")

    def send(self, joints: Array, gripper: float) -> None:
        """Command joint positions (6,) in rad and the gripper's opening (0 closed, 1 open)."""
        message = JointState()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.name = [*JOINT_NAMES, "left_finger"]
        message.position = [*joints.tolist(), finger_from_gripper(gripper)]
        self._commands.publish(message)

    def _on_state(self, message: JointState) -> None:
        if len(message.name) > MAX_JOINTS:
            self._unusable = f"A joint state has {len(message.name)} joints; the maximum is {MAX_JOINTS}."
            return
        place = {name: k for k, name in enumerate(message.name)}
        missing = [name for name in (*JOINT_NAMES, "left_finger") if name not in place]
        if missing or len(message.position) != len(message.name):
            self._unusable = f"A joint state lacks {', '.join(missing) or 'positions'}."
            return
        order = [place[name] for name in JOINT_NAMES]
        self._received += 1
        self._unusable = ""
        self._newest = JointMeasurement(
            seconds(message.header.stamp),
            np.array([message.position[k] for k in order]),
            select_joints(message.velocity, order),
            select_joints(message.effort, order),
            message.position[place["left_finger"]],
        )

    def state(self) -> JointMeasurement | None:
        """The newest measurement, None before the first."""
        return self._newest

    def _on_motors(self, message: MotorStates) -> None:
        self._motors = motors_from(message)

    def motors(self) -> Motors | None:
        """The newest reading of the motors, None before the first."""
        return self._motors

    def set_torque(self, on: bool) -> None:
        """Switch the torque of all motors on or off."""
        self._torque.call_async(SetBool.Request(data=on))

    def reboot(self) -> None:
        """Reboot the motors that have a hardware error."""
        self._reboot.call_async(Trigger.Request())

    def health(self, now: float) -> DriverHealth:
        """Good while joint states arrive."""
        if self._newest is None:
            return DriverHealth(False, self._unusable or "No joint state has arrived; is the simulator running?", {})
        age = now - self._newest.stamp
        values = {"joint states received": str(self._received), "age of the newest (s)": f"{age:.3f}"}
        if age > _SILENCE:
            return DriverHealth(False, self._unusable or f"The newest joint state is {age:.1f} s old.", values)
        return DriverHealth(True, "Joint states arrive.", values)

    def close(self) -> None:
        """Destroy publisher, subscriptions and clients."""
        self._node.destroy_publisher(self._commands)
        for subscription in (self._states, self._readings):
            self._node.destroy_subscription(subscription)
        for client in (self._torque, self._reboot):
            self._node.destroy_client(client)
