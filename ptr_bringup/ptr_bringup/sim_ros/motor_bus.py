# SPDX-License-Identifier: Apache-2.0
"""ROS interface of the simulated motors: readings, torque and reboot."""

from __future__ import annotations

from collections.abc import Callable

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from ptr_bringup.arm.motors.conversions import motors_message
from ptr_bringup.arm.motors.readings import MOTOR_NAMES, HardwareError
from ptr_bringup.arm.motors.readings import Motors as Readings
from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.time import seconds
from ptr_bringup.sim.world import World
from ptr_msgs.msg import MotorStates


class MotorBus:
    """Publishes /simulator/motors; offers /simulator/torque and /simulator/reboot.

    Args:
        node: the simulator.
        world: returns the current world, which a new scene replaces.
    """

    def __init__(self, node: Node, world: Callable[[], World]) -> None:
        self._node, self._world = node, world
        self._readings = node.create_publisher(MotorStates, "simulator/motors", 10)
        node.create_service(SetBool, "simulator/torque", self._on_torque)
        node.create_service(Trigger, "simulator/reboot", self._on_reboot)

    def publish(self, now: Time) -> None:
        """Publish the readings of all motors."""
        world = self._world()
        readings = world.motors.readings(world.joint_efforts)
        self._readings.publish(motors_message(Readings(seconds(now), readings)))

    def diagnostics(self) -> DiagnosticStatus:
        """The simulator's entry in /diagnostics."""
        readings = self._world().motors.readings(self._world().joint_efforts)
        values = [KeyValue(key=f"{r.name} temperature (deg C)", value=f"{r.temperature:.0f}") for r in readings]
        limp = [r.name for r in readings if not r.torque]
        text = f"Without torque: {', '.join(limp)}." if limp else "All motors hold."
        level = DiagnosticStatus.WARN if limp else DiagnosticStatus.OK
        return DiagnosticStatus(level=level, name=prefixed(self._node, "simulator"), message=text, values=values)

    def _on_torque(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        world = self._world()
        for motor in range(len(MOTOR_NAMES)):
            world.set_torque(motor, request.data)
        refused = [name for k, name in enumerate(MOTOR_NAMES) if request.data and world.motors.shut_down(k)]
        response.success = not refused
        state = "hold" if request.data else "are limp"
        response.message = f"Shut down until rebooted: {', '.join(refused)}." if refused else f"All motors {state}."
        self._node.get_logger().info(response.message)
        return response

    def _on_reboot(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        world = self._world()
        tripped = [k for k, error in enumerate(world.motors.errors) if error is not HardwareError.NONE]
        for motor in tripped:
            world.reboot(motor)
        names = ", ".join(MOTOR_NAMES[k] for k in tripped)
        response.success = True
        response.message = f"Rebooted: {names}." if tripped else "No motor has an error; none was rebooted."
        self._node.get_logger().info(response.message)
        return response
