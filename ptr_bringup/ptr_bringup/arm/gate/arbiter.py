# SPDX-License-Identifier: Apache-2.0
"""Who is in command of the arm: human over policy, silence, hand-back and the latched stop.

A human takes over by sending a command with the deadman held, and hands back by releasing it; a second human is
refused meanwhile. A human who falls silent without releasing has perhaps lost the link: the policy stays out until a
release, `clear` or a move. Two policies at once are a mistake that nobody can settle by priority: both are refused
until one has been silent for the command timeout. Clearing a stop must not move the arm by itself: who held the deadman
meanwhile, as a policy that runs on does, is refused until it has released it or fallen silent.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.gate.limits import Reason
from ptr_bringup.arm.model.kinematics import Array

_WHOLE_STEP = 0.75
"""Share of its validity after which a command counts as followed by the next step, not replaced."""
_LONGEST_WAIT = 0.1
"""Share of a validity that the next step waits at most: 20 ms at 5 Hz."""


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
        problem: which field of its message is out of its bounds, a clause; empty: none.
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
        """True when every number of it is one."""
        return bool(np.isfinite(self.twist).all() and np.isfinite([self.stamp, self.gripper, self.valid_for]).all())


@dataclass(frozen=True)
class Timing:
    """How old things may be, in s.

    Attributes:
        max_command_age: of a command when it arrives; stamps from the future count alike.
        command_timeout: silence of the source in command after which the arm holds.
        joint_state_timeout: of the joint states.
    """

    max_command_age: float = 0.3
    command_timeout: float = 0.5
    joint_state_timeout: float = 0.25


class Arbiter:
    """Decides whose command is in force. It knows no clock: the time in s is passed in."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.mode = Mode.IDLE
        self.command: Command | None = None
        self.stop_reason = ""
        self._kind: Kind | None = None
        self._tail: Command | None = None
        self._begin = 0.0
        self._arrival = 0.0
        self._awaits_release = False
        self._policies: dict[object, float] = {}
        self._sender: object = None
        self._insisting: dict[object, float] = {}

    @property
    def source(self) -> str:
        """Source of the command in force, empty when nobody commands."""
        return self.command.source if self.command is not None else ""

    def offer(
        self, kind: Kind, command: Command, now: float, age: float | None = None, publisher: object = None
    ) -> tuple[Reason, str]:
        """Put a command in force, or say why not.

        Args:
            age: s since its stamp, negative for one from the future; None: now minus stamp, on one clock.
            publisher: tells senders of the same name apart; None: the name alone does.
        Returns:
            NONE and an empty sentence when it was taken (releasing the deadman counts as taken).
        """
        sender = command.source if publisher is None else publisher
        insists = command.finite and not command.problem and self._held_through_stop(command, now, sender)
        reason, detail = self._refusal(kind, command, now - command.stamp if age is None else age, sender)
        if not reason and insists:
            reason, detail = (
                Reason.PREEMPTED,
                (
                    f"The command of {command.source or 'an unnamed source'} was refused: it went on while the arm was "
                    "stopped; release its deadman first, or end the policy's run and begin another."
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
        self._enter(command, now)
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
            return Reason.NOT_FINITE, f"{who} was refused: it holds numbers that are not finite."
        if command.problem:
            return Reason.OUT_OF_RANGE, f"{who} was refused: {command.problem}."
        if abs(age) > self._timing.max_command_age:
            return Reason.STALE_COMMAND, (
                f"{who} was refused: it was {age:.3f} s old on arrival, "
                f"{self._timing.max_command_age:.3f} s are allowed."
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
                "release it, clear the arm or let it move to a pose."
            )
        if self.mode is Mode.MOVING:
            return Reason.PREEMPTED, f"{who} was refused: the arm is moving to a pose."
        return Reason.NONE, ""

    def _holds(self, source: str, sender: object) -> bool:
        """Is this who is in command? Two people may have the same kind of device, and so the same source."""
        return source == self.source and sender == self._sender

    def _held_through_stop(self, command: Command, now: float, sender: object) -> bool:
        """Has a sender held its deadman without a break since the arm was stopped?"""
        insists = command.deadman and (
            self.mode is Mode.PROTECTIVE_STOP or now <= self._insisting.get(sender, -math.inf)
        )
        if insists:
            self._insisting[sender] = self._silent_at(command, now)
        else:
            self._insisting.pop(sender, None)
        return insists

    def _silent_at(self, command: Command, arrival: float) -> float:
        """When the sender of a command counts as silent unless another one comes (s)."""
        return arrival + command.valid_for + self._timing.command_timeout

    def _conflicting_policies(self, command: Command, now: float, sender: object) -> tuple[Reason, str]:
        """Refuse every policy while more than one commands: nobody can tell which is the right one."""
        self._policies = {one: at for one, at in self._policies.items() if now - at <= self._timing.command_timeout}
        if command.deadman:
            self._policies[sender] = now
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
            return  # somebody else's deadman
        if kind is Kind.HUMAN:
            self._awaits_release = False
        if self._kind is kind or (self.mode is Mode.HOLD and kind is Kind.HUMAN):
            self._leave(Mode.IDLE)

    def _leave(self, mode: Mode) -> None:
        """Nobody is in command any more."""
        self.command, self._tail, self._kind, self.mode = None, None, None, mode

    def watch(self, now: float) -> None:
        """Hold when the source in command has fallen silent."""
        if self.command is not None and now - self._arrival > self._timing.command_timeout:
            self._awaits_release = self._kind is Kind.HUMAN
            self._leave(Mode.HOLD)

    def twists(self, since: float, now: float) -> list[tuple[Array, float]]:
        """The twists that held in (since, now], each with the seconds for which it did."""
        found = []
        if self._tail is not None:
            found.append((self._tail.twist, min(now, self._begin) - since))
        if self.command is not None:
            end = self._begin + self.command.valid_for
            found.append((self.command.twist, min(now, end) - max(since, self._begin)))
        return [(twist, held) for twist, held in found if held > 0.0]

    def _enter(self, command: Command, now: float) -> None:
        """Put a command in force: at once, or after the last milliseconds of the step before.

        A source that sends one command per step means each to hold for all of `valid_for`; when the next arrives
        a little early, it waits for the end. A source that sends more often than that replaces its
        commands.
        """
        former, self._tail, begin = self.command, None, now
        if former is not None and former.source == command.source:
            early = self._begin + former.valid_for - now
            whole = command.stamp - former.stamp >= _WHOLE_STEP * former.valid_for
            if whole and early > 0.0:
                self._tail, begin = former, now + min(early, _LONGEST_WAIT * former.valid_for)
        self.command, self._begin, self._arrival = command, begin, now

    def stop(self, why: str) -> None:
        """Latch the stop."""
        if self.command is not None:
            self._insisting[self._sender] = self._silent_at(self.command, self._arrival)
        self._leave(Mode.PROTECTIVE_STOP)
        self.stop_reason = why

    def clear(self) -> None:
        """Release the latched stop, and a human's unreleased silence."""
        self._awaits_release = False
        if self.mode in (Mode.PROTECTIVE_STOP, Mode.HOLD):
            self.mode, self.stop_reason = Mode.IDLE, ""

    def drop(self) -> None:
        """Forget the command in force; the next one counts again."""
        if self.command is not None:
            self._leave(Mode.IDLE)

    def begin_move(self, now: float) -> str:
        """Reserve the arm for a move to a pose.

        Returns:
            Empty, or a sentence that says who has the arm.
        """
        if self.mode is Mode.PROTECTIVE_STOP:
            return f"The arm is stopped ({self.stop_reason}); clear it first."
        if self.mode is Mode.MOVING:
            return "The arm is already moving to a pose; cancel that move or wait for its end."
        if self._kind is Kind.HUMAN and self.command is not None and now < self._begin + self.command.valid_for:
            return f"{self.source} is driving the arm; release the deadman first."
        self._leave(Mode.MOVING)
        self._awaits_release = False
        return ""

    def end_move(self) -> None:
        """The move is over; whoever took the arm meanwhile keeps it."""
        if self.mode is Mode.MOVING:
            self.mode = Mode.IDLE
