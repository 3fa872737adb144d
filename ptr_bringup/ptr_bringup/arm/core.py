# SPDX-License-Identifier: Apache-2.0
"""The arm's gate as one object without ROS and without a clock.

`ArmCore` takes commands and joint states and says what to send to the driver. The arm node runs it at 50 Hz
of real time, the in-process robot of bulk simulation at whatever rate it steps: twists are integrated over
time, so the outcome does not depend on the rate.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ptr_bringup.arm.arbiter import Arbiter, Command, Kind, Mode, Timing
from ptr_bringup.arm.integrator import advance
from ptr_bringup.arm.kinematics import Array, Pose, forward, gripper_from_finger, rotation_vector
from ptr_bringup.arm.move import Move, plan_to_name, plan_to_pose
from ptr_bringup.arm.reports import Executed, JointState, MoveReport, Output, SafetyChange, State
from ptr_bringup.arm.safety import Limits, Reason, Verdict, admit, admit_joints, bits, cap_twist

_REASON_LASTS = 0.5
"""s. A reason is reported for so long after it last held: a 5 Hz refusal does not flicker at 50 Hz."""
_ARRIVED_POSITION, _ARRIVED_ROTATION, _ARRIVED_GRIPPER = 0.015, 0.1, 0.1
"""m, rad and opening: a move has arrived when the measured pose is that near its goal."""
_LOST, _LOST_LASTS = 0.4, 0.25
"""rad and s. When a joint is so far from where it was commanded for so long, something else moved the arm,
such as a hand, a sagging motor or a new scene: the commanded pose becomes the measured one."""
_LONGEST_TICK = 0.25
"""s. A longer pause between two ticks (a sleeping machine, a jump of the clock) allows no faster motion."""
_SETTLING = 1.5
"""s that a move waits at its end for the measured pose; the gripper may be held open by an object."""


class ArmCore:
    """The one gate: every command, of a human or of a policy, and every move to a pose passes here.

    Attributes:
        target: commanded end-effector pose, None until the first joint state.
        joints: (6,) rad, its joint positions.
        gripper: commanded opening, 0..1.
    """

    def __init__(self, limits: Limits | None = None, timing: Timing | None = None) -> None:
        self.limits = limits if limits is not None else Limits()
        self.timing = timing if timing is not None else Timing()
        self.arbiter = Arbiter(self.timing)
        self.target: Pose | None = None
        self.joints: Array = np.zeros(6)
        self.gripper = 1.0
        self._wish: Pose | None = None
        self._integrated = 0.0
        self._ticked: float | None = None
        self._move: Move | None = None
        self._move_began = 0.0
        self._last_state: JointState | None = None
        self._measured: Pose | None = None
        self._reasons: dict[Reason, tuple[float, str, str]] = {}
        self._reported = Reason.NONE
        self._on_track: float | None = None
        self._motor_fault = ""
        self._latched = Reason.NONE

    @property
    def measured(self) -> Pose | None:
        """Measured end-effector pose, None until the first joint state."""
        return self._measured

    def command(self, kind: Kind, command: Command, now: float) -> Reason:
        """Take a command, or refuse it.

        Returns:
            Why it was changed or refused; NONE when it was taken as it is. The same is reported by `tick`.
        """
        self._integrate(now)
        reason, detail = self.arbiter.offer(kind, command, now)
        if reason:
            self._note(reason, command.source, detail, now)
            return reason
        if not command.deadman:
            return Reason.NONE
        twist, reason, detail = cap_twist(command.twist, self.limits)
        self.arbiter.command = dataclasses.replace(command, twist=twist)
        self.gripper = min(max(command.gripper, 0.0), 1.0)
        if reason:
            self._note(reason, command.source, detail, now)
        return reason

    def move_to_pose(self, goal: Pose, gripper: float, duration: float, now: float) -> str:
        """Begin a slow move to a pose inside the box (duration in s, 0: as the speed caps allow).

        Returns:
            Empty when it has begun, otherwise a sentence that says who has the arm.
        Raises:
            MoveError: the arm can't go there.
        """
        if self.target is None:
            return "No joint state has arrived yet; is the driver running?"
        move = plan_to_pose(self.target, self.joints, goal, gripper, duration, self.limits)
        return self._begin(move, now)

    def move_to_name(self, name: str, gripper: float, duration: float, now: float) -> str:
        """Begin a slow move to the pose named `start`, `sleep` or `home`; otherwise as `move_to_pose`."""
        if self.target is None:
            return "No joint state has arrived yet; is the driver running?"
        return self._begin(plan_to_name(self.joints, name, gripper, duration, self.limits), now)

    def _begin(self, move: Move, now: float) -> str:
        taken = self.arbiter.begin_move(now)
        if not taken:
            self._move, self._move_began = move, now
        return taken

    def cancel_move(self) -> None:
        """End a move where it is."""
        self._move = None
        self.arbiter.end_move()

    def stop(self, why: str) -> None:
        """Latch the stop: until `clear` the arm holds its measured pose and the gripper its command."""
        self.arbiter.stop(why)
        self._move = None
        self.hold_here()

    def motor_fault(self, detail: str) -> None:
        """Latch the stop because a motor has failed. To be called as long as it has; later calls change the detail.

        Args:
            detail: one sentence, or empty when the motors are well again: the stop stays until `clear`.
        """
        if detail and self.arbiter.mode is not Mode.FAULT:
            self.stop(detail.rstrip("."))
        if detail:
            self._latched |= Reason.MOTOR_FAULT
        elif self._motor_fault:
            self.hold_here()  # it has sunk meanwhile; it must not jump when it holds again
        self._motor_fault = detail

    def hold_here(self) -> None:
        """Make the measured pose the commanded one, as before torque returns to an arm that was limp."""
        if self._last_state is not None:
            self._adopt(self._last_state.positions)

    def clear(self) -> str:
        """Release the latched stop; nothing moves before a new command.

        Returns:
            Empty, or a sentence that says why the arm stays stopped.
        """
        if self._motor_fault:
            return f"The arm stays stopped: {self._motor_fault}"
        self.arbiter.clear()
        self._latched = Reason.NONE
        return ""

    def synchronise(self, state: JointState) -> None:
        """Make the measured pose the commanded one, as after a reset of the simulated scene."""
        self._adopt(state.positions)
        self.gripper = min(max(gripper_from_finger(state.finger), 0.0), 1.0)

    def tick(self, now: float, joint_state: JointState | None) -> Output:
        """Decide what to send now.

        Args:
            now: s, never less than before.
            joint_state: the newest, None when none has arrived yet.
        """
        if joint_state is None or not joint_state.finite:
            return self._blind(now)
        self._last_state, self._measured = joint_state, forward(joint_state.positions)
        if self.target is None:
            self.synchronise(joint_state)
        if now - joint_state.stamp > self.timing.state_age:
            return self._blind(now)
        self._integrate(now)
        self.arbiter.watch(now)
        elapsed = 0.0 if self._ticked is None else min(now - self._ticked, _LONGEST_TICK)
        self._ticked = now
        notice = self._find_again(joint_state, now)
        moving = self._move is not None
        requested = self._wish
        verdict = self._follow_move(now, elapsed) if moving else self._follow_wish(elapsed)
        if verdict.joints is not None:
            self.joints, self.target = verdict.joints, verdict.target
        self._wish = self.target
        if verdict.reason:
            self._note(verdict.reason, self.arbiter.source, verdict.detail, now)
        report = self._report_move(now, verdict) if moving else None
        output = self._output(now, verdict.reason, requested, report)
        return dataclasses.replace(output, notice=notice) if notice else output

    def _find_again(self, state: JointState, now: float) -> str:
        """Make the measured pose the commanded one when the arm has lost it; says so."""
        off = float(np.abs(state.positions - self.joints).max())
        if self._on_track is None or off <= _LOST:
            self._on_track = now
        if now - self._on_track <= _LOST_LASTS:
            return ""
        self._on_track = now
        self._adopt(state.positions)
        if self.arbiter.mode is Mode.MOVING:
            self.arbiter.end_move()
        return f"A joint was {off:.2f} rad from where it was commanded; the arm goes on from where it is."

    def _follow_wish(self, elapsed: float) -> Verdict:
        if self._wish is self.target:
            return Verdict(self.joints, self.target)
        return admit(self._wish, self.target, self.joints, self.limits, elapsed)

    def _follow_move(self, now: float, elapsed: float) -> Verdict:
        if self.arbiter.mode is not Mode.MOVING:
            return self._follow_wish(elapsed)
        wish = self._move.joints(now - self._move_began)
        return admit_joints(wish, forward(wish), self.target, self.joints, self.limits, elapsed)

    def _report_move(self, now: float, verdict: Verdict) -> MoveReport:
        move, elapsed = self._move, now - self._move_began
        progress = min(1.0, elapsed / move.duration)
        if self.arbiter.mode is not Mode.MOVING:
            self._move = None
            who = self.arbiter.source
            why = f"{who} took the arm over." if who else "The arm was not where it was commanded."
            return MoveReport(progress, True, False, why)
        if verdict.joints is None:
            self.cancel_move()
            return MoveReport(progress, True, False, f"The gate ended the move: {verdict.detail}")
        if elapsed < move.duration:
            return MoveReport(progress)
        self.gripper = move.gripper
        off = float(np.linalg.norm(self._measured.position - move.goal.position))
        turned = float(np.linalg.norm(rotation_vector(self._measured.rotation @ move.goal.rotation.T)))
        there = off < _ARRIVED_POSITION and turned < _ARRIVED_ROTATION
        gripper = gripper_from_finger(self._last_state.finger)
        overtime = elapsed > move.duration + _SETTLING
        if not overtime and not (there and abs(gripper - move.gripper) < _ARRIVED_GRIPPER):
            return MoveReport(progress)
        self.cancel_move()
        if there:
            return MoveReport(1.0, True, True, "The arm is there.")
        return MoveReport(1.0, True, False, f"The arm ended {off:.3f} m and {turned:.2f} rad away from the goal.")

    def _integrate(self, now: float) -> None:
        """Advance the wish by the commands in force, up to now."""
        if self._wish is not None and self._move is None:
            for twist, held in self.arbiter.twists(self._integrated, now):
                self._wish = advance(self._wish, twist, held)
        self._integrated = max(self._integrated, now)

    def _adopt(self, positions: Array) -> None:
        self.joints = np.array(positions, dtype=float)
        self.target = self._wish = forward(self.joints)

    def _blind(self, now: float) -> Output:
        """No usable joint state: send nothing, forget what was wished meanwhile."""
        self._integrate(now)
        self.arbiter.watch(now)
        self._ticked, self._wish = now, self.target
        if self._last_state is not None:
            age = now - self._last_state.stamp
            why = f"The newest usable joint state is {age:.2f} s old; the arm holds."
            self._note(Reason.STALE_STATE, self.arbiter.source, why, now)
        report = None
        if self._move is not None:
            self.cancel_move()
            report = MoveReport(0.0, True, False, "The move was ended: the joint states are too old.")
        output = self._output(now, Reason.STALE_STATE, self.target, report)
        return dataclasses.replace(output, joints=None, executed=None)

    def _note(self, reason: Reason, source: str, detail: str, now: float) -> None:
        for bit in bits(reason):
            self._reasons[bit] = (now + _REASON_LASTS, source, detail)

    def _current_reasons(self, now: float) -> Reason:
        if self.arbiter.mode is Mode.FAULT:
            for bit in bits(Reason.STOPPED | self._latched):
                self._reasons[bit] = (now, "", f"The arm is stopped: {self.arbiter.stop_reason}.")
        if self.arbiter.mode is Mode.HOLD:
            self._reasons[Reason.SILENT] = (now, "", "The source in command fell silent; the arm holds.")
        self._reasons = {bit: entry for bit, entry in self._reasons.items() if entry[0] >= now}
        total = Reason.NONE
        for bit in self._reasons:
            total |= bit
        return total

    def _changes(self, current: Reason, requested: Pose) -> tuple[SafetyChange, ...]:
        if current == self._reported:
            return ()
        new = [entry for bit, entry in self._reasons.items() if bit & ~self._reported]
        _, source, detail = (new or list(self._reasons.values()) or [(0.0, "", "Back to normal.")])[-1]
        self._reported = current
        return (SafetyChange(current, source, detail, requested, self.target),)

    def _output(self, now: float, reason: Reason, requested: Pose | None, report: MoveReport | None) -> Output:
        if self.target is None:
            return Output(None, self.gripper, None, None, (), report)
        events = self._changes(self._current_reasons(now), requested or self.target)
        command = self.arbiter.command
        stamp = command.stamp if command is not None else 0.0
        state = self._last_state
        executed = Executed(self.arbiter.source, stamp, self.target, self.gripper, self.joints, reason)
        arm = State(
            state.stamp,
            self.arbiter.mode,
            self.arbiter.source,
            self._measured,
            self.target,
            state,
            min(max(gripper_from_finger(state.finger), 0.0), 1.0),
            self.gripper,
        )
        return Output(self.joints, self.gripper, executed, arm, events, report)
