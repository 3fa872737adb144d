# SPDX-License-Identifier: Apache-2.0
"""Plays a track on the arm: a slow move to its start, then its twists at the recorded rate.

The commands use a policy's topic, so that a human with a device can take over at any time. They pass the same gate as
every command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Pose as PoseMessage
from rclpy.action import ActionClient
from rclpy.client import Client
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from scipy.spatial.transform import Rotation

from ptr_bringup.ros.newest import Newest
from ptr_bringup.ros.session import Caller, GoalClient
from ptr_bringup.ros.time import duration_from_seconds, now, seconds
from ptr_models.common.errors import PtrError
from ptr_msgs.action import MoveTo
from ptr_msgs.msg import ArmCommand, ArmState
from ptr_msgs.srv import ResetScene
from ptr_teleop.replay.track import Pose, Track

SOURCE = "replay"
PERIOD = 0.05  # s between two commands
SETTLE = 0.6  # s that the end of the track is held, for the remaining feedback and motion
APPROACH = 4.0  # s, minimum duration of the move to the start
STATE_TIMEOUT = 0.5  # s without an arm state after which playback ends


class ReplayError(PtrError):
    """Playback could not start or was ended; the message says why."""


@dataclass(frozen=True)
class EndDeviation:
    """Distance of the arm from its recorded end pose, in m and rad."""

    position: float
    rotation: float


class Player:
    """Drives the arm along tracks.

    Args:
        caller: belongs to a node that another thread spins.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller, self._node = caller, caller.node
        node = caller.node
        self._commands = node.create_publisher(ArmCommand, "policy/command", QoSProfile(depth=10))
        self._move: ActionClient = GoalClient(node, MoveTo, "arm/move_to")
        self._reset: Client = node.create_client(ResetScene, "simulator/reset")
        self._state = Newest(node, ArmState, "arm/state", qos_profile_sensor_data)

    def lay_scene(self, kitchen: str, task: str, seed: int) -> None:
        """Set up the simulated scene of a recording.

        Raises:
            SessionError: there is no simulator, or it refused.
        """
        request = ResetScene.Request(kitchen=kitchen, task=task, seed=seed)
        self._caller.call(self._reset, request, timeout=60.0, discovery=10.0)

    def approach(self, track: Track) -> None:
        """Move slowly to the first pose of a track.

        Raises:
            ReplayError: the arm refused. SessionError: it did not respond.
        """
        what = f"{self._caller.named('arm/state')}; is the arm node running?"
        self._caller.wait(lambda: self._state.there, what, 10.0)
        goal = MoveTo.Goal(pose=_message(track.pose(0.0)), gripper_position=track.gripper(0.0), duration=APPROACH)
        result = self._caller.act(self._move, goal, "arm/move_to", 60.0)
        if result is None:
            raise ReplayError("the arm refused to move to the start of the recording; see the arm node's log")
        if not result.success:
            raise ReplayError(f"the arm did not reach the start of the recording: {result.message}")

    def play(self, track: Track, progress: Callable[[float], None] = lambda time: None) -> EndDeviation:
        """Follow a track at its own rate.

        Args:
            progress: called with the time (s) at each command.
        Raises:
            ReplayError: another source took over, the arm was stopped, or its state is too old.
            SessionEndedError: the user ended it.
        """
        began = self._now()
        try:
            while (elapsed := self._now() - began) < track.duration + SETTLE:
                target, stamp = _target(self._require_arm())
                self._send(track.twist(elapsed, PERIOD, target, stamp - began), track.gripper(elapsed))
                progress(min(elapsed, track.duration))
                self._caller.sleep(PERIOD - (self._now() - began - elapsed))
        finally:
            self._send(np.zeros(6), track.gripper(track.duration), held=False)
        return EndDeviation(*_pose(self._state.message.measured_pose).distance(track.final))

    def _require_arm(self) -> ArmState:
        if self._state.age > STATE_TIMEOUT:
            raise ReplayError(f"no {self._caller.named('arm/state')} for {STATE_TIMEOUT} s; playback ended")
        state = self._state.message
        if state.mode == ArmState.PROTECTIVE_STOP:
            raise ReplayError("the arm was stopped during playback; clear it, then start again")
        if state.source not in ("", SOURCE):
            raise ReplayError(f"{state.source} took over the arm; playback ended")
        return state

    def _send(self, twist: np.ndarray, gripper: float, held: bool = True) -> None:
        command = ArmCommand(source=SOURCE, gripper_position=gripper, deadman=held)
        command.header.stamp, command.header.frame_id = self._node.get_clock().now().to_msg(), "base_link"
        linear, angular = command.twist.linear, command.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = map(float, twist)
        command.valid_for = duration_from_seconds(2 * PERIOD)
        self._commands.publish(command)

    def _now(self) -> float:
        return now(self._node)


def _target(state: ArmState) -> tuple[Pose, float]:
    """The commanded pose of a state, and its stamp in s."""
    return _pose(state.commanded_pose), seconds(state.header.stamp)


def _pose(message: PoseMessage) -> Pose:
    at, turn = message.position, message.orientation
    return Pose(np.array([at.x, at.y, at.z]), Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]))


def _message(pose: Pose) -> PoseMessage:
    message = PoseMessage()
    at, turn = message.position, message.orientation
    at.x, at.y, at.z = map(float, pose.position)
    turn.x, turn.y, turn.z, turn.w = map(float, pose.rotation.as_quat())
    return message
