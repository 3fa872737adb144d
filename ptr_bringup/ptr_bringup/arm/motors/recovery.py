# SPDX-License-Identifier: Apache-2.0
"""Guided recovery after a motor failure. Each step is checked; if one fails, the error says what to do.

No ROS: the arm and the person are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.motors.health import Level
from ptr_bringup.arm.motors.readings import MOTOR_NAMES, HardwareError, MotorReading
from ptr_models.common.errors import PtrError

COOL_TEMPERATURE = 60.0
"""deg C below which an overheated motor may be rebooted."""
_ANSWER_TIMEOUT, _REBOOT_TIMEOUT, _TORQUE_TIMEOUT, _CLEAR_TIMEOUT = 30.0, 15.0, 10.0, 5.0
"""s within which motors must answer, reboot, hold torque, and be free of faults."""
_VIA_POSES = ("start", "home")
"""Poses that are tried as intermediate stops on the way to another."""
_COOLING_TIMEOUT = 3600.0
"""s within which a hot motor must cool down."""


class RecoveryError(PtrError):
    """A step failed; the message says what to do."""


@dataclass(frozen=True)
class Condition:
    """Condition of the arm.

    Attributes:
        level, message: status of its motors; no level if the driver does not read them.
        readings: of the motors that answer.
        reason: why the gate restricts the arm, or an empty string.
    """

    mode: Mode
    level: Level | None
    message: str
    readings: tuple[MotorReading, ...]
    reason: str = ""

    @property
    def tripped(self) -> list[MotorReading]:
        """Motors with a hardware error."""
        return [reading for reading in self.readings if reading.error]

    @property
    def limp(self) -> list[str]:
        """Names of the motors without torque."""
        return [reading.name for reading in self.readings if not reading.torque]

    @property
    def silent(self) -> list[str]:
        """Names of the motors that do not answer; empty if the driver does not read them."""
        if self.level is None:
            return []
        known = {reading.name for reading in self.readings if reading.answers}
        return [name for name in MOTOR_NAMES if name not in known]

    @property
    def well(self) -> bool:
        """True if there is nothing to recover from."""
        return self.level is not Level.FAULT and self.mode not in (Mode.PROTECTIVE_STOP, Mode.HOLD)


class RecoverableArm(Protocol):
    """The arm as recovery needs it. Each command returns the arm's answer, or raises an error for the caller."""

    def condition(self) -> Condition:
        """Its current condition."""

    def wait_until(self, wanted: Callable[[Condition], bool], timeout: float) -> bool:
        """Wait for a condition; False if it does not hold within `timeout` s."""

    def torque(self, on: bool) -> str:
        """Switch the torque of all motors on or off."""

    def reboot(self) -> str:
        """Reboot the motors that have an error."""

    def clear(self) -> str:
        """Clear the stop."""

    def try_move(self, pose: str) -> str:
        """Move slowly to a named pose; returns an empty string on success, otherwise the reason for the failure."""


class Person(Protocol):
    """The person beside the arm."""

    def show(self, text: str) -> None:
        """Show a sentence."""

    def confirm(self, text: str) -> None:
        """Ask the person to do something, and wait for the confirmation."""


