# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in the simulator on request, and what is wrong now. No ROS and no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptr_bringup.arm.motors.readings import MOTOR_NAMES
from ptr_bringup.sim.cameras import CAMERAS

CLEAR = "clear"
"""Name that ends every fault."""
CLOCK_JUMP = "clock_jump"
"""Name of the fault that concerns the simulator's clock."""


class FaultError(ValueError):
    """A fault can't be injected as asked; the message says why and what is known."""


@dataclass(frozen=True)
class Kind:
    """One way to go wrong.

    Attributes:
        effect: what happens, one sentence.
        targets: what it can concern, empty: it has no target.
        target: the one that is meant when none is given; empty: all.
        value: its strength when none is given, None: it has none.
        low, high: range of the strength.
        strength: what its strength means.
        unit: of the strength.
        once: it happens and is over: what it leaves behind is mended where it lies, at the motors for instance.
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
    "joint_states_frozen": Kind("Joint states arrive with new stamps, but their values stay."),
    "joint_states_nan": Kind("A joint's position is not a number.", MOTOR_NAMES[:-1], "elbow"),
    "joint_states_late": Kind("Joint states arrive late.", value=0.5, low=0.01, high=10.0, strength="delay", unit="s"),
    "commands_lost": Kind("Joint commands do not reach the motors, as when the serial cable is out."),
    "image_gone": Kind("No image arrives.", CAMERAS, CAMERAS[0]),
    "image_frozen": Kind("The same image arrives again and again, with new stamps.", CAMERAS, CAMERAS[0]),
    "image_dark": Kind("Images are dark.", CAMERAS, CAMERAS[0], 0.02, 0.0, 1.0, "brightness"),
    "image_torn": Kind(
        "Images break off: packets of the camera's JPEG are lost, and its decoder fills the rest with grey.",
        CAMERAS, CAMERAS[0], 0.5, 0.05, 0.95, "share that arrives",
    ),
    "image_slow": Kind("Images come rarely.", CAMERAS, CAMERAS[0], 2.0, 0.1, 60.0, "rate", "Hz"),
    "overload": Kind("A motor trips by overload and goes limp.", MOTOR_NAMES, "shoulder", once=True),
    "overheating": Kind(
        "A motor gets too hot, trips and goes limp.", MOTOR_NAMES, "shoulder", 76.0, 72.5, 100.0,
        "temperature", "deg C", once=True,
    ),
    "warm": Kind(
        "A motor gets warm.", MOTOR_NAMES, "shoulder", 62.0, 26.0, 72.0, "temperature", "deg C", once=True
    ),
    "torque_lost": Kind("Somebody switches the torque off.", MOTOR_NAMES, once=True),
    "voltage_low": Kind("The supply's voltage drops.", value=9.0, low=0.0, high=12.0, strength="voltage", unit="V"),
    CLOCK_JUMP: Kind(
        "The simulated time jumps; needs a simulator that publishes /clock (its speed is not 1).",
        value=5.0, low=-3600.0, high=3600.0, strength="by", unit="s", once=True,
    ),
    "encoder": Kind("A motor's encoder reports an error; the motor goes on holding.", MOTOR_NAMES, "elbow", once=True),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """A fault in force.

    Attributes:
        target: empty where its kind has none, or concerns all.
        value: its strength, NaN where its kind has none.
        until: s, when it ends by itself; infinite: with `clear`.
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
    """What is wrong now: at most one fault of each kind, with a last one replacing the one before."""

    def __init__(self) -> None:
        self._active: dict[str, Fault] = {}

    def inject(self, name: str, target: str, value: float, duration: float, now: float) -> Fault:
        """Put a fault in force at `now` (s).

        Args:
            target: motor, joint or camera; empty: the kind's own.
            value: its strength; NaN: the kind's own.
            duration: s after which it ends by itself; 0: it lasts until `clear`.
        Raises:
            FaultError: no such fault, target or strength.
        """
        kind = KINDS.get(name)
        if kind is None:
            raise FaultError(f"There is no fault {name!r}; known: {', '.join(KINDS)} and {CLEAR}.")
        if not (math.isfinite(duration) and duration >= 0.0):
            raise FaultError(f"A fault's duration is 0 (until {CLEAR}) or a number of seconds, not {duration:g}.")
        until = now + duration if duration > 0.0 else math.inf
        fault = Fault(name, _target(name, kind, target), _strength(name, kind, value), until)
        if not kind.once:
            self._active[name] = fault
        return fault

    def clear(self) -> None:
        """End every fault."""
        self._active.clear()

    def expire(self, now: float) -> None:
        """End those whose time is over."""
        self._active = {name: fault for name, fault in self._active.items() if now < fault.until}

    def get(self, name: str) -> Fault | None:
        """The fault of that name while it is in force."""
        return self._active.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._active

    def summary(self) -> str:
        """What is in force, one sentence; empty when nothing is."""
        return f"Injected: {', '.join(map(str, self._active.values()))}." if self._active else ""


def _target(name: str, kind: Kind, target: str) -> str:
    if not target:
        return kind.target
    if not kind.targets:
        raise FaultError(f"{name} has no target; leave out {target!r}.")
    if target not in kind.targets:
        raise FaultError(f"{name} can't concern {target!r}; it can concern {', '.join(kind.targets)}.")
    return target


def _strength(name: str, kind: Kind, value: float) -> float:
    if math.isnan(value):
        return math.nan if kind.value is None else kind.value
    if kind.value is None:
        raise FaultError(f"{name} has no strength; leave out the value {value:g}.")
    if not kind.low <= value <= kind.high:
        raise FaultError(f"{name} takes a {kind.strength} of {kind.low:g} to {kind.high:g} {kind.unit}, not {value:g}.")
    return value
