# SPDX-License-Identifier: Apache-2.0
"""The driver of the real WidowX 250, based on Interbotix's xs_sdk."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rclpy.node import Node

from ptr_bringup.arm.drivers.base import DriverHealth
from ptr_bringup.arm.drivers.interbotix import xs_sdk_procedures
from ptr_bringup.arm.drivers.interbotix.catch_up_limiter import CatchUpLimiter
from ptr_bringup.arm.drivers.interbotix.gripper_pwm import GripperPwm, GripperSettings
from ptr_bringup.arm.drivers.interbotix.gripper_watchdog import GripperWatchdog
from ptr_bringup.arm.drivers.interbotix.profile import Profile
from ptr_bringup.arm.drivers.interbotix.registers import RegisterReader
from ptr_bringup.arm.drivers.interbotix.service_sequencer import ServiceSequencer
from ptr_bringup.arm.drivers.interbotix.xs_sdk_topics import XsSdkTopics
from ptr_bringup.arm.model.kinematics import Array
from ptr_bringup.arm.motors.readings import Motors
from ptr_bringup.arm.types import JointMeasurement
from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.time import STEADY, now

GRIPPER_PERIOD = 0.02
"""s between two PWM commands to the gripper (Bridge: 50 Hz)."""
_RETRY = 1.0
"""s between two start-up attempts."""
_STARTUP_TIMEOUT = 20.0
"""s before a missing xs_sdk is an error: it may take a while if both are launched together on a busy computer."""
_STARTING = "The driver is starting."
_SILENCE = 0.5
"""s without a usable joint state after which xs_sdk may have been restarted, so start-up is repeated."""
_STALE = 0.2
"""s. With an older finger position, the gripper is not driven further; xs_sdk itself would keep pushing forever."""
_UNGUARDED = "The gripper's watchdog has ended: a moving gripper keeps pushing if this node is killed. Restart it."
_UNREAD = "xs_sdk answers no reads of motor registers, so trips, heat and effort do not stop the arm."


@dataclass(frozen=True)
class Options:
    """Settings of the driver.

    Attributes:
        namespace: of xs_sdk, for example /wx250s.
        profile: motion of the motors between two setpoints.
        gripper: stroke and force.
        register_rate: Hz, polling rate of motor registers; at 5 Hz a trip is detected within 5.4 s.
        catch_up_velocity: rad/s, speed of the return to the commanded pose after torque was off or xs_sdk was down.
    """

    namespace: str
    profile: Profile
    gripper: GripperSettings = field(default_factory=GripperSettings)
    register_rate: float = 25.0
    catch_up_velocity: float = 0.5


class InterbotixDriver:
    """Streams commands to xs_sdk, and relays its joint states to /joint_states. Never blocks."""

    def __init__(self, node: Node, options: Options) -> None:
        self._node, self._options = node, options
        self._limiter, self._gripper = CatchUpLimiter(options.catch_up_velocity), GripperPwm(options.gripper)
        self._registers = RegisterReader()
        self._topics, self._sequencer = self._connect(node, options)
        self.exclusive = self._topics.exclusive
        name = prefixed(node, node.get_name()).replace("/", "_")
        self._watchdog = GripperWatchdog(self._topics.gripper_topic, options.gripper.hold, f"{name}_gripper_watchdog")
        self._last_state: JointMeasurement | None = None
        self._sent_at = self._last_attempt = -math.inf
        self._startup_deadline = time.monotonic() + _STARTUP_TIMEOUT
        self._read_at = 0.0
        self._opening: float | None = None
        self._ready, self._status = False, _STARTING
        self._differences: tuple[str, ...] = ()
        self._timers = [
            node.create_timer(GRIPPER_PERIOD, self._tick, clock=STEADY),
            node.create_timer(1.0 / options.register_rate, self._read_register, clock=STEADY),
        ]

    def _connect(self, node: Node, options: Options) -> tuple[XsSdkTopics, ServiceSequencer]:
        """Create the topics and services of xs_sdk."""
        return (
            XsSdkTopics(node, options.namespace, options.gripper),
            ServiceSequencer(node, options.namespace, xs_sdk_procedures.SERVICES),
        )

    # --- driver interface ----------------------------------------------------------------------------------------

    def send(self, joints: Array, gripper: float) -> None:
        """Command joint positions (6,) in rad and the gripper's opening (0 closed, 1 open)."""
        newest = self._topics.newest
        if newest is None or not (self._ready and np.isfinite(joints).all() and math.isfinite(gripper)):
            return
        now = time.monotonic()
        elapsed, self._sent_at = min(now - self._sent_at, 0.1), now
        holding = self._registers.holding
        sent = self._limiter.step(np.asarray(joints, dtype=float), newest.joints.positions, holding, elapsed)
        self._topics.send_goal(sent)
        self._opening = gripper

    def state(self) -> JointMeasurement | None:
        """The newest measurement; not updated while xs_sdk is down or not set up yet, so that the gate holds."""
        if self._ready and self._topics.newest is not None:
            self._last_state = self._topics.newest.joints
        return self._last_state

    def motors(self) -> Motors | None:
        """The newest reading of the motors, None before the first or if xs_sdk doesn't read registers."""
        newest = self._topics.newest
        return None if newest is None else self._registers.motors(self._read_at, newest.efforts)

    @property
    def reads_motors(self) -> bool:
        """False once a whole round of reads got no answer, as with xs_sdk_sim."""
        return self._registers.offered

    def set_torque(self, on: bool) -> None:
        """Switch the torque of all motors. Without it the arm sinks, so someone must support it."""
        if not on:
            self._assume_torque(False)
        elif self._topics.newest is not None:
            self._topics.send_goal(self._topics.newest.joints.positions)

        def done(problem: str) -> None:
            if not problem:
                self._assume_torque(on)
            self._report(problem or f"Torque was switched {'on' if on else 'off'}.", bool(problem))

        self._sequencer.start(xs_sdk_procedures.switch_torque(on), done)

    def reboot(self) -> None:
        """Reboot the motors that have a hardware error or don't answer; they come back without torque."""
        motors = self._registers.tripped
        self._registers.assume_torque(False, motors)
        self._limiter.reset()
        done = f"Rebooted: {', '.join(motors) or 'every motor that had an error'}."
        self._sequencer.start(
            xs_sdk_procedures.reboot(motors, self._options.profile),
            lambda problem: self._report(problem or done, bool(problem)),
        )

    def health(self, now: float) -> DriverHealth:
        """Good if xs_sdk is set up, its joint states arrive, and every motor answers."""
        newest = self._topics.newest
        values = {
            "joint states received": str(self._topics.received),
            "age of the newest (s)": "none" if newest is None else f"{now - newest.joints.stamp:.3f}",
            "profile": str(self._options.profile),
            "finger stroke (m)": f"{self._options.gripper.closed:g} to {self._options.gripper.opened:g}",
            "gripper PWM": f"{self._topics.pwm:.0f}",
            "gripper's watchdog": "running" if self._watchdog.running else "ended",
            "motor registers": "read" if self._registers.offered else "not offered by this xs_sdk",
            "differences": " ".join(self._differences) or "none",
        }
        if not self._ready:
            return DriverHealth(False, self._status, values)
        if self._registers.silent:
            return DriverHealth(False, f"No answer on the bus from {', '.join(self._registers.silent)}.", values)
        if not self._registers.holding.all():
            return DriverHealth(True, "xs_sdk is up; a motor has no torque.", values)
        if not self._watchdog.running:
            return DriverHealth(True, "xs_sdk is up; the gripper's watchdog has ended: restart the arm node.", values)
        return DriverHealth(True, "xs_sdk is up and its joint states arrive.", values)

    def close(self) -> None:
        """Zero the gripper's PWM, and release topics, services and timers; the arm keeps its pose."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        self._sequencer.close()
        self._topics.close()
        self._watchdog.feed(0.0)
        self._watchdog.close()

    # --- timers and callbacks ------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._sequencer.poll()
        silent, newest = self._topics.silence, self._topics.newest
        if self._ready and silent > _SILENCE:
            self._on_silence()
        if not self._ready:
            self._start_up(silent)
        elif self._opening is not None and newest is not None and silent < _STALE:
            self._send_pwm(self._gripper.step(time.monotonic(), newest.finger, self._opening))
        elif self._opening is not None:
            self._send_pwm(self._gripper.step_without_position())

    def _on_silence(self) -> None:
        """Joint states have stopped. When they return, xs_sdk may have been restarted with other modes."""
        self._ready = False
        self._registers = RegisterReader()  # earlier readings are out of date
        self._limiter.reset()
        self._report(self._topics.problem, True)

    def _start_up(self, silent: float) -> None:
        now = time.monotonic()
        if self._sequencer.busy or now - self._last_attempt < _RETRY:
            return
        self._last_attempt = now
        if silent > _SILENCE:
            if now > self._startup_deadline or self._topics.received:
                self._report(self._topics.problem, True)
            elif self._status == _STARTING:
                self._report(f"Waiting for xs_sdk: {self._topics.problem}", False)
        else:
            self._sequencer.start(
                xs_sdk_procedures.start_up(self._options.profile, self._on_differences), self._started
            )

    def _started(self, problem: str) -> None:
        if problem:
            self._report(problem, True)
            return
        self._ready = True
        self._report(f"xs_sdk is set up: position control, profile {self._options.profile}; gripper by PWM.", False)

    def _on_differences(self, differences: Sequence[str]) -> None:
        for sentence in set(differences) - set(self._differences):
            self._node.get_logger().warning(sentence)
        self._differences = tuple(differences)

    def _read_register(self) -> None:
        if not self._ready or self._sequencer.busy:
            return
        if not self._registers.offered:
            self._node.get_logger().warning(_UNREAD, once=True)
            return
        motor, register = self._registers.next()

        def on_values(values: Sequence[int]) -> None:
            self._read_at = now(self._node)
            self._registers.update(motor, register, values)

        # A late answer is xs_sdk's problem, not the motor's, so it is ignored.
        self._sequencer.start(xs_sdk_procedures.read_register(motor, register, on_values), lambda problem: None)

    def _send_pwm(self, pwm: float) -> None:
        self._watchdog.feed(pwm)  # first, so that it knows every PWM that is sent
        self._topics.send_pwm(pwm)
        if not self._watchdog.running:
            self._node.get_logger().warning(_UNGUARDED, once=True)

    # --- helpers -------------------------------------------------------------------------------------------------

    def _assume_torque(self, on: bool) -> None:
        self._registers.assume_torque(on)
        self._limiter.reset()

    def _report(self, sentence: str, problem: bool) -> None:
        """Store the status for /diagnostics, and log it; the same problem is logged once."""
        if problem and sentence != self._status:
            self._node.get_logger().error(sentence)
        elif not problem:
            self._node.get_logger().info(sentence)
        self._status = sentence
