# SPDX-License-Identifier: Apache-2.0
"""The arm's gate as one object without ROS and without a clock.

`Gate` accepts commands and joint states and decides what to send to the driver. The arm node runs it at 50 Hz in real
time. For bulk simulation, the in-process robot runs it at its own step rate: twists are integrated over time, so the
outcome does not depend on the rate.
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
from ptr_bringup.arm.types import ArmStatus, CommandOutput, JointMeasurement, MoveReport, Output

_DISPLACED, _DISPLACED_FOR = 0.4, 0.25
"""rad and s. If a joint is this far from its command for this long, something else moved the arm: a hand, a sagging
motor or a new scene. The commanded pose is then reset to the measured one."""
_DISPLACED_UNSEEN, _UNSEEN_FOR = 0.1, 1.0
"""rad and s. After this long without joint states, the same happens at once: the arm got no commands in that time."""
_MAX_TICK = 0.25
"""s. A longer gap between two ticks (a busy or suspended machine) does not allow a larger motion."""


@dataclass
class _Arm:
    """What the gate knows about the arm once it has a joint state.

    Attributes:
        state: the newest usable joint state.
        measured: its end-effector pose.
        target: commanded end-effector pose.
        joints: (6,) rad, joint positions of the target.
        requested: the pose that the commands ask for; the limits turn it into the target.
    """

    state: JointMeasurement
    measured: Pose
    target: Pose
    joints: Array
    requested: Pose

    @classmethod
    def at_rest(cls, state: JointMeasurement) -> _Arm:
        """An arm whose commanded pose is its measured one."""
        joints = np.array(state.positions, dtype=float)
        pose = forward(joints)
        return cls(state, pose, pose, joints, pose)

    @property
    def gripper(self) -> float:
        """Measured opening, 0..1."""
        return min(max(gripper_from_finger(self.state.finger), 0.0), 1.0)


class Gate:
    """Every command of a human or a policy, and every move to a pose, passes through this object.

    Attributes:
        gripper: commanded opening, 0..1.
    """

    def __init__(self, limits: Limits | None = None, timing: Timing | None = None) -> None:
        self.limits = limits if limits is not None else Limits()
        self.timing = timing if timing is not None else Timing()
        self.arbiter = Arbiter(self.timing)
        self.gripper = 1.0
        self._arm: _Arm | None = None
        self._integrated_until = 0.0
        self._last_tick: float | None = None
        self._execution: TrajectoryExecution | None = None
        self._last_state_time = 0.0
        self._unseen_since: float | None = None
        self._reasons = ActiveReasons()
        self._following = FollowingErrorMonitor()
        self._last_on_track: float | None = None
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
        """Accept or refuse a command.

        Args:
            now: s, of the same clock as `tick`.
            age: s since its stamp; None: `now` and the stamp share a clock.
            publisher: distinguishes senders of the same name; None: the name is enough.
        Returns:
            Why it was changed or refused; NONE if it was accepted unchanged. `tick` reports the same.
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
        """Start a slow move to a pose inside the box (duration in s, 0: as the speed caps allow).

        Returns:
            Empty if the move has started, otherwise a sentence that says why not.
        Raises:
            MoveError: the arm can't go there.
        """
        arm = self._arm
        if arm is None:
            return "No joint state has arrived yet; is the driver running?"
        return self._start_move(plan_to_pose(arm.target, arm.joints, goal, gripper, duration, self.limits), now)

    def move_to_name(self, name: str, gripper: float, duration: float, now: float) -> str:
        """Start a slow move to the pose named `start`, `sleep` or `home`; otherwise like `move_to_pose`."""
        if self._arm is None:
            return "No joint state has arrived yet; is the driver running?"
        return self._start_move(plan_to_name(self._arm.joints, name, gripper, duration, self.limits), now)

    def _start_move(self, move: Move, now: float) -> str:
        refusal = self.arbiter.start_move(now)
        if not refusal:
            self._execution = TrajectoryExecution(move)
        return refusal

    def cancel_move(self) -> None:
        """End a move where it is."""
        self._execution = None
        self.arbiter.end_move()

    def stop(self, why: str) -> None:
        """Latch the stop: until `clear` the arm holds its measured pose and the gripper its command."""
        self.arbiter.stop(why)
        self._execution = None
        self.hold_here()

    def motor_fault(self, detail: str) -> None:
        """Latch the stop because of a motor fault. Call it repeatedly while the fault lasts, to update the detail.

        Args:
            detail: one sentence, or empty once the motors are healthy again; the stop stays until `clear`.
        """
        if detail and self.arbiter.mode is not Mode.PROTECTIVE_STOP:
            self.stop(detail.rstrip("."))
        if detail:
            self._latched |= Reason.MOTOR_FAULT
        elif self._motor_fault:
            self.hold_here()  # it may have sunk; it must not jump when torque returns
        self._motor_fault = detail

    def hold_here(self, gripper: bool = False) -> None:
        """Reset the commanded pose to the measured one, for example before torque returns to a limp arm.

        Args:
            gripper: also reset its opening. Needed if its motor was limp: fingers moved by hand must not snap back.
        """
        if self._arm is not None and gripper:
            self.synchronize(self._arm.state)
        elif self._arm is not None:
            self._reset_target(self._arm, self._arm.state.positions)

    def clear(self) -> str:
        """Clear the latched stop; nothing moves until the next command.

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
        """Hold after the system clock jumped by `jump` s: the age of commands is then unknown."""
        self.arbiter.drop()
        self.cancel_move()
        why = f"The system clock jumped by {jump:+.2f} s; the arm holds until the next command."
        self._reasons.report(Reason.STALE_COMMAND, "", why, now)

    def synchronize(self, state: JointMeasurement) -> None:
        """Reset commanded pose and gripper to the measured ones, for example after a reset of the simulated scene."""
        if self._arm is None:
            self._arm = _Arm.at_rest(state)
        self._reset_target(self._arm, state.positions)
        self.gripper = min(max(gripper_from_finger(state.finger), 0.0), 1.0)

    def tick(self, now: float, joint_state: JointMeasurement | None, age: float | None = None) -> Output:
        """Decide what to send now.

        Args:
            now: s, never decreases.
            joint_state: the newest, None before the first.
            age: s since its stamp; None: `now` and the stamp share a clock.
        """
        elapsed = 0.0 if self._last_tick is None else min(now - self._last_tick, _MAX_TICK)
        self._last_tick = now
        unusable = self._update_state(now, joint_state, age)
        arm = self._arm
        if unusable or arm is None:
            self._unseen_since = now if self._unseen_since is None else self._unseen_since
            return self._hold_without_state(now, elapsed, unusable)
        self._integrate(now)
        self.arbiter.check_timeout(now)
        notice = self._resync_if_displaced(arm, now)
        following = self._following.update(arm.joints, arm.state, now)
        if following is FollowingStatus.FROZEN:
            why = "The joint states repeat although the arm was commanded to move; the arm holds."
            held = self._hold_without_state(now, elapsed, why)
            return dataclasses.replace(held, joints=arm.joints)  # an arm that only stood still starts to move
        execution, requested = self._execution, arm.requested
        stuck = following is FollowingStatus.STUCK
        result = (
            self._follow_request(arm, elapsed)
            if execution is None
            else self._follow_move(arm, execution, elapsed, stuck)
        )
        if stuck:
            result = _reject_growing_error(arm, result)
        if result.joints is not None:
            arm.joints, arm.target = result.joints, result.target
        arm.requested = arm.target
        if result.reason:
            self._reasons.report(result.reason, self.arbiter.source, result.detail, now)
        report = None if execution is None else self._report_move(arm, execution, result, elapsed, stuck)
        output = self._output(now, result.reason, requested, report)
        return dataclasses.replace(output, notice=notice) if notice else output

    def _update_state(self, now: float, state: JointMeasurement | None, age: float | None) -> str:
        """Store a joint state; returns why it can't be used, or an empty string."""
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
        """Reset the commanded pose to the measured one if something else moved the arm; returns a notice, if any."""
        off = float(np.abs(arm.state.positions - arm.joints).max())
        unseen = self._unseen_since is not None and now - self._unseen_since > _UNSEEN_FOR
        self._unseen_since = None
        if (
            self._last_on_track is None
            or off <= (_DISPLACED_UNSEEN if unseen else _DISPLACED)
            or (self.arbiter.mode is Mode.PROTECTIVE_STOP and not unseen)  # it keeps its command while it sags
        ):
            self._last_on_track = now
        elif unseen:
            self._last_on_track = now - 2.0 * _DISPLACED_FOR
        if now - self._last_on_track <= _DISPLACED_FOR:
            return ""
        self._last_on_track = now
        self._reset_target(arm, arm.state.positions)
        if self.arbiter.mode is Mode.MOVING:
            self.arbiter.end_move()
        return f"A joint was {off:.2f} rad from its command; the arm continues from its measured position."

    def _follow_request(self, arm: _Arm, elapsed: float) -> LimitResult:
        if arm.requested is arm.target:
            return LimitResult(arm.joints, arm.target)
        return limit_pose(arm.requested, arm.target, arm.joints, self.limits, elapsed)

    def _follow_move(self, arm: _Arm, execution: TrajectoryExecution, elapsed: float, stuck: bool) -> LimitResult:
        if self.arbiter.mode is not Mode.MOVING:
            return self._follow_request(arm, elapsed)
        if stuck:
            return LimitResult(None, arm.target, Reason.MOTOR_FAULT, _how_far_behind(arm))
        requested = execution.advance(elapsed)
        return limit_joints(requested, forward(requested), arm.target, arm.joints, self.limits, elapsed)

    def _report_move(
        self, arm: _Arm, execution: TrajectoryExecution, result: LimitResult, elapsed: float, stuck: bool
    ) -> MoveReport:
        if self.arbiter.mode is not Mode.MOVING:
            return self._preempted_report(execution)
        if stuck:
            return self._pause_move(execution, elapsed, result.detail)
        if result.joints is None:
            self.cancel_move()
            return MoveReport(execution.progress, True, False, f"The gate ended the move: {result.detail}")
        if not execution.over:
            return MoveReport(execution.progress)
        self.gripper = execution.move.gripper
        report = execution.arrival(arm.measured, arm.state)
        if report.done:
            self.cancel_move()
        return report

    def _pause_move(self, execution: TrajectoryExecution, elapsed: float, why: str) -> MoveReport:
        report = execution.pause(elapsed, why)
        if report.done:
            self.cancel_move()
        return report

    def _preempted_report(self, execution: TrajectoryExecution) -> MoveReport:
        self._execution = None
        who = self.arbiter.source
        why = f"{who} took over the arm." if who else "The arm was not where it was commanded."
        return MoveReport(execution.progress, True, False, why)

    def _integrate(self, now: float) -> None:
        """Advance the requested pose up to `now` by the commands in force."""
        if self._arm is not None and self._execution is None:
            for twist, held in self.arbiter.twists(self._integrated_until, now):
                self._arm.requested = advance(self._arm.requested, twist, held)
        self._integrated_until = max(self._integrated_until, now)

    def _reset_target(self, arm: _Arm, positions: Array) -> None:
        arm.joints = np.array(positions, dtype=float)
        arm.target = arm.requested = forward(arm.joints)
        self._following.reset(arm.joints, arm.state)

    def _hold_without_state(self, now: float, elapsed: float, why: str) -> Output:
        """No usable joint state: send nothing, and discard the motion requested in the meantime."""
        self._integrate(now)
        self.arbiter.check_timeout(now)
        if self._arm is not None:
            self._arm.requested = self._arm.target
            self._reasons.report(Reason.STATE_TIMEOUT, self.arbiter.source, why, now)
        report, execution = None, self._execution
        if execution is not None:
            moving = self.arbiter.mode is Mode.MOVING
            report = self._pause_move(execution, elapsed, why) if moving else self._preempted_report(execution)
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
        executed = CommandOutput(self.arbiter.source, stamp, arm.target, self.gripper, arm.joints, reason)
        state = ArmStatus(
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


def _reject_growing_error(arm: _Arm, result: LimitResult) -> LimitResult:
    """The arm doesn't follow: its commanded pose may come closer to the measured one, but not move further away."""
    if result.joints is None or result.joints is arm.joints:
        return result
    measured = arm.state.positions
    if np.abs(result.joints - measured).max() <= np.abs(arm.joints - measured).max():
        return result
    return LimitResult(None, arm.target, result.reason | Reason.MOTOR_FAULT, _how_far_behind(arm))


def _how_far_behind(arm: _Arm) -> str:
    behind = np.abs(arm.joints - arm.state.positions)
    joint = JOINT_NAMES[int(behind.argmax())]
    return f"The {joint} is {behind.max():.3f} rad behind its command and no joint moves; the arm holds."
