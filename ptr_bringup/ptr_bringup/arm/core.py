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
from ptr_bringup.arm.following import Following, FollowWatch
from ptr_bringup.arm.integrator import advance
from ptr_bringup.arm.kinematics import JOINT_NAMES, Array, Pose, forward, gripper_from_finger
from ptr_bringup.arm.move import Move, plan_to_name, plan_to_pose
from ptr_bringup.arm.move_run import MoveRun
from ptr_bringup.arm.reports import Executed, JointState, MoveReport, Output, State
from ptr_bringup.arm.safety import Limits, Reason, Verdict, admit, admit_joints, cap_twist
from ptr_bringup.arm.standing import Standing

_LOST, _LOST_LASTS = 0.4, 0.25
"""rad and s. When a joint is so far from where it was commanded for so long, something else moved the arm,
such as a hand, a sagging motor or a new scene: the commanded pose becomes the measured one."""
_LOST_UNSEEN, _OUT_OF_SIGHT = 0.1, 1.0
"""rad and s. The same at once after the arm was out of sight for so long: it got no commands and stood still."""
_LONGEST_TICK = 0.25
"""s. A longer pause between two ticks (a busy or sleeping machine) allows no faster motion."""


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
        self._run: MoveRun | None = None
        self._last_state: JointState | None = None
        self._seen = 0.0
        self._unseen_since: float | None = None
        self._measured: Pose | None = None
        self._standing = Standing()
        self._following = FollowWatch()
        self._on_track: float | None = None
        self._motor_fault = ""
        self._latched = Reason.NONE

    @property
    def measured(self) -> Pose | None:
        """Measured end-effector pose, None until the first joint state."""
        return self._measured

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
            self._standing.note(reason, command.source, detail, now)
            return reason
        if not command.deadman:
            return Reason.NONE
        twist, reason, detail = cap_twist(command.twist, self.limits)
        self.arbiter.command = dataclasses.replace(command, twist=twist)
        self.gripper = min(max(command.gripper, 0.0), 1.0)
        if reason:
            self._standing.note(reason, command.source, detail, now)
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
            self._run = MoveRun(move)
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
        if detail and self.arbiter.mode is not Mode.FAULT:
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
        if self._last_state is not None and gripper:
            self.synchronise(self._last_state)
        elif self._last_state is not None:
            self._adopt(self._last_state.positions)

    def clear(self) -> str:
        """Release the latched stop; nothing moves before a new command.

        Returns:
            Empty, or a sentence that says why the arm stays stopped.
        """
        if self._motor_fault:
            return f"The arm stays stopped: {self._motor_fault}"
        if self.arbiter.mode is Mode.FAULT:
            self.hold_here()  # it may have sagged, or been moved by hand
        self.arbiter.clear()
        self._latched = Reason.NONE
        return ""

    def clock_jumped(self, jump: float, now: float) -> None:
        """Hold: after the system's clock jumped by some seconds nobody knows how old a command is."""
        self.arbiter.drop()
        self.cancel_move()
        why = f"The system's clock jumped by {jump:+.2f} s; the arm holds until the next command."
        self._standing.note(Reason.STALE_COMMAND, "", why, now)

    def synchronise(self, state: JointState) -> None:
        """Make the measured pose the commanded one, as after a reset of the simulated scene."""
        self._adopt(state.positions)
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
        unusable = self._look(now, joint_state, age)
        if unusable:
            self._unseen_since = now if self._unseen_since is None else self._unseen_since
            return self._blind(now, elapsed, unusable)
        self._integrate(now)
        self.arbiter.watch(now)
        notice = self._find_again(now)
        following = self._following.look(self.joints, self._last_state, now)
        if following is Following.FROZEN:
            why = "The joint states repeat themselves although the arm was commanded to move; the arm holds."
            held = self._blind(now, elapsed, why)
            return dataclasses.replace(held, joints=self.joints)  # if it only stood still, this gets it to move
        running = self._run is not None
        requested = self._wish
        stuck = following is Following.STUCK
        verdict = self._follow_move(elapsed, stuck) if running else self._follow_wish(elapsed)
        if stuck:
            verdict = self._unless_further(verdict)
        if verdict.joints is not None:
            self.joints, self.target = verdict.joints, verdict.target
        self._wish = self.target
        if verdict.reason:
            self._standing.note(verdict.reason, self.arbiter.source, verdict.detail, now)
        report = self._report_move(verdict, elapsed, stuck) if running else None
        output = self._output(now, verdict.reason, requested, report)
        return dataclasses.replace(output, notice=notice) if notice else output

    def _look(self, now: float, state: JointState | None, age: float | None) -> str:
        """Take a joint state; says why it can't be used."""
        if state is None or not state.finite:
            return f"The newest usable joint state is {now - self._seen:.2f} s old; the arm holds."
        age = now - state.stamp if age is None else age
        self._last_state, self._measured, self._seen = state, forward(state.positions), now - age
        if self.target is None:
            self.synchronise(state)
        if abs(age) > self.timing.state_age:
            return f"The newest usable joint state is {age:.2f} s old; the arm holds."
        return ""

    def _find_again(self, now: float) -> str:
        """Make the measured pose the commanded one when the arm has lost it; says so."""
        positions = self._last_state.positions
        off = float(np.abs(positions - self.joints).max())
        unseen = self._unseen_since is not None and now - self._unseen_since > _OUT_OF_SIGHT
        self._unseen_since = None
        if self._on_track is None or off <= (_LOST_UNSEEN if unseen else _LOST) or self.arbiter.mode is Mode.FAULT:
            self._on_track = now
        elif unseen:
            self._on_track = now - 2.0 * _LOST_LASTS
        if now - self._on_track <= _LOST_LASTS:
            return ""
        self._on_track = now
        self._adopt(positions)
        if self.arbiter.mode is Mode.MOVING:
            self.arbiter.end_move()
        return f"A joint was {off:.2f} rad from where it was commanded; the arm goes on from where it is."

    def _unless_further(self, verdict: Verdict) -> Verdict:
        """The arm doesn't follow: let its commanded pose come nearer to the measured one, but not run away."""
        if verdict.joints is None or verdict.joints is self.joints:
            return verdict
        measured = self._last_state.positions
        if np.abs(verdict.joints - measured).max() <= np.abs(self.joints - measured).max():
            return verdict
        return Verdict(None, self.target, verdict.reason | Reason.MOTOR_FAULT, self._how_far_behind())

    def _how_far_behind(self) -> str:
        behind = np.abs(self.joints - self._last_state.positions)
        joint = JOINT_NAMES[int(behind.argmax())]
        return f"The {joint} is {behind.max():.3f} rad behind its command and no joint moves; the arm holds."

    def _follow_wish(self, elapsed: float) -> Verdict:
        if self._wish is self.target:
            return Verdict(self.joints, self.target)
        return admit(self._wish, self.target, self.joints, self.limits, elapsed)

    def _follow_move(self, elapsed: float, stuck: bool) -> Verdict:
        if self.arbiter.mode is not Mode.MOVING:
            return self._follow_wish(elapsed)
        if stuck:
            return Verdict(None, self.target, Reason.MOTOR_FAULT, self._how_far_behind())
        wish = self._run.advance(elapsed)
        return admit_joints(wish, forward(wish), self.target, self.joints, self.limits, elapsed)

    def _report_move(self, verdict: Verdict, elapsed: float, stuck: bool) -> MoveReport:
        run = self._run
        if self.arbiter.mode is not Mode.MOVING:
            return self._taken_over()
        if stuck:
            return self._pause_move(elapsed, verdict.detail)
        if verdict.joints is None:
            self.cancel_move()
            return MoveReport(run.progress, True, False, f"The gate ended the move: {verdict.detail}")
        if not run.over:
            return MoveReport(run.progress)
        self.gripper = run.move.gripper
        report = run.arrival(self._measured, self._last_state)
        if report.done:
            self.cancel_move()
        return report

    def _pause_move(self, elapsed: float, why: str) -> MoveReport:
        report = self._run.pause(elapsed, why)
        if report.done:
            self.cancel_move()
        return report

    def _taken_over(self) -> MoveReport:
        run, self._run = self._run, None
        who = self.arbiter.source
        why = f"{who} took the arm over." if who else "The arm was not where it was commanded."
        return MoveReport(run.progress, True, False, why)

    def _integrate(self, now: float) -> None:
        """Advance the wish by the commands in force, up to now."""
        if self._wish is not None and self._run is None:
            for twist, held in self.arbiter.twists(self._integrated, now):
                self._wish = advance(self._wish, twist, held)
        self._integrated = max(self._integrated, now)

    def _adopt(self, positions: Array) -> None:
        self.joints = np.array(positions, dtype=float)
        self.target = self._wish = forward(self.joints)
        if self._last_state is not None:
            self._following.begin(self.joints, self._last_state)

    def _blind(self, now: float, elapsed: float, why: str) -> Output:
        """No usable joint state: send nothing, forget what was wished meanwhile."""
        self._integrate(now)
        self.arbiter.watch(now)
        self._wish = self.target
        if self._last_state is not None:
            self._standing.note(Reason.STALE_STATE, self.arbiter.source, why, now)
        report = None
        if self._run is not None:
            moving = self.arbiter.mode is Mode.MOVING
            report = self._pause_move(elapsed, why) if moving else self._taken_over()
        output = self._output(now, Reason.STALE_STATE, self.target, report)
        return dataclasses.replace(output, joints=None, executed=None)

    def _output(self, now: float, reason: Reason, requested: Pose | None, report: MoveReport | None) -> Output:
        if self.target is None:
            return Output(None, self.gripper, None, None, (), report)
        if self.arbiter.mode is Mode.FAULT:
            why = f"The arm is stopped: {self.arbiter.stop_reason}."
            self._standing.note(Reason.STOPPED | self._latched, "", why, now, lasts=0.0)
        if self.arbiter.mode is Mode.HOLD:
            why = "The source in command fell silent; the arm holds."
            self._standing.note(Reason.SILENT, "", why, now, lasts=0.0)
        events = self._standing.changes(requested or self.target, self.target, now)
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
