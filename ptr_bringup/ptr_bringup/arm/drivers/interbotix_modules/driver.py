# SPDX-License-Identifier: Apache-2.0
"""The driver via Interbotix's Python API: like `interbotix`, with the API's publishers and clients."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from interbotix_common_modules.common_robot.robot import InterbotixRobotNode
from interbotix_xs_modules.xs_robot.arm import InterbotixManipulatorXS
from rclpy.client import Client
from rclpy.node import Node

from ptr_bringup.arm.drivers.interbotix.driver import InterbotixDriver, Options
from ptr_bringup.arm.drivers.interbotix.service_sequencer import ServiceSequencer
from ptr_bringup.arm.drivers.interbotix.xs_sdk_procedures import ARM, GRIPPER
from ptr_bringup.arm.drivers.interbotix.xs_sdk_topics import ACK_TIMEOUT, XsSdkTopics
from ptr_bringup.arm.drivers.interbotix_modules.connection import Connection
from ptr_bringup.arm.model.kinematics import Array
from ptr_bringup.ros.names import prefixed

_WAITING = "Interbotix's API waits for xs_sdk; start it, or launch with xs_sdk:=stand_in."


def manipulator(robot_name: str, node_name: str) -> InterbotixManipulatorXS:
    """The API's arm, without the API's gripper, whose timer would send commands; blocks until xs_sdk is up.

    Args:
        robot_name: the name that xs_sdk was started with.
        node_name: of the API's node. It ignores this process's arguments, which would give it the arm's name.
    """
    node = InterbotixRobotNode(node_name, use_global_arguments=False, start_parameter_services=False)
    return InterbotixManipulatorXS(
        robot_model="wx250s",
        group_name=ARM,
        gripper_name=None,
        robot_name=robot_name,
        node=node,
        iterative_update_fk=False,
    )


def clients_of(robot: InterbotixManipulatorXS) -> Mapping[str, Client]:
    """The API's clients by the names of xs_sdk's services."""
    core = robot.core
    return {
        "get_robot_info": core.srv_get_info,
        "set_operating_modes": core.srv_set_op_modes,
        "set_motor_registers": core.srv_set_reg,
        "get_motor_registers": core.srv_get_reg,
        "torque_enable": core.srv_torque,
        "reboot_motors": core.srv_reboot,
    }


class ModulesTopics(XsSdkTopics):
    """Commands go through the API; none are sent before it is connected."""

    connection: Connection

    def _open(self) -> None:
        """Nothing to open: goals and PWM use the API's publishers."""

    @property
    def silence(self) -> float:
        """s since the newest usable reading arrived; infinite before the API is connected."""
        return math.inf if self.connection.robot is None else super().silence

    @property
    def problem(self) -> str:
        """Why no joint states arrive, one sentence."""
        if self.connection.robot is None:
            return self.connection.problem or _WAITING
        return super().problem

    def send_goal(self, joints: Array) -> None:
        """Send joint positions (6,) in rad."""
        if self.connection.robot is not None:
            self.connection.robot.core.robot_write_commands(ARM, joints.tolist())

    def send_pwm(self, pwm: float) -> None:
        """Send the gripper's PWM, positive opens."""
        if self.connection.robot is not None:
            self.pwm = pwm
            self.connection.robot.core.robot_write_joint_command(GRIPPER, pwm)

    def _close(self) -> None:
        if self.connection.robot is not None and self.connection.robot.core.pub_single.get_subscription_count():
            self.send_pwm(0.0)
            self.connection.robot.core.pub_single.wait_for_all_acked(ACK_TIMEOUT)


class ModulesDriver(InterbotixDriver):
    """Streams commands through `InterbotixManipulatorXS`, which may block, without blocking itself."""

    def _connect(self, node: Node, options: Options) -> tuple[XsSdkTopics, ServiceSequencer]:
        name = options.namespace.strip("/")
        api = f"{prefixed(node, node.get_name()).replace('/', '_')}_interbotix_api"
        self._connection = Connection(functools.partial(manipulator, name, api))
        topics = ModulesTopics(node, options.namespace, options.gripper)
        topics.connection = self._connection
        return topics, ServiceSequencer(node, options.namespace, {})

    def _tick(self) -> None:
        if self._connection.attach(self._node):
            self._sequencer.clients.update(clients_of(self._connection.robot))
        super()._tick()

    def close(self) -> None:
        """Zero the gripper's PWM, and release the API and everything else; the arm keeps its pose."""
        super().close()
        self._connection.close(self._node)
