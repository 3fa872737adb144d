# SPDX-License-Identifier: Apache-2.0
"""The way back after a motor has failed, step by step: each is checked, and says what to do if it does not work.

No ROS in here: the arm and the person are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.motors.health import Level
from ptr_bringup.arm.motors.readings import MOTOR_NAMES, HardwareError, MotorReading
from ptr_models.common.errors import PtrError

COOL = 60.0
"""deg C at which a motor that has tripped by heat may be rebooted."""
_ANSWERS, _REBOOTS, _HOLDS, _CALMS = 30.0, 15.0, 10.0, 5.0
"""s within which motors answer, have rebooted, hold, and are judged well."""
_WAYS = ("start", "home")
"""Poses that are tried as stops on the way to another."""
_COOLS = 3600.0
"""s within which a hot motor has cooled, or something is wrong."""


class RecoveryError(PtrError):
    """A step did not work; the message says what to do."""


@dataclass(frozen=True)
class Condition:
    """How the arm is.

    Attributes:
        level, message: judgment of its motors; no level where the driver does not read them.
        readings: of the motors that answer.
        reason: what the gate says when it holds something back, else empty.
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
        """Names of the motors that do not answer; none where nobody asks them."""
        if self.level is None:
            return []
        known = {reading.name for reading in self.readings if reading.answers}
        return [name for name in MOTOR_NAMES if name not in known]

    @property
    def well(self) -> bool:
        """True when there is nothing to recover from."""
        return self.level is not Level.FAULT and self.mode not in (Mode.PROTECTIVE_STOP, Mode.HOLD)


class Arm(Protocol):
    """What recovery needs of the arm; each order returns what the arm says, or raises what the caller reports."""

    def condition(self) -> Condition:
        """How it is now."""

    def until(self, wanted: Callable[[Condition], bool], timeout: float) -> bool:
        """True as soon as it is as wanted; False when it is not within `timeout` s."""

    def torque(self, on: bool) -> str:
        """Let the motors hold, or go limp."""

    def reboot(self) -> str:
        """Reboot the motors that have an error."""

    def clear(self) -> str:
        """Release the stop."""

    def try_move(self, pose: str) -> str:
        """Move slowly to a named pose; empty when it is there, else a sentence that says why not."""


class Person(Protocol):
    """Who stands beside the arm."""

    def tell(self, text: str) -> None:
        """Let them read a sentence."""

    def confirm(self, text: str) -> None:
        """Ask them to do something, and wait until they say that it is done."""


class Recovery:
    """Brings the arm back.

    Args:
        poses: where the arm goes at the end, one after the other.
        cool: deg C that a motor which has tripped by heat cools down to first.
    """

    def __init__(
        self, arm: Arm, person: Person, poses: tuple[str, ...] = ("sleep", "start"), cool: float = COOL
    ) -> None:
        self._arm, self._person, self._poses, self._cool = arm, person, poses, cool

    def run(self) -> bool:
        """Carry out what the arm needs; False when there was nothing to do.

        Raises:
            RecoveryError: a step did not work.
        """
        condition = self._arm.condition()
        if condition.well:
            return False
        self._person.tell(condition.message if condition.level is Level.FAULT else condition.reason or "The arm holds.")
        self._hear()
        self._support()
        self._cool_down()
        self._reboot()
        self._hold()
        self._release()
        for pose in self._poses:
            self._go(pose)
        return True

    def _hear(self) -> None:
        silent = self._arm.condition().silent
        if not silent:
            return
        names = ", ".join(silent)
        self._person.confirm(
            f"No answer from: {names}. Support the arm, and check the cables from motor to motor and the power."
        )
        if not self._arm.until(lambda c: not c.silent, _ANSWERS):
            raise RecoveryError(
                f"Still no answer from {names}: switch the arm's power off and on, restart the driver, and try "
                "again; a motor that stays silent is broken or has lost its number."
            )

    def _support(self) -> None:
        condition = self._arm.condition()
        if condition.tripped or condition.limp:
            self._person.confirm(
                "Support the arm with your hand: it is limp, or will be. Hold it in a pose that it could stand in, "
                "clear of the table and of itself, until the motors hold."
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
        self._person.tell(f"Waiting until {self._cool:.0f} deg C: {names}. Lay the arm down; ctrl-C ends this.")
        if not self._arm.until(lambda c: not hot(c), _COOLS):
            raise RecoveryError(f"Still hot after {_COOLS / 60:.0f} min: {names}. Look for what loads or heats it.")
        self._support()  # nobody holds an arm for so long

    def _reboot(self) -> None:
        tripped = self._arm.condition().tripped
        if not tripped:
            return
        self._person.tell(self._arm.reboot())
        if not self._arm.until(lambda c: not c.tripped and not c.silent, _REBOOTS):
            left = self._arm.condition().tripped
            names = ", ".join(reading.name for reading in left or tripped)
            raise RecoveryError(
                f"The error came back or stayed after the reboot: {names}. Remove the cause (heat, load, cable, "
                "supply), switch the arm's power off and on, restart the driver, and try again."
            )

    def _hold(self) -> None:
        if not self._arm.condition().limp:
            return
        self._person.tell(self._arm.torque(True))
        if not self._arm.until(lambda c: not c.limp and not c.tripped, _HOLDS):
            condition = self._arm.condition()
            names = ", ".join(condition.limp or [reading.name for reading in condition.tripped])
            raise RecoveryError(f"No torque at {names}: {condition.message}")
        self._person.tell("The motors hold the arm where it is; let go slowly.")

    def _release(self) -> None:
        if not self._arm.until(lambda c: c.level is not Level.FAULT, _CALMS):
            raise RecoveryError(self._arm.condition().message)
        self._person.tell(self._arm.clear())
        if not self._arm.until(lambda c: c.mode is not Mode.PROTECTIVE_STOP, _CALMS):
            raise RecoveryError(f"The arm was stopped again: {self._arm.condition().reason}")

    def _go(self, pose: str) -> None:
        """Move to a pose, straight or by way of another: from where an arm has sunk, not every way is free."""
        self._person.tell(f"Moving to {pose} ...")
        why = self._arm.try_move(pose)
        for way in _WAYS:
            if why and not self._arm.try_move(way):
                why = self._arm.try_move(pose)
        if why:
            raise RecoveryError(
                f"{why} Support the arm, let it go limp (ptr arm stop, ptr arm torque off), put it by hand into a free "
                "pose near that of sleep, and begin again."
            )
