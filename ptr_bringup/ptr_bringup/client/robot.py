# SPDX-License-Identifier: Apache-2.0
"""A running robot: state, images, motion, recording and policy runs, as blocking calls."""

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

MAX_AGE = 0.5  # s since the last message for the arm or a camera to count as available
STOP_TIMEOUT = 5.0  # s within which the arm's state must show a stop or its clearing
RUN_TIMEOUT = 600.0  # s that a policy run may take
COMMAND_PERIOD = 0.1  # s between two commands of the gripper's opening
OPENING_TOLERANCE = 0.03
SETTLED_AFTER = 0.5  # s without progress after which the fingers count as stopped, for example by an object


class NotReadyError(SessionError):
    """The robot is not ready; the message says what is missing."""


class RunResult(enum.Enum):
    """How a policy run ended."""

    COMPLETED = "completed"  # all steps were executed
    CANCELED = "canceled"  # by the caller or by `until`
    FAULT = "fault"  # a silent camera, a stopped arm, a person who took over ...
    REFUSED = "refused"  # it never started


@dataclass(frozen=True)
class PolicyRun:
    """A policy run that has ended.

    Attributes:
        result: how it ended.   message: why, one sentence.
        steps, held_steps: number of steps, and of those in which the policy sent no action.
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
        source: the source in command; empty if none is.
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
        """Convert from an ArmState message."""
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
    """The robot in this ROS domain, started by a launch file.

        with Robot() as robot:
            robot.wait_until_ready()
            robot.move_to("start")

    The arm node's safety limits apply to every motion. A teleoperating person has priority over a program, as over a
    policy. If a program and a policy send commands at the same time, both are refused.

    Args:
        name: of the node, and of the commands' source.
        namespace: of the robot, as given to its launch file, if the domain has several; None: the value of the
            environment variable PTR_NAMESPACE, or none.
    Raises:
        ValueError: the namespace is invalid.
    Attributes:
        namespace: of the robot; empty if none.
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
        """Shut down the connection. The arm holds its pose."""
        self._exit.close()

    def sleep(self, seconds: float) -> None:
        """Wait, in real time."""
        self._caller.sleep(seconds)

    # ------------------------------------------------------------------ state
    def wait_until_ready(self, timeout: float = 30.0, cameras: Sequence[str] = ()) -> None:
        """Wait for the arm and the named cameras, and until the arm is not stopped.

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
        if self.arm.state_age > MAX_AGE:
            missing.append(
                f"no {self._caller.named('arm/state')}; start robot.launch.xml, or set the ROS_DOMAIN_ID of its "
                "terminal here"
            )
        elif self._stopped():
            missing.append("the arm is stopped; see `ptr arm status`, then call robot.clear()")
        missing += [f"no image from camera {name!r}" for name in cameras if not self._cameras.arrived(name, MAX_AGE)]
        return missing

    @property
    def state(self) -> RobotState:
        """The newest state of the arm.

        Raises:
            SessionError: none has arrived within 10 s, or the newest is older than 0.5 s.
        """
        what = f"{self._caller.named('arm/state')}; is the arm node running?"
        self._caller.wait(lambda: self.arm.state is not None, what, 10.0)
        if (age := self.arm.state_age) > MAX_AGE:
            raise SessionError(f"the arm's last state is {age:.1f} s old; is the arm node still running?")
        return RobotState.from_message(self.arm.state)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that publish now."""
        return self._cameras.names

    def image(self, camera: str = "", timeout: float = 5.0) -> NDArray[np.uint8]:
        """The next image of a camera (may be empty if there is only one): (height, width, 3), RGB.

        Raises:
            SessionError: none arrives within `timeout` s.
        """
        return self._cameras.image(camera, timeout)

    # ------------------------------------------------------------------ motion
    def move_to(self, target: str | Pose, gripper: float | None = None, duration: float = 0.0) -> None:
        """Move slowly to `start`, `home`, `sleep` or a pose of the end effector in base_link.

        Args:
            gripper: opening at the end, 0 closed to 1 open; None: unchanged.
            duration: s; 0: chosen from the distance and the speed limits.
        Raises:
            SessionError: the arm did not reach the target; the message says why. A KeyboardInterrupt ends the move
                where it is.
        """
        opening = self.state.gripper_commanded if gripper is None else gripper
        goal = MoveTo.Goal(gripper_position=float(opening), duration=float(duration))
        if isinstance(target, str):
            goal.named_pose = target
        else:
            goal.pose = pose_message(target)
        if why := self.arm.reach(goal):
            raise SessionError(f"the arm did not reach {target}: {why}")

    def send_twist(
        self,
        linear: ArrayLike = (0.0, 0.0, 0.0),
        angular: ArrayLike = (0.0, 0.0, 0.0),
        gripper: float | None = None,
        duration: float = 0.2,
    ) -> None:
        """Command a velocity for `duration` s, and return immediately. Send the next one before that time is over.

        Args:
            linear: (3,) m/s along, and angular: (3,) rad/s about, the axes of base_link.
            gripper: opening, 0 closed to 1 open; None: unchanged.
            duration: s, at most 1.
        Raises:
            ValueError: the duration is not in (0, 1], or a vector does not have 3 numbers.
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
        """Release the arm: it holds, and a policy may take over immediately."""
        self._commands.publish(self._command(None))

    def _command(self, gripper: float | None) -> ArmCommand:
        message = ArmCommand(source=self._name)
        message.header.stamp = self._caller.node.get_clock().now().to_msg()
        message.header.frame_id = FRAME
        message.gripper_position = float(self.state.gripper_commanded if gripper is None else gripper)
        return message

    def gripper(self, opening: float, timeout: float = 5.0) -> float:
        """Open or close the gripper until it reaches the opening or an object stops it; returns the measured opening.

        Raises:
            SessionError: it is still moving after `timeout` s.
        """
        deadline = time.monotonic() + timeout
        best, since = math.inf, time.monotonic()
        try:
            while time.monotonic() < deadline:
                self.send_twist(gripper=opening, duration=3 * COMMAND_PERIOD)
                self._caller.sleep(COMMAND_PERIOD)
                measured = self.state.gripper
                distance = abs(measured - opening)
                if distance <= OPENING_TOLERANCE or time.monotonic() - since > SETTLED_AFTER:
                    return measured
                if distance < best - OPENING_TOLERANCE / 3:
                    best, since = distance, time.monotonic()
        finally:
            self.release()
        raise SessionError(
            f"the gripper is still moving after {timeout:g} s: it is at {self.state.gripper:.2f}, not {opening:.2f}"
        )

    def stop(self) -> None:
        """Stop the arm until it is cleared; returns once its state shows the stop."""
        self.arm.stop()
        self._caller.wait(self._stopped, "the arm to be stopped", STOP_TIMEOUT)

    def clear(self) -> None:
        """Clear the stop; nothing moves until the next command.

        Raises:
            SessionError: the cause of the stop persists; the message names it.
        """
        self.arm.clear()
        self._caller.wait(lambda: not self._stopped(), "the arm to be cleared", STOP_TIMEOUT)

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
        """Record an episode for the duration of a `with` block.

            with robot.record("put_carrot_on_plate") as episode:
                ...
                episode.outcome = "success"

        An exception in the block ends the episode unlabelled; it is kept.

        Args:
            kind: demonstration, trial or practice.   instruction: the task in free text.
            operator: name of the operator.   metadata: further values, stored with the bag.
        Raises:
            SessionError: the recorder refuses, for example because a stream is silent.
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
        timeout: float = RUN_TIMEOUT,
    ) -> PolicyRun:
        """Run a policy on the policy server, and wait for the end.

        Args:
            task: the task that the policy is conditioned on.
            max_steps: 0: the checkpoint's episode length.
            choice: mode, sample, sample_gripper, argmax_q or softmax_q; empty: the server's default.
            until: polled; the run is canceled once it returns true.
            on_step: called with each step's index and Q, from another thread; it must not call the robot. If it
                raises, the run is canceled, and the error is raised here.
            timeout: s, after which the run is canceled.
        Raises:
            SessionError: no policy server is active, or the run takes longer than `timeout`.
        """
        goal = RunPolicy.Goal(task=task, max_steps=max_steps, action_choice=choice)
        failed: list[Exception] = []

        def feedback(message: Any) -> None:
            try:
                if on_step is not None and not failed:
                    on_step(message.feedback.step, message.feedback.q)
            except Exception as error:  # of the caller's function
                failed.append(error)

        def over() -> bool:
            return bool(failed) or (until is not None and until())

        ended = self._caller.follow(self._policy, goal, "run_policy", timeout, until=over, feedback=feedback)
        if failed:
            raise failed[0]
        if ended is None:
            return PolicyRun(RunResult.REFUSED, "the policy server refused the run", 0, 0, math.nan)
        result = ended.result
        kind = RunResult.COMPLETED if result.completed else RunResult.FAULT
        if ended.status == GoalStatus.STATUS_CANCELED:
            kind = RunResult.CANCELED
        elif not result.completed and not result.steps:
            kind = RunResult.REFUSED
        return PolicyRun(kind, result.message, result.steps, result.held_steps, float(result.mean_q))
