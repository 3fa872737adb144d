# SPDX-License-Identifier: Apache-2.0
"""The arm's gate as one object without ROS and without a clock.

`Gate` takes commands and joint states and says what to send to the driver. The arm node runs it at 50 Hz
of real time, the in-process robot of bulk simulation at whatever rate it steps: twists are integrated over
time, so the outcome does not depend on the rate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.gate.arbiter import Arbiter, Command, Kind, Mode, Timing
from ptr_bringup.arm.gate.following_error import FollowingErrorMonitor, FollowingStatus
from ptr_bringup.arm.gate.limits import LimitResult, Limits, Reason, cap_twist, limit_joints, limit_pose
from ptr_bringup.arm.gate.safety_events import ActiveReasons
from ptr_bringup.arm.model.kinematics import JOINT_NAMES, Array, Pose, advance, forward, gripper_from_finger
from ptr_bringup.arm.motion.trajectory import Move, plan_to_name, plan_to_pose
from ptr_bringup.arm.motion.trajectory_execution import TrajectoryExecution
from ptr_bringup.arm.types import Executed, JointState, MoveReport, Output, State

_DISPLACED, _DISPLACED_FOR = 0.4, 0.25
"""rad and s. When a joint is so far from where it was commanded for so long, something else moved the arm,
such as a hand, a sagging motor or a new scene: the commanded pose becomes the measured one."""
_DISPLACED_UNSEEN, _UNSEEN_FOR = 0.1, 1.0
"""rad and s. The same at once after the arm was out of sight for so long: it got no commands and stood still."""
_LONGEST_TICK = 0.25
"""s. A longer pause between two ticks (a busy or sleeping machine) allows no faster motion."""


@dataclass
class _Arm:
    """What the gate knows of the arm from its first joint state on.

    Attributes:
        state: the newest usable one.
        measured: its end-effector pose.
        target: commanded end-effector pose.
        joints: (6,) rad, joint positions of the target.
        requested: the pose that the commands ask for; what the gate admits of it becomes the target.
    """

    state: JointState
    measured: Pose
    target: Pose
    joints: Array
    requested: Pose

    @classmethod
    def at_rest(cls, state: JointState) -> _Arm:
        """Commanded to be where it is."""
        joints = np.array(state.positions, dtype=float)
        pose = forward(joints)
        return cls(state, pose, pose, joints, pose)

    @property
    def gripper(self) -> float:
        """Measured opening, 0..1."""
        return min(max(gripper_from_finger(self.state.finger), 0.0), 1.0)


class Gate:
    """The one gate: every command, of a human or of a policy, and every move to a pose passes here.

    Attributes:
        gripper: commanded opening, 0..1.
    """

    def __init__(self, limits: Limits | None = None, timing: Timing | None = None) -> None:
        self.limits = limits if limits is not None else Limits()
        self.timing = timing if timing is not None else Timing()
        self.arbiter = Arbiter(self.timing)
        self.gripper = 1.0
        self._arm: _Arm | None = None
        self._integrated = 0.0
        self._ticked: float | None = None
        self._run: TrajectoryExecution | None = None
        self._last_state_time = 0.0
        self._unseen_since: float | None = None
        self._reasons = ActiveReasons()
        self._following = FollowingErrorMonitor()
        self._on_track: float | None = None
        self._motor_fault = ""
        self._latched = Reason.NONE

    @property
    def target(self) -> Pose | None:
        """Commanded end-effector pose, None until the first joint state."""
        return None if self._arm is None else self._arm.target

    @property
    def joints(self) -> Array:
        """(6,) rad, joint positions of the target; zeros until the first joint state."""
        return np.zeros(6) if self._arm is None else self._arm.joints

    @property
    def measured(self) -> Pose | None:
        """Measured end-effector pose, None until the first joint state."""
        return None if self._arm is None else self._arm.measured

    def command(
        self, kind: Kind, command: Command, now: float, age: float | None = None, publisher: object = None
    ) -> Reason:
        """Take a command, or refuse it.

        Args:
            now: s, of the same clock as `tick`.
            age: s since its stamp; None: now minus stamp, where both are of one clock.
            publisher: tells senders of the same name apart; None: the name alone does.
        Returns:
            Why it was changed or refused; NONE when it was taken as it is. The same is reported by `tick`.
        """
        self._integrate(now)
        reason, detail = self.arbiter.offer(kind, command, now, age, publisher)
        if reason:
            self._reasons.report(reason, command.source, detail, now)
            return reason
        if not command.deadman:
            return Reason.NONE
        twist, reason, detail = cap_twist(command.twist, self.limits)
        self.arbiter.command = dataclasses.replace(command, twist=twist)
        self.gripper = min(max(command.gripper, 0.0), 1.0)
        if reason:
            self._reasons.report(reason, command.source, detail, now)
        return reason

    def move_to_pose(self, goal: Pose, gripper: float, duration: float, now: float) -> str:
        """Begin a slow move to a pose inside the box (duration in s, 0: as the speed caps allow).

        Returns:
            Empty when it has begun, otherwise a sentence that says who has the arm.
        Raises:
            MoveError: the arm can't go there.
        """
        arm = self._arm
        if arm is None:
            return "No joint state has arrived yet; is the driver running?"
        return self._begin(plan_to_pose(arm.target, arm.joints, goal, gripper, duration, self.limits), now)

    def move_to_name(self, name: str, gripper: float, duration: float, now: float) -> str:
        """Begin a slow move to the pose named `start`, `sleep` or `home`; otherwise as `move_to_pose`."""
        if self._arm is None:
            return "No joint state has arrived yet; is the driver running?"
        return self._begin(plan_to_name(self._arm.joints, name, gripper, duration, self.limits), now)

    def _begin(self, move: Move, now: float) -> str:
        taken = self.arbiter.begin_move(now)
        if not taken:
            self._run = TrajectoryExecution(move)
        return taken

    def cancel_move(self) -> None:
        """End a move where it is."""
        self._run = None
        self.arbiter.end_move()

    def stop(self, why: str) -> None:
        """Latch the stop: until `clear` the arm holds its measured pose and the gripper its command."""
        self.arbiter.stop(why)
        self._run = None
        self.hold_here()

    def motor_fault(self, detail: str) -> None:
        """Latch the stop because a motor has failed. To be called as long as it has; later calls change the detail.

        Args:
            detail: one sentence, or empty when the motors are well again: the stop stays until `clear`.
        """
        if detail and self.arbiter.mode is not Mode.PROTECTIVE_STOP:
            self.stop(detail.rstrip("."))
        if detail:
            self._latched |= Reason.MOTOR_FAULT
        elif self._motor_fault:
            self.hold_here()  # it has sunk meanwhile; it must not jump when it holds again
        self._motor_fault = detail

    def hold_here(self, gripper: bool = False) -> None:
        """Make the measured pose the commanded one, as before torque returns to an arm that was limp.

        Args:
            gripper: its opening too, if its motor was limp: fingers that somebody has moved must not snap back.
        """
        if self._arm is not None and gripper:
            self.synchronize(self._arm.state)
        elif self._arm is not None:
            self._reset_target(self._arm, self._arm.state.positions)

    def clear(self) -> str:
        """Release the latched stop; nothing moves before a new command.

        Returns:
            Empty, or a sentence that says why the arm stays stopped.
        """
        if self._motor_fault:
            return f"The arm stays stopped: {self._motor_fault}"
        if self.arbiter.mode is Mode.PROTECTIVE_STOP:
            self.hold_here()  # it may have sagged, or been moved by hand
        self.arbiter.clear()
        self._latched = Reason.NONE
        return ""

    def clock_jumped(self, jump: float, now: float) -> None:
        """Hold: after the system's clock jumped by some seconds nobody knows how old a command is."""
        self.arbiter.drop()
        self.cancel_move()
        why = f"The system's clock jumped by {jump:+.2f} s; the arm holds until the next command."
        self._reasons.report(Reason.STALE_COMMAND, "", why, now)

    def synchronize(self, state: JointState) -> None:
        """Make the measured pose the commanded one, as after a reset of the simulated scene."""
        if self._arm is None:
            self._arm = _Arm.at_rest(state)
        self._reset_target(self._arm, state.positions)
        self.gripper = min(max(gripper_from_finger(state.finger), 0.0), 1.0)

    def tick(self, now: float, joint_state: JointState | None, age: float | None = None) -> Output:
        """Decide what to send now.

        Args:
            now: s, never less than before.
            joint_state: the newest, None when none has arrived yet.
            age: s since its stamp; None: now minus stamp, where both are of one clock.
        """
        elapsed = 0.0 if self._ticked is None else min(now - self._ticked, _LONGEST_TICK)
        self._ticked = now
        unusable = self._update_state(now, joint_state, age)
        arm = self._arm
        if unusable or arm is None:
            self._unseen_since = now if self._unseen_since is None else self._unseen_since
            return self._hold_without_state(now, elapsed, unusable)
        self._integrate(now)
        self.arbiter.watch(now)
        notice = self._resync_if_displaced(arm, now)
        following = self._following.update(arm.joints, arm.state, now)
        if following is FollowingStatus.FROZEN:
            why = "The joint states repeat themselves although the arm was commanded to move; the arm holds."
            held = self._hold_without_state(now, elapsed, why)
            return dataclasses.replace(held, joints=arm.joints)  # if it only stood still, this gets it to move
        run, requested = self._run, arm.requested
        stuck = following is FollowingStatus.STUCK
        verdict = self._follow_wish(arm, elapsed) if run is None else self._follow_move(arm, run, elapsed, stuck)
        if stuck:
            verdict = _reject_growing_error(arm, verdict)
        if verdict.joints is not None:
            arm.joints, arm.target = verdict.joints, verdict.target
        arm.requested = arm.target
        if verdict.reason:
            self._reasons.report(verdict.reason, self.arbiter.source, verdict.detail, now)
        report = None if run is None else self._report_move(arm, run, verdict, elapsed, stuck)
        output = self._output(now, verdict.reason, requested, report)
        return dataclasses.replace(output, notice=notice) if notice else output

    def _update_state(self, now: float, state: JointState | None, age: float | None) -> str:
        """Take a joint state; says why it can't be used."""
        if state is None or not state.finite:
            return f"The newest usable joint state is {now - self._last_state_time:.2f} s old; the arm holds."
        age = now - state.stamp if age is None else age
        self._last_state_time = now - age
        if self._arm is None:
            self.synchronize(state)
        else:
            self._arm.state, self._arm.measured = state, forward(state.positions)
        if abs(age) > self.timing.joint_state_timeout:
            return f"The newest usable joint state is {age:.2f} s old; the arm holds."
        return ""

    def _resync_if_displaced(self, arm: _Arm, now: float) -> str:
        """Make the measured pose the commanded one when the arm has lost it; says so."""
        off = float(np.abs(arm.state.positions - arm.joints).max())
        unseen = self._unseen_since is not None and now - self._unseen_since > _UNSEEN_FOR
        self._unseen_since = None
        if (
            self._on_track is None
            or off <= (_DISPLACED_UNSEEN if unseen else _DISPLACED)
            or self.arbiter.mode is Mode.PROTECTIVE_STOP
        ):
            self._on_track = now
        elif unseen:
            self._on_track = now - 2.0 * _DISPLACED_FOR
        if now - self._on_track <= _DISPLACED_FOR:
            return ""
        self._on_track = now
        self._reset_target(arm, arm.state.positions)
        if self.arbiter.mode is Mode.MOVING:
            self.arbiter.end_move()
        return f"A joint was {off:.2f} rad from where it was commanded; the arm goes on from where it is."

    def _follow_wish(self, arm: _Arm, elapsed: float) -> LimitResult:
        if arm.requested is arm.target:
            return LimitResult(arm.joints, arm.target)
        return limit_pose(arm.requested, arm.target, arm.joints, self.limits, elapsed)

    def _follow_move(self, arm: _Arm, run: TrajectoryExecution, elapsed: float, stuck: bool) -> LimitResult:
        if self.arbiter.mode is not Mode.MOVING:
            return self._follow_wish(arm, elapsed)
        if stuck:
            return LimitResult(None, arm.target, Reason.MOTOR_FAULT, _how_far_behind(arm))
        requested = run.advance(elapsed)
        return limit_joints(requested, forward(requested), arm.target, arm.joints, self.limits, elapsed)

    def _report_move(
        self, arm: _Arm, run: TrajectoryExecution, verdict: LimitResult, elapsed: float, stuck: bool
    ) -> MoveReport:
        if self.arbiter.mode is not Mode.MOVING:
            return self._taken_over(run)
        if stuck:
            return self._pause_move(run, elapsed, verdict.detail)
        if verdict.joints is None:
            self.cancel_move()
            return MoveReport(run.progress, True, False, f"The gate ended the move: {verdict.detail}")
        if not run.over:
            return MoveReport(run.progress)
        self.gripper = run.move.gripper
        report = run.arrival(arm.measured, arm.state)
        if report.done:
            self.cancel_move()
        return report

    def _pause_move(self, run: TrajectoryExecution, elapsed: float, why: str) -> MoveReport:
        report = run.pause(elapsed, why)
        if report.done:
            self.cancel_move()
        return report

    def _taken_over(self, run: TrajectoryExecution) -> MoveReport:
        self._run = None
        who = self.arbiter.source
        why = f"{who} took the arm over." if who else "The arm was not where it was commanded."
        return MoveReport(run.progress, True, False, why)

    def _integrate(self, now: float) -> None:
        """Advance the requested pose by the commands in force, up to now."""
        if self._arm is not None and self._run is None:
            for twist, held in self.arbiter.twists(self._integrated, now):
                self._arm.requested = advance(self._arm.requested, twist, held)
        self._integrated = max(self._integrated, now)

    def _reset_target(self, arm: _Arm, positions: Array) -> None:
        arm.joints = np.array(positions, dtype=float)
        arm.target = arm.requested = forward(arm.joints)
        self._following.begin(arm.joints, arm.state)

    def _hold_without_state(self, now: float, elapsed: float, why: str) -> Output:
        """No usable joint state: send nothing, forget what was wished meanwhile."""
        self._integrate(now)
        self.arbiter.watch(now)
        if self._arm is not None:
            self._arm.requested = self._arm.target
            self._reasons.report(Reason.STATE_TIMEOUT, self.arbiter.source, why, now)
        report, run = None, self._run
        if run is not None:
            moving = self.arbiter.mode is Mode.MOVING
            report = self._pause_move(run, elapsed, why) if moving else self._taken_over(run)
        output = self._output(now, Reason.STATE_TIMEOUT, self.target, report)
        return dataclasses.replace(output, joints=None, executed=None)

    def _output(self, now: float, reason: Reason, requested: Pose | None, report: MoveReport | None) -> Output:
        arm = self._arm
        if arm is None:
            return Output(None, self.gripper, None, None, (), report)
        if self.arbiter.mode is Mode.PROTECTIVE_STOP:
            why = f"The arm is stopped: {self.arbiter.stop_reason}."
            self._reasons.report(Reason.STOPPED | self._latched, "", why, now, lasts=0.0)
        if self.arbiter.mode is Mode.HOLD:
            why = "The source in command fell silent; the arm holds."
            self._reasons.report(Reason.COMMAND_TIMEOUT, "", why, now, lasts=0.0)
        events = self._reasons.poll(requested or arm.target, arm.target, now)
        command = self.arbiter.command
        stamp = command.stamp if command is not None else 0.0
        executed = Executed(self.arbiter.source, stamp, arm.target, self.gripper, arm.joints, reason)
        state = State(
            arm.state.stamp,
            self.arbiter.mode,
            self.arbiter.source,
            arm.measured,
            arm.target,
            arm.state,
            arm.gripper,
            self.gripper,
        )
        return Output(arm.joints, self.gripper, executed, state, events, report)


def _reject_growing_error(arm: _Arm, verdict: LimitResult) -> LimitResult:
    """The arm doesn't follow: let its commanded pose come nearer to the measured one, but not run away."""
    if verdict.joints is None or verdict.joints is arm.joints:
        return verdict
    measured = arm.state.positions
    if np.abs(verdict.joints - measured).max() <= np.abs(arm.joints - measured).max():
        return verdict
    return LimitResult(None, arm.target, verdict.reason | Reason.MOTOR_FAULT, _how_far_behind(arm))


def _how_far_behind(arm: _Arm) -> str:
    behind = np.abs(arm.joints - arm.state.positions)
    joint = JOINT_NAMES[int(behind.argmax())]
    return f"The {joint} is {behind.max():.3f} rad behind its command and no joint moves; the arm holds."
