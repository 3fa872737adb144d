# SPDX-License-Identifier: Apache-2.0
"""Motor health: turns readings into a level and a sentence. A warning asks for a rest before a motor trips; a fault
stops the arm.

Sources of the numbers:

- A motor trips at its register Temperature Limit: 72 deg C for the XL430-W250 in the wrist and gripper, 80 deg C for
  the XM430-W350 elsewhere. It should then rest for 20 minutes (ROBOTIS e-manual). The lower limit is used for all.
- The XM430-W350 takes 10.0 to 14.8 V, 12 V recommended, and reports an error below 9.5 V (ROBOTIS e-manual).
- The Bridge robots end an episode when a joint's effort exceeds [800 1000 600 600 600 700] x 1.7 (in the units of
  the Interbotix driver: mA of the XM430). They ignore efforts below that.
- A sustained load should stay well below the maximum (a fifth of the stall torque, ROBOTIS e-manual). Heat grows with
  the square of the current, so the root mean square over half a minute is checked.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from ptr_bringup.arm.motors.readings import MOTOR_NAMES, SHUTDOWN, HardwareError, MotorReading, Motors

_RECOVER = "support the arm and run `ptr arm recover`"
_RESTED = 35.0
"""deg C at which a motor counts as cooled down."""
_ROOM = 26.0
"""deg C, ambient temperature that a motor cools towards."""
_TRIPS = {
    HardwareError.OVERLOAD: "overload",
    HardwareError.OVERHEATING: "overheating",
    HardwareError.ELECTRICAL_SHOCK: "electrical shock",
    HardwareError.ENCODER: "an encoder error",
    HardwareError.INPUT_VOLTAGE: "an input voltage error",
}


class Level(enum.IntEnum):
    """Status of the motors; the values of MotorStates.level."""

    OK = 0
    WARN = 1
    FAULT = 2


@dataclass(frozen=True)
class Thresholds:
    """Limits of the motors' readings.

    Attributes:
        effort_limits: (6,) of the joints, in `effort_unit`. Only the gripper's temperature is checked, because the
            driver limits its force.
        overload_time: s for which an effort above its limit is allowed.
        load_warning: share of its effort limit that a joint may carry continuously, as the root mean square over
            `load_time_constant` s; below `load_recovery` the warning ends.
        temperature_warning: deg C at which a rest is due; the warning ends below `temperature_recovery`.
        temperature_limit: deg C at which motors switch themselves off.
        voltage_min, voltage_max: V, allowed range of the supply.
        timeout: s without an answer from a motor.
        cooling_time_constant: s, time constant of a resting motor's cooling.
    """

    effort_limits: tuple[float, ...]
    effort_unit: str
    overload_time: float = 0.5
    load_warning: float = 0.6
    load_recovery: float = 0.5
    load_time_constant: float = 30.0
    temperature_warning: float = 60.0
    temperature_recovery: float = 55.0
    temperature_limit: float = 72.0
    voltage_min: float = 11.0
    voltage_max: float = 14.8
    timeout: float = 3.0
    cooling_time_constant: float = 720.0

    def __post_init__(self) -> None:
        if len(self.effort_limits) != len(MOTOR_NAMES) - 1:
            raise ValueError(f"effort_limits needs six numbers, not {list(self.effort_limits)}")
        if not self.temperature_recovery <= self.temperature_warning <= self.temperature_limit:
            raise ValueError(
                f"motor_temperature_recovery <= motor_temperature_warning <= {self.temperature_limit:g} must hold, but "
                f"they are {self.temperature_recovery:g} and {self.temperature_warning:g} deg C"
            )

    def rest(self, temperature: float) -> float:
        """Minutes until a motor at a temperature (deg C) has cooled down: 20 if it starts where an XL430 trips."""
        above = max(temperature - _ROOM, _RESTED - _ROOM)
        return self.cooling_time_constant / 60.0 * math.log(above / (_RESTED - _ROOM))


WIDOWX = Thresholds(tuple(1.7 * effort for effort in (800.0, 1000.0, 600.0, 600.0, 600.0, 700.0)), "mA")
"""The real arm; see the top of this module."""
SIMULATED = Thresholds((9.5, 19.0, 14.25, 3.8, 4.75, 1.9), "N m", overload_time=2.0, cooling_time_constant=120.0)
"""The simulated arm: 0.95 of its actuators' maximum, and its motors' time constant. They are stronger than the real
ones and can't be damaged, so pushing an object is only a fault once it stalls them."""


@dataclass(frozen=True)
class Judgment:
    """Status of the motors, and one sentence: which motor, its value, what to do."""

    level: Level
    message: str


@dataclass
class _Track:
    """State of one motor between readings."""

    answered: float
    warm: bool = False
    strained: bool = False
    mean_square: float = 0.0
    over_since: float | None = None


