# SPDX-License-Identifier: Apache-2.0
"""Decides who is in command of the arm: human over policy, silence, hand-back and the latched stop.

A human takes over by sending a command with the deadman held, and hands back by releasing it. Meanwhile a second human
is refused. If a human falls silent without releasing, the link may be lost: policies are refused until a release,
`clear` or a move. Priority can't resolve a conflict between two policies, so both are refused until one has been silent
for the command timeout. Clearing a stop must not move the arm by itself: a source that held its deadman through the
stop, such as a policy that kept running, is refused until it has released it or fallen silent.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.gate.limits import Reason
from ptr_bringup.arm.model.kinematics import Array

_WHOLE_STEP = 0.75
"""Share of a command's validity. A later command of the same source is the next step; an earlier one replaces it."""
_MAX_DELAY = 0.1
"""Maximum delay of the next step, as a share of a command's validity: 20 ms at 5 Hz."""


class Mode(enum.IntEnum):
    """What the arm is doing; the values of ArmState.mode."""

    IDLE = 0
    TELEOP = 1
    POLICY = 2
    HOLD = 3
    PROTECTIVE_STOP = 4
    MOVING = 5


class Kind(enum.IntEnum):
    """Where a command comes from; a higher value has priority."""

    POLICY = 1
    HUMAN = 2


@dataclass(frozen=True)
class Command:
    """A velocity command (see ArmCommand.msg).

    Attributes:
        stamp: s, when its source decided.
        source: name of the source.
        twist: (6,) m/s along and rad/s about the axes of base_link.
        gripper: commanded opening, 0 closed to 1 open.
        deadman: true while the source is in command; false holds pose and gripper.
        valid_for: s, for how long the twist holds.
        problem: a clause that names an out-of-bounds field of the message; empty if there is none.
    """

    stamp: float
    source: str
    twist: Array
    gripper: float
    deadman: bool = True
    valid_for: float = 0.2
    problem: str = ""

    @property
    def finite(self) -> bool:
        """True when all of its numbers are finite."""
        return bool(np.isfinite(self.twist).all() and np.isfinite([self.stamp, self.gripper, self.valid_for]).all())


@dataclass(frozen=True)
class Timing:
    """Maximum ages and timeouts, in s.

    Attributes:
        max_command_age: of a command on arrival; a stamp in the future counts the same way.
        command_timeout: silence of the source in command after which the arm holds.
        joint_state_timeout: of the joint states.
    """

    max_command_age: float = 0.3
    command_timeout: float = 0.5
    joint_state_timeout: float = 0.25


