# SPDX-License-Identifier: Apache-2.0
"""One running robot: state, images, motion, recording and policy runs, as calls that block until they are done."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from action_msgs.msg import GoalStatus
from numpy.typing import ArrayLike, NDArray
from rclpy.action import ActionClient

from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.messages import FRAME, MAX_VALID_FOR, pose_from, pose_message
from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.arm.remote import RemoteArm
from ptr_bringup.client.cameras import Cameras
from ptr_bringup.client.recording import Episode, Recorder
from ptr_bringup.ros.session import Caller, GoalClient, SessionError, connected
from ptr_bringup.ros.time import duration_from_seconds, seconds
from ptr_bringup.sim_ros.stage import Stage
from ptr_models.common import namespaces
from ptr_msgs.action import MoveTo, RunPolicy
from ptr_msgs.msg import ArmCommand, ArmState

FRESH = 0.5  # s since what arrived last, for the arm or a camera to count as there
HEARD = 5.0  # s within which the arm's state follows a stop or its release
RUN = 600.0  # s that a run of a policy may take
COMMAND_PERIOD = 0.1  # s between two commands that hold the gripper's opening
REACHED = 0.03  # of the gripper's opening
STILL = 0.5  # s without change after which fingers count as stopped, by an object perhaps


class NotReadyError(SessionError):
    """The robot is not complete; the message says what is missing."""


class RunResult(enum.Enum):
    """How a policy run ended."""

    COMPLETED = "completed"  # it made all its steps
    CANCELED = "canceled"  # the caller, or `until`, ended it
    FAULT = "fault"  # a silent camera, a stopped arm, a person who took over ...
    REFUSED = "refused"  # it never began


@dataclass(frozen=True)
class PolicyRun:
    """A policy run that has ended.

    Attributes:
        result: how.   message: why, one sentence.
        steps, held_steps: how many steps it had, and in how many of them the policy sent no action.
        mean_q: mean Q of its actions; NaN without steps.
    """

    result: RunResult
    message: str
    steps: int
    held_steps: int
    mean_q: float


@dataclass(frozen=True)
class RobotState:
    """The arm at one moment.

    Attributes:
        stamp: s, of the joint states.
        mode: IDLE, TELEOP, POLICY, HOLD, PROTECTIVE_STOP (until it is cleared) or MOVING.
        source: who commands; empty: nobody.
        pose: measured, of the end effector in base_link (m, rotation matrix).
        commanded_pose: the target that commands move.
        joint_positions: (6,) rad.   joint_velocities: (6,) rad/s.
        gripper, gripper_commanded: opening, 0 closed to 1 open.
    """

    stamp: float
    mode: Mode
    source: str
    pose: Pose
    commanded_pose: Pose
    joint_positions: NDArray[np.float64]
    joint_velocities: NDArray[np.float64]
    gripper: float
    gripper_commanded: float

    @classmethod
    def from_message(cls, message: ArmState) -> RobotState:
        """The same as plain data."""
        return cls(
            seconds(message.header.stamp),
            Mode(message.mode),
            message.source,
            pose_from(message.measured_pose),
            pose_from(message.commanded_pose),
            np.array(message.joint_positions),
            np.array(message.joint_velocities),
            message.gripper_position,
            message.commanded_gripper_position,
        )


class Robot:
    """The robot that a launch file has started, in this ROS domain.

        with Robot() as robot:
            robot.wait_until_ready()
            robot.move_to("start")

    Every motion passes the arm node's safety limits. A person who teleoperates goes before a program, as before a
    policy; a program and a policy that command at once are both refused.

    Args:
        name: of the node, and of the commands' source.
        namespace: of the robot, as its launch file got it, where the domain has several; None: what the environment
            variable PTR_NAMESPACE says, or none.
    Raises:
        ValueError: the namespace is none.
    Attributes:
        namespace: of the robot, empty: none.
        arm: torque, reboot and condition of the motors.
        stage: scenes of the simulator, and whether the task has succeeded.
    """

    def __init__(self, name: str = "program", namespace: str | None = None) -> None:
        self._name, self._exit = name, ExitStack()
        self.namespace = namespaces.checked(namespace)
        self._caller: Caller = self._exit.enter_context(connected(name, lambda caller: caller, self.namespace))
        node = self._caller.node
        self.arm, self.stage = RemoteArm(self._caller), Stage(self._caller)
        self._cameras, self._recorder = Cameras(self._caller), Recorder(self._caller)
        self._policy: ActionClient = GoalClient(node, RunPolicy, "run_policy")
        self._commands = node.create_publisher(ArmCommand, "policy/command", 10)
        self._caller.begin()

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave ROS. The arm holds where it is."""
        self._exit.close()

    def sleep(self, seconds: float) -> None:
        """Wait, in real time."""
        self._caller.sleep(seconds)

    # ------------------------------------------------------------------ what it is like
    def wait_until_ready(self, timeout: float = 30.0, cameras: Sequence[str] = ()) -> None:
        """Wait for the arm, for the named cameras, and until no stop is in force.

        Raises:
            NotReadyError: something is missing after `timeout` s; the message says what.
        """
        deadline = time.monotonic() + timeout
        while missing := self._missing(cameras):
            if time.monotonic() > deadline:
                raise NotReadyError(f"the robot is not ready after {timeout:g} s: {'; '.join(missing)}")
            self._caller.sleep(0.05)

    def _missing(self, cameras: Sequence[str]) -> list[str]:
        missing = []
        if self.arm.state_age > FRESH:
            missing.append(
                f"no {self._caller.named('arm/state')}; start robot.launch.xml, or set the ROS_DOMAIN_ID of its "
                "terminal here"
            )
        elif self._stopped():
            missing.append("the arm is stopped; see `ptr arm status`, then call robot.clear()")
        missing += [f"no image from camera {name!r}" for name in cameras if not self._cameras.arrived(name, FRESH)]
        return missing

    @property
    def state(self) -> RobotState:
        """The newest state of the arm.

        Raises:
            SessionError: none has arrived for 0.5 s, or ever within 10 s.
        """
        what = f"{self._caller.named('arm/state')}; is the arm node running?"
        self._caller.wait(lambda: self.arm.state is not None, what, 10.0)
        if (age := self.arm.state_age) > FRESH:
            raise SessionError(f"the arm's last state is {age:.1f} s old; is the arm node still running?")
        return RobotState.from_message(self.arm.state)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that publish now."""
        return self._cameras.names

    def image(self, camera: str = "", timeout: float = 5.0) -> NDArray[np.uint8]:
        """The next image of a camera (empty: the only one): (height, width, 3), RGB.

        Raises:
            SessionError: none arrives within `timeout` s.
        """
        return self._cameras.image(camera, timeout)

    # ------------------------------------------------------------------ motion
    def move_to(self, target: str | Pose, gripper: float | None = None, duration: float = 0.0) -> None:
        """Move slowly to `start`, `home`, `sleep` or a pose of the end effector in base_link.

        Args:
            gripper: opening at the end, 0 closed to 1 open; None: as it is.
            duration: s; 0: chosen from the distance and the speed limits.
        Raises:
            SessionError: it did not get there; the message says why. KeyboardInterrupt ends the move where it is.
        """
        opening = self.state.gripper_commanded if gripper is None else gripper
        goal = MoveTo.Goal(gripper_position=float(opening), duration=float(duration))
        if isinstance(target, str):
            goal.named_pose = target
        else:
            goal.pose = pose_message(target)
        if why := self.arm.reach(goal):
            raise SessionError(f"the arm did not get to {target}: {why}")

    def send_twist(
        self,
        linear: ArrayLike = (0.0, 0.0, 0.0),
        angular: ArrayLike = (0.0, 0.0, 0.0),
        gripper: float | None = None,
        duration: float = 0.2,
    ) -> None:
        """Command a velocity, which holds for `duration` s; returns at once. Send the next one before it is over.

        Args:
            linear: (3,) m/s along, and angular: (3,) rad/s about, the axes of base_link.
            gripper: opening, 0 closed to 1 open; None: as commanded before.
            duration: s, at most 1.
        Raises:
            ValueError: the duration is not in (0, 1], or a vector has not 3 numbers.
        """
        if not 0.0 < duration <= MAX_VALID_FOR:
            raise ValueError(f"duration is {duration} s; it must be above 0 and at most {MAX_VALID_FOR:g}")
        message = self._command(gripper)
        message.deadman = True
        message.valid_for = duration_from_seconds(duration)
        for vector, values in ((message.twist.linear, linear), (message.twist.angular, angular)):
            vector.x, vector.y, vector.z = np.asarray(values, dtype=np.float64).reshape(3).tolist()
        self._commands.publish(message)

    def release(self) -> None:
        """Give up command: the arm holds, and a policy may begin at once."""
        self._commands.publish(self._command(None))

    def _command(self, gripper: float | None) -> ArmCommand:
        message = ArmCommand(source=self._name)
        message.header.stamp = self._caller.node.get_clock().now().to_msg()
        message.header.frame_id = FRAME
        message.gripper_position = float(self.state.gripper_commanded if gripper is None else gripper)
        return message

    def gripper(self, opening: float, timeout: float = 5.0) -> float:
        """Open or close the gripper, until it is there or an object holds the fingers apart; returns the opening.

        Raises:
            SessionError: it still moves after `timeout` s.
        """
        deadline = time.monotonic() + timeout
        best, since = math.inf, time.monotonic()
        try:
            while time.monotonic() < deadline:
                self.send_twist(gripper=opening, duration=3 * COMMAND_PERIOD)
                self._caller.sleep(COMMAND_PERIOD)
                measured = self.state.gripper
                distance = abs(measured - opening)
                if distance <= REACHED or time.monotonic() - since > STILL:
                    return measured
                if distance < best - REACHED / 3:
                    best, since = distance, time.monotonic()
        finally:
            self.release()
        raise SessionError(f"the gripper still moves after {timeout:g} s: {self.state.gripper:.2f} of {opening:.2f}")

    def stop(self) -> None:
        """Stop the arm at once, until it is cleared; returns when its state says so."""
        self.arm.stop()
        self._caller.wait(self._stopped, "the arm to be stopped", HEARD)

    def clear(self) -> None:
        """Release the stop; nothing moves before a new command.

        Raises:
            SessionError: its cause lasts; the message says which.
        """
        self.arm.clear()
        self._caller.wait(lambda: not self._stopped(), "the arm to be cleared", HEARD)

    def _stopped(self) -> bool:
        return self.arm.state is not None and self.arm.state.mode == Mode.PROTECTIVE_STOP

    # ------------------------------------------------------------------ recording, policies
    def record(
        self,
        task: str,
        *,
        kind: str = "demonstration",
        instruction: str = "",
        operator: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> AbstractContextManager[Episode]:
        """Record an episode for the time of a `with` block.

            with robot.record("put_carrot_on_plate") as episode:
                ...
                episode.outcome = "success"

        An exception in the block ends the episode unlabelled; it is kept.

        Args:
            kind: demonstration, trial or practice.   instruction: the task in free words.
            operator: who drives.   metadata: further values, stored with the bag.
        Raises:
            SessionError: the recorder refuses, because a stream is silent for example.
        """
        return self._recorder.record(task, kind, instruction, operator, metadata or {})

    def run_policy(
        self,
        task: str,
        *,
        max_steps: int = 0,
        choice: str = "",
        until: Callable[[], bool] | None = None,
        on_step: Callable[[int, float], None] | None = None,
        timeout: float = RUN,
    ) -> PolicyRun:
        """Let the policy server act, and wait for the end.

        Args:
            task: that the policy is conditioned on.
            max_steps: 0: the checkpoint's episode length.
            choice: mode, sample, sample_gripper, argmax_q or softmax_q; empty: the server's.
            until: asked five times a second; the run is canceled once it returns true.
            on_step: called with each step's index and Q, from another thread.
            timeout: s, after which the run is canceled.
        Raises:
            SessionError: no policy server is active, or the run takes longer than `timeout`.
        """
        goal = RunPolicy.Goal(task=task, max_steps=max_steps, action_choice=choice)
        feedback = None if on_step is None else (lambda message: on_step(message.feedback.step, message.feedback.q))
        ended = self._caller.follow(self._policy, goal, "run_policy", timeout, until=until, feedback=feedback)
        if ended is None:
            return PolicyRun(RunResult.REFUSED, "the policy server refused the run", 0, 0, math.nan)
        result = ended.result
        kind = RunResult.COMPLETED if result.completed else RunResult.FAULT
        if ended.status == GoalStatus.STATUS_CANCELED:
            kind = RunResult.CANCELED
        elif not result.completed and not result.steps:
            kind = RunResult.REFUSED
        return PolicyRun(kind, result.message, result.steps, result.held_steps, float(result.mean_q))