@dataclass
class MotorHealth:
    """Judges a sequence of readings.

    Ages and durations are measured between the times when readings were first seen, not between their stamps: stamps
    come from the system clock, which may be set.
    """

    thresholds: Thresholds
    _tracks: dict[str, _Track] = field(default_factory=dict)
    _stamp: float | None = None
    _read: float = 0.0
    _supply_warned: bool = False

    def judge(self, motors: Motors, now: float) -> Judgment:
        """The most severe finding about the newest reading, which may have been judged before.

        Args:
            now: s for which joint states have arrived (see `StateUptime`); never decreases.
        """
        elapsed = self._time_since_last(motors.stamp, now)
        readings = {reading.name: reading for reading in motors.readings if reading.answers}
        findings = [self._all_silent(now - self._read), self._supply(readings)]
        findings += self._trips(readings)
        for k, name in enumerate(MOTOR_NAMES):
            track = self._tracks.setdefault(name, _Track(self._read))
            if name in readings:
                track.answered = self._read
                findings += [self._heat(track, readings[name]), self._effort(track, k, readings[name], elapsed)]
            else:
                findings.append(self._silent(name, self._read - track.answered))
        found = [finding for finding in findings if finding is not None]
        return max(found, key=lambda finding: finding.level, default=Judgment(Level.OK, "All motors are OK."))

    def _time_since_last(self, stamp: float, now: float) -> float:
        """s between a new reading, whose time is stored, and the previous one; 0 for a reading judged before."""
        if stamp == self._stamp:
            return 0.0
        elapsed = 0.0 if self._stamp is None else now - self._read
        self._stamp, self._read = stamp, now
        return elapsed

    def _all_silent(self, age: float) -> Judgment | None:
        if age <= self.thresholds.timeout:
            return None
        return Judgment(
            Level.FAULT, f"The motors were last read {age:.0f} s ago: check the driver, then clear the stop."
        )

    def _silent(self, name: str, age: float) -> Judgment | None:
        if age < self.thresholds.timeout:
            return None
        return Judgment(
            Level.FAULT,
            f"The {name} motor has not answered for {age:.0f} s: support the arm, check the motor's cable and run "
            "`ptr arm recover`.",
        )

    def _trips(self, readings: dict[str, MotorReading]) -> list[Judgment]:
        found = [Judgment(Level.FAULT, self._trip(reading)) for reading in readings.values() if reading.error]
        limp = [reading.name for reading in readings.values() if not reading.torque and not reading.error]
        if limp:
            some = f"the {_listed(limp)} motor{'s are' if len(limp) > 1 else ' is'}"
            who = "every motor is" if len(limp) == len(MOTOR_NAMES) else some
            found.append(Judgment(Level.FAULT, f"The torque of {who} off: {_RECOVER}."))
        return found

    def _trip(self, reading: MotorReading) -> str:
        why = " and ".join(text for bit, text in _TRIPS.items() if bit in reading.error) or f"error {reading.error:d}"
        if not reading.error & SHUTDOWN:
            value = f" at {reading.voltage:.1f} V" if HardwareError.INPUT_VOLTAGE in reading.error else ""
            return f"The {reading.name} motor reports {why}{value}: check cables and power supply, {_RECOVER}."
        wait = ""
        if HardwareError.OVERHEATING in reading.error:
            why += f" at {reading.temperature:.0f} deg C"
            wait = f", after about {self.thresholds.rest(reading.temperature):.0f} min of rest"
        return f"The {reading.name} motor tripped ({why}) and has no torque: {_RECOVER}{wait}."

    def _heat(self, track: _Track, reading: MotorReading) -> Judgment | None:
        temperature, limits = reading.temperature, self.thresholds
        if math.isnan(temperature):
            return None
        track.warm = temperature >= (limits.temperature_recovery if track.warm else limits.temperature_warning)
        if not track.warm:
            return None
        return Judgment(
            Level.WARN,
            f"The {reading.name} motor is at {temperature:.0f} deg C and trips at {limits.temperature_limit:.0f}: let "
            f"the arm rest in its sleep pose for about {limits.rest(temperature):.0f} min.",
        )

    def _effort(self, track: _Track, k: int, reading: MotorReading, elapsed: float) -> Judgment | None:
        limits = self.thresholds
        if k >= len(limits.effort_limits) or math.isnan(reading.effort):
            return None
        effort, limit = abs(reading.effort), limits.effort_limits[k]
        weight = 1.0 - math.exp(-elapsed / limits.load_time_constant)
        share = effort / limit if limit > 0.0 else math.inf
        track.mean_square += weight * (min(share, 2.0) ** 2 - track.mean_square)
        read = self._read
        track.over_since = None if effort <= limit else read if track.over_since is None else track.over_since
        if track.over_since is not None and read - track.over_since >= limits.overload_time:
            return Judgment(
                Level.FAULT,
                f"The {reading.name} motor pushes with {effort:.3g} {limits.effort_unit}, more than its limit of "
                f"{limit:.3g}: free the arm, then clear the stop.",
            )
        carried = math.sqrt(track.mean_square)
        track.strained = carried >= (limits.load_recovery if track.strained else limits.load_warning)
        if not track.strained:
            return None
        return Judgment(
            Level.WARN,
            f"The {reading.name} motor has carried {carried:.0%} of its limit for a while: let the arm rest in its "
            "sleep pose for a minute.",
        )

    def _supply(self, readings: dict[str, MotorReading]) -> Judgment | None:
        volts = [reading.voltage for reading in readings.values() if not math.isnan(reading.voltage)]
        if not volts:
            return None
        limits, margin = self.thresholds, 0.2 if self._supply_warned else 0.0
        low, high = min(volts), max(volts)
        self._supply_warned = low < limits.voltage_min + margin or high > limits.voltage_max - margin
        if not self._supply_warned:
            return None
        worst = low if low < limits.voltage_min + margin else high
        return Judgment(
            Level.WARN,
            f"The supply voltage is {worst:.1f} V; it should be {limits.voltage_min:g} to {limits.voltage_max:g} V: "
            "check the power supply and its cable.",
        )


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
