# SPDX-License-Identifier: Apache-2.0
"""The motors' part of the arm node: checks their readings, stops the arm after a fault, switches and reboots them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from ptr_bringup.arm.drivers.base import Driver
from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.motors.conversions import DIAGNOSTIC_NAME, NOT_READ, motors_message
from ptr_bringup.arm.motors.health import SIMULATED, WIDOWX, Judgment, Level, MotorHealth, Thresholds
from ptr_bringup.arm.motors.readings import HardwareError, Motors
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import STEADY, seconds
from ptr_msgs.msg import MotorStates

_PERIOD = 0.05
"""s between two polls of the driver's newest reading; the driver decides how often it reads the motors."""
_REPEAT = 1.0
"""s after which an unchanged status is published again."""
_COMMANDED = (Mode.TELEOP, Mode.POLICY, Mode.MOVING)
_DIAGNOSED = {
    Level.OK: DiagnosticStatus.OK,
    Level.WARN: DiagnosticStatus.WARN,
    Level.FAULT: DiagnosticStatus.ERROR,
}


class MotorMonitor:
    """Publishes /arm/motors and an entry in /diagnostics; offers /arm/torque and /arm/reboot_motors.

    Args:
        node: the arm node; its parameters `motor_...` are the thresholds.
        gate: receives a motor fault while it lasts.
        now: s, the gate's time (see `MonotonicClock`).
    """

    def __init__(self, node: Node, gate: Gate, driver: Driver, robot: str, now: Callable[[], float]) -> None:
        self._node, self._gate, self._driver, self._now = node, gate, driver, now
        self._state_uptime = StateUptime()
        self._health = MotorHealth(_declare_thresholds(node, SIMULATED if robot == "sim" else WIDOWX))
        self._judgment: Judgment | None = None
        self._published = 0.0
        self._switches: list[tuple[str, HardwareError, bool]] = []
        self._states = node.create_publisher(MotorStates, "arm/motors", LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_service(SetBool, "arm/torque", self._on_torque)
        node.create_service(Trigger, "arm/reboot_motors", self._on_reboot)
        self._uptime = lambda: STEADY.now().nanoseconds * 1e-9
        node.create_timer(_PERIOD, self._poll, clock=STEADY)

    def _poll(self) -> None:
        motors, state = self._driver.motors(), self._driver.state()
        uptime = self._state_uptime.update(self._now(), None if state is None else state.stamp)
        if motors is None:
            return self._diagnose_unread()
        judgment = self._health.judge(motors, uptime)
        self._gate.motor_fault(judgment.message if judgment.level is Level.FAULT else "")
        self._publish(motors, judgment)

    def _publish(self, motors: Motors, judgment: Judgment) -> None:
        changed = self._judgment is None or judgment.level is not self._judgment.level
        if changed and judgment.level is not Level.OK:
            self._node.get_logger().warning(judgment.message)
        elif changed:
            self._node.get_logger().info(judgment.message)
        self._judgment = judgment
        switches = [(reading.name, reading.error, reading.torque) for reading in motors.readings]
        if not changed and switches == self._switches and self._uptime() - self._published < _REPEAT:
            return
        self._published, self._switches = self._uptime(), switches
        self._states.publish(motors_message(motors, judgment.level, judgment.message))
        values = {
            f"{reading.name} {name}": f"{value:.1f}"
            for reading in motors.readings
            for name, value in (
                ("temperature (deg C)", reading.temperature),
                ("voltage (V)", reading.voltage),
                ("effort", reading.effort),
            )
        }
        self._diagnose(_DIAGNOSED[judgment.level], judgment.message, values)

    def _diagnose_unread(self) -> None:
        """Warn that the driver does not read the motors, although it moves the arm."""
        if self._uptime() - self._published >= _REPEAT:
            self._published = self._uptime()
            sentence = "The motors have not been read yet." if self._driver.reads_motors else NOT_READ
            self._diagnose(DiagnosticStatus.WARN, sentence, {})

    def _diagnose(self, level: bytes, message: str, values: dict[str, str]) -> None:
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        name = prefixed(self._node, DIAGNOSTIC_NAME)
        status = DiagnosticStatus(level=level, name=name, message=message, values=pairs)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _refusal(self) -> str:
        """Why the motors can't be switched now; empty when they can."""
        if self._gate.arbiter.mode in _COMMANDED:
            who = self._gate.arbiter.source or "a move to a pose"
            return f"The arm is controlled by {who}; end that or stop the arm first."
        return ""

    def _on_torque(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.message = self._refusal() or (self._tripped() or self._position_unknown() if request.data else "")
        response.success = not response.message
        if response.success:
            if request.data:
                self._gate.hold_here("gripper" in self._limp())  # it has sunk, and must not jump back
            self._driver.set_torque(request.data)
            response.message = "Torque enabled." if request.data else "Torque disabled; the motors go limp."
        self._node.get_logger().info(f"Torque {'on' if request.data else 'off'}: {response.message}")
        return response

    def _tripped(self) -> str:
        """Why torque can't be switched on before a reboot; empty if it can."""
        names = ", ".join(self._with_error())
        return f"Reboot the motors first: {names} reported an error." if names else ""

    def _with_error(self) -> list[str]:
        motors = self._driver.motors()
        return [reading.name for reading in motors.readings if reading.error] if motors is not None else []

    def _limp(self) -> list[str]:
        motors = self._driver.motors()
        return [reading.name for reading in motors.readings if not reading.torque] if motors is not None else []

    def _position_unknown(self) -> str:
        """A sentence if the arm's position is unknown, else empty."""
        state, now = self._driver.state(), self._node.get_clock().now().to_msg()
        timeout = self._gate.timing.joint_state_timeout
        if state is not None and abs(seconds(now) - state.stamp) <= timeout and state.finite:
            return ""
        return "The arm's position is unknown, so it could jump: there is no fresh joint state. Check the driver first."

    def _on_reboot(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = self._refusal()
        response.success = not response.message
        if response.success:
            names = ", ".join(self._with_error())
            self._driver.reboot()
            rebooting = f"Rebooting {names}: no torque until it is switched on."
            response.message = rebooting if names else "No motor has an error."
        self._node.get_logger().info(f"Reboot: {response.message}")
        return response


_MAX_GAP = 0.25
"""s. A longer gap between two joint states counts as this much: if the driver was gone or a process hung, nothing is
known about the motors in that time."""


class StateUptime:
    """Sums the gaps between joint states, on a monotonic clock.

    A motor's silence is measured in this time, thus only while the rest of the arm answers. If everything is silent, no
    single motor is at fault: the gate then holds the arm, and nothing has to be cleared.

    Attributes:
        seconds: the sum, s.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._stamp: float | None = None
        self._last_update = 0.0

    def update(self, now: float, stamp: float | None) -> float:
        """Update from the newest joint state; returns `seconds`.

        Args:
            now: s, the gate's time, which never decreases.
            stamp: of the joint state, None if there is none. It only identifies the state, as its clock may be set.
        """
        if stamp is not None and stamp != self._stamp:
            if self._stamp is not None:
                self.seconds += min(now - self._last_update, _MAX_GAP)
            self._stamp, self._last_update = stamp, now
        return self.seconds


def _declare_thresholds(node: Node, default: Thresholds) -> Thresholds:
    texts = {
        "overload_time": ("s, how long a joint may exceed its effort limit", 0.0, 10.0),
        "load_warning": ("share of its effort limit that a joint may carry for long", 0.0, 2.0),
        "load_recovery": ("share of its effort limit below which a joint counts as rested", 0.0, 2.0),
        "load_time_constant": ("s, time constant of the load average", 0.1, 600.0),
        "temperature_warning": ("deg C, temperature at which a rest is due", 20.0, 100.0),
        "temperature_recovery": ("deg C, temperature below which the rest is over", 20.0, 100.0),
        "temperature_limit": ("deg C, temperature at which motors switch themselves off", 20.0, 100.0),
        "voltage_min": ("V, minimum supply voltage", 0.0, 30.0),
        "voltage_max": ("V, maximum supply voltage", 0.0, 30.0),
        "timeout": ("s without an answer from a motor after which the arm is stopped", 0.0, 60.0),
        "cooling_time_constant": ("s, time constant of a resting motor's cooling", 1.0, 7200.0),
    }
    values = {
        name: declare(node, f"motor_{name}", getattr(default, name), text, (low, high))
        for name, (text, low, high) in texts.items()
    }
    unit = default.effort_unit
    text = f"{unit}, effort limits of waist, shoulder, elbow, forearm_roll, wrist_angle and wrist_rotate"
    limits = declare(node, "motor_effort_limits", list(default.effort_limits), text)
    try:
        return dataclasses.replace(default, effort_limits=tuple(limits), **values)
    except ValueError as error:
        raise StartupError(str(error)) from error
