# SPDX-License-Identifier: Apache-2.0
"""The topics between the driver and xs_sdk: joint states in, goals and PWM out."""

from __future__ import annotations

import math
import time

from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState

from ptr_bringup.arm.drivers.base import Topic
from ptr_bringup.arm.drivers.interbotix.gripper_pwm import GripperSettings
from ptr_bringup.arm.drivers.interbotix.readings import Reading, ReadingError, reading_from
from ptr_bringup.arm.drivers.interbotix.xs_sdk_procedures import ARM, GRIPPER
from ptr_bringup.arm.model.kinematics import Array

ACK_TIMEOUT = Duration(seconds=0.5)
"""Time for xs_sdk to acknowledge the last command."""


class XsSdkTopics:
    """Sends to xs_sdk, keeps its newest usable joint states and relays them to /joint_states.

    Args:
        namespace: of xs_sdk, for example /wx250s.
        stroke: of the fingers.

    Attributes:
        newest: newest usable reading, None before the first.
        received: number of usable readings.
        pwm: last PWM sent to the gripper.
        gripper_topic: full name of the topic of the gripper's PWM.
        exclusive: topics with one publisher each, without the PWM's: the gripper's watchdog publishes to it, too.
    """

    def __init__(self, node: Node, namespace: str, stroke: GripperSettings) -> None:
        self._node, self._stroke, self._topic = node, stroke, f"{namespace}/joint_states"
        self._group_topic = f"{namespace}/commands/joint_group"
        self.gripper_topic = f"{namespace}/commands/joint_single"
        self.exclusive = (
            Topic(self._group_topic, JointGroupCommand),
            Topic(self._topic, JointState),
            Topic("joint_states", JointState),
        )
        self.newest: Reading | None = None
        self.received, self.pwm = 0, 0.0
        self._received_at, self._unusable = -math.inf, ""
        self._relay = node.create_publisher(JointState, "joint_states", qos_profile_sensor_data)
        self._states = node.create_subscription(JointState, self._topic, self._on_state, qos_profile_sensor_data)
        self._open()

    def _open(self) -> None:
        self._group = self._node.create_publisher(JointGroupCommand, self._group_topic, 1)
        self._single = self._node.create_publisher(JointSingleCommand, self.gripper_topic, 1)

    def _on_state(self, message: JointState) -> None:
        try:
            self.newest = reading_from(message, self._stroke)
        except ReadingError as error:
            self._unusable = str(error)
            return
        self._received_at, self._unusable = time.monotonic(), ""
        self.received += 1
        self._relay.publish(message)

    @property
    def silence(self) -> float:
        """s since the newest usable reading arrived."""
        return time.monotonic() - self._received_at

    @property
    def problem(self) -> str:
        """Why no joint states arrive, one sentence."""
        if self._unusable:
            return self._unusable
        if self.received == 0:
            return f"No joint state has arrived on {self._topic}; start xs_sdk, or launch with xs_sdk:=stand_in."
        return f"Joint states on {self._topic} have stopped; check xs_sdk, the arm's power and the USB cable."

    def send_goal(self, joints: Array) -> None:
        """Send joint positions (6,) in rad."""
        self._group.publish(JointGroupCommand(name=ARM, cmd=joints.tolist()))

    def send_pwm(self, pwm: float) -> None:
        """Send the gripper's PWM, positive opens."""
        self.pwm = pwm
        self._single.publish(JointSingleCommand(name=GRIPPER, cmd=pwm))

    def close(self) -> None:
        """Zero the gripper's PWM, and release the topics.

        xs_sdk has no watchdog: it would keep applying the last PWM, and heat the motor until it trips.
        """
        self._close()
        self._node.destroy_subscription(self._states)
        self._node.destroy_publisher(self._relay)

    def _close(self) -> None:
        if self._single.get_subscription_count():
            self.send_pwm(0.0)
            self._single.wait_for_all_acked(ACK_TIMEOUT)
        for publisher in (self._group, self._single):
            self._node.destroy_publisher(publisher)