class Arbiter:
    """Decides whose command is in force. It has no clock: the time in s is passed in."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.mode = Mode.IDLE
        self.command: Command | None = None
        self.stop_reason = ""
        self._kind: Kind | None = None
        self._previous: Command | None = None
        self._starts_at = 0.0
        self._arrival = 0.0
        self._awaits_release = False
        self._policies: dict[object, float] = {}
        self._sender: object = None
        self._held_until: dict[object, float] = {}

    @property
    def source(self) -> str:
        """Source of the command in force, empty when nobody commands."""
        return self.command.source if self.command is not None else ""

    def offer(
        self, kind: Kind, command: Command, now: float, age: float | None = None, publisher: object = None
    ) -> tuple[Reason, str]:
        """Put a command in force, or say why not.

        Args:
            age: s since its stamp, negative for a stamp in the future; None: `now` and the stamp share a clock.
            publisher: distinguishes senders of the same name; None: the name is enough.
        Returns:
            NONE and an empty string if the command was accepted. Releasing the deadman is always accepted.
        """
        sender = command.source if publisher is None else publisher
        held = command.finite and not command.problem and self._held_through_stop(command, now, sender)
        reason, detail = self._refusal(kind, command, now - command.stamp if age is None else age, sender)
        if not reason and held:
            reason, detail = (
                Reason.PREEMPTED,
                (
                    f"The command of {command.source or 'an unnamed source'} was refused: its deadman was held while "
                    "the arm was stopped; release it first, or end the policy's run and start another."
                ),
            )
        if not reason and kind is Kind.POLICY:
            reason, detail = self._conflicting_policies(command, now, sender)
        if reason:
            return reason, detail
        if not command.deadman:
            self._release(kind, command.source, sender)
            return Reason.NONE, ""
        if kind is Kind.HUMAN:
            self._awaits_release = False
        self._activate(command, now)
        self._sender = sender
        self._kind, self.mode = kind, Mode.TELEOP if kind is Kind.HUMAN else Mode.POLICY
        return Reason.NONE, ""

    def _refusal(self, kind: Kind, command: Command, age: float, sender: object) -> tuple[Reason, str]:
        who = f"The command of {command.source or 'an unnamed source'}"
        if self.mode is Mode.PROTECTIVE_STOP:
            return (
                Reason.STOPPED,
                f"{who} was refused: the arm is stopped ({self.stop_reason}); clear it first.",
            )
        if not command.finite:
            return Reason.NOT_FINITE, f"{who} was refused: it contains NaN or infinite numbers."
        if command.problem:
            return Reason.OUT_OF_RANGE, f"{who} was refused: {command.problem}."
        if abs(age) > self._timing.max_command_age:
            return Reason.STALE_COMMAND, (
                f"{who} was refused: it was {age:.3f} s old on arrival; "
                f"the maximum is {self._timing.max_command_age:.3f} s."
            )
        if not command.deadman:
            return Reason.NONE, ""
        if self._kind is Kind.HUMAN and (kind is not Kind.HUMAN or not self._holds(command.source, sender)):
            another = "another " if command.source == self.source else ""
            return Reason.PREEMPTED, f"{who} was refused: {another}{self.source} is in command."
        if kind is Kind.HUMAN:
            return Reason.NONE, ""
        if self._awaits_release:
            return Reason.PREEMPTED, (
                f"{who} was refused: the human fell silent without releasing the deadman; "
                "release it, clear the arm or move it to a pose."
            )
        if self.mode is Mode.MOVING:
            return Reason.PREEMPTED, f"{who} was refused: the arm is moving to a pose."
        return Reason.NONE, ""

    def _holds(self, source: str, sender: object) -> bool:
        """Is this sender in command? Two people with the same kind of device send under the same source name."""
        return source == self.source and sender == self._sender

    def _held_through_stop(self, command: Command, now: float, sender: object) -> bool:
        """Has a sender held its deadman continuously since the arm was stopped?"""
        held = command.deadman and (self.mode is Mode.PROTECTIVE_STOP or now <= self._held_until.get(sender, -math.inf))
        if held:
            self._held_until[sender] = self._timeout_at(command, now)
        else:
            self._held_until.pop(sender, None)
        return held

    def _timeout_at(self, command: Command, arrival: float) -> float:
        """Time (s) at which the sender counts as silent if no other command arrives."""
        return arrival + command.valid_for + self._timing.command_timeout

    def _conflicting_policies(self, command: Command, now: float, sender: object) -> tuple[Reason, str]:
        """Refuse all policies while more than one sends commands: it is unknown which one is right."""
        self._policies = {one: until for one, until in self._policies.items() if now <= until}
        if command.deadman:
            self._policies[sender] = now + self._timeout_of(command)
        else:
            self._policies.pop(sender, None)
        if not command.deadman or len(self._policies) < 2:
            return Reason.NONE, ""
        if self._kind is Kind.POLICY:
            self.drop()
        return Reason.PREEMPTED, (
            f"The command of {command.source or 'an unnamed source'} was refused: {len(self._policies)} policies "
            "command the arm at once; end all but one."
        )

    def _release(self, kind: Kind, source: str, sender: object) -> None:
        if kind is Kind.HUMAN and self._kind is kind and not self._holds(source, sender):
            return  # another sender's deadman
        if kind is Kind.HUMAN:
            self._awaits_release = False
        if self._kind is kind or (self.mode is Mode.HOLD and kind is Kind.HUMAN):
            self._deactivate(Mode.IDLE)

    def _deactivate(self, mode: Mode) -> None:
        """Switch to a mode in which no source is in command."""
        self.command, self._previous, self._kind, self.mode = None, None, None, mode

    def _timeout_of(self, command: Command) -> float:
        """s after a command's arrival at which its source counts as silent; no command is cut short."""
        return max(self._timing.command_timeout, command.valid_for)

    def check_timeout(self, now: float) -> None:
        """Hold if the source in command has fallen silent."""
        if self.command is not None and now - self._arrival > self._timeout_of(self.command):
            self._awaits_release = self._kind is Kind.HUMAN
            self._deactivate(Mode.HOLD)

    def twists(self, since: float, now: float) -> list[tuple[Array, float]]:
        """The twists in force during (since, now], each with its duration in s."""
        found = []
        if self._previous is not None:
            found.append((self._previous.twist, min(now, self._starts_at) - since))
        if self.command is not None:
            end = self._starts_at + self.command.valid_for
            found.append((self.command.twist, min(now, end) - max(since, self._starts_at)))
        return [(twist, held) for twist, held in found if held > 0.0]

    def _activate(self, command: Command, now: float) -> None:
        """Put a command in force: immediately, or after the last milliseconds of the previous step.

        A source that sends one command per step means each to last for all of `valid_for`: if the next one arrives a
        little early, it waits. If a source sends more often, each command replaces the previous one.
        """
        former, self._previous, starts_at = self.command, None, now
        if former is not None and former.source == command.source:
            early = self._starts_at + former.valid_for - now
            whole = command.stamp - former.stamp >= _WHOLE_STEP * former.valid_for
            if whole and early > 0.0:
                self._previous, starts_at = former, now + min(early, _MAX_DELAY * former.valid_for)
        self.command, self._starts_at, self._arrival = command, starts_at, now

    def stop(self, why: str) -> None:
        """Latch the stop."""
        if self.command is not None:
            self._held_until[self._sender] = self._timeout_at(self.command, self._arrival)
        self._deactivate(Mode.PROTECTIVE_STOP)
        self.stop_reason = why

    def clear(self) -> None:
        """Clear the latched stop, and the hold after a human fell silent."""
        self._awaits_release = False
        if self.mode in (Mode.PROTECTIVE_STOP, Mode.HOLD):
            self.mode, self.stop_reason = Mode.IDLE, ""

    def drop(self) -> None:
        """Drop the command in force; the next one is accepted again."""
        if self.command is not None:
            self._deactivate(Mode.IDLE)

    def start_move(self, now: float) -> str:
        """Reserve the arm for a move to a pose.

        Returns:
            Empty, or a sentence that says why the arm is not available.
        """
        if self.mode is Mode.PROTECTIVE_STOP:
            return f"The arm is stopped ({self.stop_reason}); clear it first."
        if self.mode is Mode.MOVING:
            return "The arm is already moving to a pose; cancel that move or wait until it ends."
        if self._kind is Kind.HUMAN and self.command is not None and now < self._starts_at + self.command.valid_for:
            return f"{self.source} is driving the arm; release the deadman first."
        self._deactivate(Mode.MOVING)
        self._awaits_release = False
        return ""

    def end_move(self) -> None:
        """End the move; a source that has taken over in the meantime stays in command."""
        if self.mode is Mode.MOVING:
            self.mode = Mode.IDLE