class Recovery:
    """Recovers the arm.

    Args:
        poses: moved to at the end, one after the other.
        cool: deg C that an overheated motor must cool down to first.
    """

    def __init__(
        self,
        arm: RecoverableArm,
        person: Person,
        poses: tuple[str, ...] = ("sleep", "start"),
        cool: float = COOL_TEMPERATURE,
    ) -> None:
        self._arm, self._person, self._poses, self._cool = arm, person, poses, cool

    def run(self) -> bool:
        """Run all necessary steps; False if there was nothing to do.

        Raises:
            RecoveryError: a step failed.
        """
        condition = self._arm.condition()
        if condition.well:
            return False
        self._person.show(condition.message if condition.level is Level.FAULT else condition.reason or "The arm holds.")
        self._wait_for_answers()
        self._support()
        self._cool_down()
        self._reboot()
        self._switch_torque_on()
        self._release()
        for pose in self._poses:
            self._move(pose)
        return True

    def _wait_for_answers(self) -> None:
        silent = self._arm.condition().silent
        if not silent:
            return
        names = ", ".join(silent)
        self._person.confirm(
            f"No answer from: {names}. Support the arm, and check the cables from motor to motor and the power."
        )
        if not self._arm.wait_until(lambda c: not c.silent, _ANSWER_TIMEOUT):
            raise RecoveryError(
                f"still no answer from {names}: switch the arm's power off and on, restart the driver, and try "
                "again; a motor that stays silent is broken or has lost its ID"
            )

    def _support(self) -> None:
        condition = self._arm.condition()
        if condition.tripped or condition.limp:
            self._person.confirm(
                "Support the arm by hand: it is limp, or will be. Hold it in a free pose, clear of the table and of "
                "itself, until the motors hold."
            )

    def _cool_down(self) -> None:
        def hot(condition: Condition) -> list[MotorReading]:
            return [
                reading
                for reading in condition.tripped
                if HardwareError.OVERHEATING in reading.error and reading.temperature > self._cool
            ]

        waiting = hot(self._arm.condition())
        if not waiting:
            return
        names = ", ".join(f"{reading.name} ({reading.temperature:.0f} deg C)" for reading in waiting)
        self._person.show(f"Waiting for {self._cool:.0f} deg C: {names}. Lay the arm down; ctrl-C cancels.")
        if not self._arm.wait_until(lambda c: not hot(c), _COOLING_TIMEOUT):
            raise RecoveryError(
                f"still hot after {_COOLING_TIMEOUT / 60:.0f} min: {names}; find out what loads or heats it"
            )
        self._support()  # the person has put it down in the meantime

    def _reboot(self) -> None:
        tripped = self._arm.condition().tripped
        if not tripped:
            return
        self._person.show(self._arm.reboot())
        if not self._arm.wait_until(lambda c: not c.tripped and not c.silent, _REBOOT_TIMEOUT):
            left = self._arm.condition().tripped
            names = ", ".join(reading.name for reading in left or tripped)
            raise RecoveryError(
                f"the error of {names} remained or came back after the reboot: remove the cause (heat, load, cable, "
                "supply), switch the arm's power off and on, restart the driver, and try again"
            )

    def _switch_torque_on(self) -> None:
        if not self._arm.condition().limp:
            return
        self._person.show(self._arm.torque(True))
        if not self._arm.wait_until(lambda c: not c.limp and not c.tripped, _TORQUE_TIMEOUT):
            condition = self._arm.condition()
            names = ", ".join(condition.limp or [reading.name for reading in condition.tripped])
            raise RecoveryError(f"no torque at {names}: {condition.message}")
        self._person.show("The motors hold the arm where it is; let go slowly.")

    def _release(self) -> None:
        if not self._arm.wait_until(lambda c: c.level is not Level.FAULT, _CLEAR_TIMEOUT):
            raise RecoveryError(self._arm.condition().message)
        self._person.show(self._arm.clear())
        if not self._arm.wait_until(lambda c: c.mode is not Mode.PROTECTIVE_STOP, _CLEAR_TIMEOUT):
            raise RecoveryError(f"the arm was stopped again: {self._arm.condition().reason}")

    def _move(self, pose: str) -> None:
        """Move to a pose, directly or via another one: after the arm has sunk, some paths may be blocked."""
        self._person.show(f"Moving to {pose} ...")
        why = self._arm.try_move(pose)
        for via in _VIA_POSES:
            if why and not self._arm.try_move(via):
                why = self._arm.try_move(pose)
        if why:
            raise RecoveryError(
                f"{why} Support the arm, let it go limp (ptr arm stop, ptr arm torque off), move it by hand to a free "
                "pose near the sleep pose, and start again"
            )
