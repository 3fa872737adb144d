# SPDX-License-Identifier: Apache-2.0
"""The faults that can be injected into the simulator, and those that are active. No ROS and no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptr_bringup.arm.motors.readings import MOTOR_NAMES
from ptr_bringup.sim.cameras import CAMERAS

CLEAR = "clear"
"""Name of the request that ends every fault."""
CLOCK_JUMP = "clock_jump"
"""Name of the fault of the simulator's clock."""


class FaultError(ValueError):
    """An invalid fault request; the message says why and what is known."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        effect: what happens, one sentence.
        targets: possible targets; empty if it has none.
        target: default target; empty: all.
        value: default strength; None if it has none.
        low, high: range of the strength.
        strength: meaning of the strength.
        unit: of the strength.
        once: a momentary event, whose effects must be repaired where they are, for example at the motors.
    """

    effect: str
    targets: tuple[str, ...] = ()
    target: str = ""
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    strength: str = ""
    unit: str = ""
    once: bool = False


KINDS: dict[str, Kind] = {
    "joint_states_gone": Kind("No joint states arrive."),
    "joint_states_frozen": Kind("Joint states arrive with new stamps, but their values don't change."),
    "joint_states_nan": Kind("A joint's position is not a number.", MOTOR_NAMES[:-1], "elbow"),
    "joint_states_late": Kind("Joint states arrive late.", value=0.5, low=0.01, high=10.0, strength="delay", unit="s"),
    "commands_lost": Kind("Joint commands do not reach the motors, as with an unplugged serial cable."),
    "image_gone": Kind("No images arrive.", CAMERAS, CAMERAS[0]),
    "image_frozen": Kind("The same image arrives repeatedly, with new stamps.", CAMERAS, CAMERAS[0]),
    "image_dark": Kind("Images are dark.", CAMERAS, CAMERAS[0], 0.02, 0.0, 1.0, "brightness"),
    "image_torn": Kind(
        "Images are cut off: packets of the camera's JPEG are lost, and its decoder fills the rest with gray.",
        CAMERAS, CAMERAS[0], 0.5, 0.05, 0.95, "share that arrives",
    ),
    "image_slow": Kind("Images arrive at a low rate.", CAMERAS, CAMERAS[0], 2.0, 0.1, 60.0, "rate", "Hz"),
    "overload": Kind("A motor trips from overload and goes limp.", MOTOR_NAMES, "shoulder", once=True),
    "overheating": Kind(
        "A motor gets too hot, trips and goes limp.", MOTOR_NAMES, "shoulder", 76.0, 72.5, 100.0,
        "temperature", "deg C", once=True,
    ),
    "warm": Kind(
        "A motor gets warm.", MOTOR_NAMES, "shoulder", 62.0, 26.0, 72.0, "temperature", "deg C", once=True
    ),
    "torque_lost": Kind("The torque is switched off.", MOTOR_NAMES, once=True),
    "voltage_low": Kind("The supply voltage drops.", value=9.0, low=0.0, high=12.0, strength="voltage", unit="V"),
    CLOCK_JUMP: Kind(
        "The simulated time jumps; needs a simulator that publishes /clock (its speed is not 1).",
        value=5.0, low=-3600.0, high=3600.0, strength="by", unit="s", once=True,
    ),
    "encoder": Kind("A motor's encoder reports an error; the motor keeps its torque.", MOTOR_NAMES, "elbow", once=True),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """An active fault.

    Attributes:
        target: empty if its kind has none, or if it affects all of them.
        value: its strength, NaN if its kind has none.
        until: s, time at which it ends by itself; infinite: at `clear`.
    """

    name: str
    target: str
    value: float
    until: float

    def __str__(self) -> str:
        kind = KINDS[self.name]
        value = "" if math.isnan(self.value) else f" ({kind.strength} {self.value:g} {kind.unit}".rstrip() + ")"
        return f"{self.name}{' of ' + self.target if self.target else ''}{value}"


class Faults:
    """The active faults: at most one of each kind; a new one replaces the previous one."""

    def __init__(self) -> None:
        self._active: dict[str, Fault] = {}

    def inject(self, name: str, target: str, value: float, duration: float, now: float) -> Fault:
        """Activate a fault at `now` (s).

        Args:
            target: motor, joint or camera; empty: the kind's default.
            value: its strength; NaN: the kind's default.
            duration: s after which it ends by itself; 0: it lasts until `clear`.
        Raises:
            FaultError: invalid fault, target or strength.
        """
        kind = KINDS.get(name)
        if kind is None:
            raise FaultError(f"unknown fault {name!r}; known: {', '.join(KINDS)} and {CLEAR}")
        if not (math.isfinite(duration) and duration >= 0.0):
            raise FaultError(f"a fault's duration is 0 (until {CLEAR}) or a number of seconds, not {duration:g}")
        until = now + duration if duration > 0.0 else math.inf
        fault = Fault(name, _target(name, kind, target), _strength(name, kind, value), until)
        if not kind.once:
            self._active[name] = fault
        return fault

    def clear(self) -> None:
        """End every fault."""
        self._active.clear()

    def expire(self, now: float) -> None:
        """End the faults whose duration is over."""
        self._active = {name: fault for name, fault in self._active.items() if now < fault.until}

    def get(self, name: str) -> Fault | None:
        """The fault of that name while it is active."""
        return self._active.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._active

    def summary(self) -> str:
        """The active faults as a sentence; empty if there are none."""
        return f"Injected: {', '.join(map(str, self._active.values()))}." if self._active else ""


def _target(name: str, kind: Kind, target: str) -> str:
    if not target:
        return kind.target
    if not kind.targets:
        raise FaultError(f"{name} has no target; remove {target!r}")
    if target not in kind.targets:
        raise FaultError(f"{name} can't target {target!r}; possible targets: {', '.join(kind.targets)}")
    return target


def _strength(name: str, kind: Kind, value: float) -> float:
    if math.isnan(value):
        return math.nan if kind.value is None else kind.value
    if kind.value is None:
        raise FaultError(f"{name} has no strength; remove the value {value:g}")
    if not kind.low <= value <= kind.high:
        raise FaultError(f"{name} takes a {kind.strength} of {kind.low:g} to {kind.high:g} {kind.unit}, not {value:g}")
    return value
