# SPDX-License-Identifier: Apache-2.0
"""The session of `ptr calibrate latency`: moves the arm through the gate and records it."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Twist, Vector3
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage

from ptr_bringup.arm.messages import FRAME
from ptr_bringup.calibrate import motion
from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.calibrate.latency import Recording, small_image
from ptr_bringup.ros.newest import Newest
from ptr_bringup.ros.session import Caller, GoalClient
from ptr_bringup.ros.time import seconds
from ptr_msgs.action import MoveTo
from ptr_msgs.msg import ArmCommand, ArmState

SOURCE = "calibration"
_PERIOD = 0.02  # s between two commands
_REST = 0.6  # s at rest after the motion, for late data
_TIMEOUT = 20.0  # s for the arm and the cameras to appear
_MOVE_TIMEOUT = 60.0  # s for the move to the start pose
_MODES = {ArmState.TELEOP: "a human controls it", ArmState.POLICY: "a policy controls it"}
_MODES |= {ArmState.MOVING: "it is moving to a pose", ArmState.PROTECTIVE_STOP: "it is stopped; clear it first"}


class LatencyNode(Node):
    """Sends commands as a human source, and stores received data while recording."""

    def __init__(self, cameras: Sequence[str], namespace: str = "") -> None:
        super().__init__("calibrate_latency", namespace=namespace or None)
        self.recording: Recording | None = None
        self.seen = dict.fromkeys(cameras, 0)
        self.move: ActionClient = GoalClient(self, MoveTo, "arm/move_to")
        self._commands = self.create_publisher(ArmCommand, "teleop/command", 10)
        self.state = Newest(self, ArmState, "arm/state", qos_profile_sensor_data, self._on_state)
        for name in cameras:
            topic, take = f"camera/{name}/image/compressed", functools.partial(self._on_image, name)
            self.create_subscription(CompressedImage, topic, take, qos_profile_sensor_data)

    def _on_state(self, message: ArmState) -> None:
        if self.recording is not None:
            at = message.measured_pose.position
            self.recording.states.append((seconds(message.header.stamp), (at.x, at.y, at.z)))

    def _on_image(self, name: str, message: CompressedImage) -> None:
        self.seen[name] += 1
        if self.recording is None:
            return
        image = small_image(bytes(message.data))
        if image is not None:
            self.recording.images[name].append((seconds(message.header.stamp), image))

    def sees(self, camera: str) -> bool:
        """Whether an image of a camera has arrived."""
        return self.seen[camera] > 0

    def command(self, speed: float, deadman: bool = True) -> None:
        """Command a speed (m/s) along the path; the gripper stays as it is."""
        message = ArmCommand(
            source=SOURCE, deadman=deadman, gripper_position=self.state.message.commanded_gripper_position
        )
        now = self.get_clock().now()
        message.header.stamp, message.header.frame_id = now.to_msg(), FRAME
        x, y, z = (float(speed * c) for c in motion.DIRECTION)
        message.twist = Twist(linear=Vector3(x=x, y=y, z=z))
        message.valid_for = Duration(nanosec=200_000_000)
        self._commands.publish(message)
        if self.recording is not None and deadman:
            self.recording.commands.append((now.nanoseconds * 1e-9, speed))


def record(node: LatencyNode, caller: Caller, duration: float) -> Recording:
    """Move the arm to its start pose, then back and forth for `duration` s; returns the recording.

    Raises:
        CalibrationError: something else commands the arm, before or during the motion.
        SessionError: the arm or a camera is missing, or the arm does not reach its start pose.
    """
    caller.wait(lambda: node.state.there, f"{caller.named('arm/state')}; is the arm node running?", _TIMEOUT)
    for name in node.seen:
        text = f"{caller.named(f'camera/{name}/image/compressed')}; is the camera running?"
        caller.wait(functools.partial(node.sees, name), text, _TIMEOUT)
    _refuse_unless_free(node.state.message)
    _go_to_start(node, caller)
    recording = node.recording = Recording(images={name: [] for name in node.seen})
    try:
        _move(node, caller, duration)
    finally:
        node.recording = None
        node.command(0.0, deadman=False)
    return _in_order(recording)


def _refuse_unless_free(state: ArmState) -> None:
    if state.mode in _MODES:
        raise CalibrationError(f"the arm is not free: {_MODES[state.mode]}")


def _go_to_start(node: LatencyNode, caller: Caller) -> None:
    goal = MoveTo.Goal(named_pose="start", gripper_position=node.state.message.commanded_gripper_position)
    result = caller.act(node.move, goal, "arm/move_to", _MOVE_TIMEOUT)
    if result is None:
        raise CalibrationError("the arm refused to move to its start pose; is another program commanding it?")
    if not result.success:
        raise CalibrationError(f"the arm did not reach its start pose: {result.message}")


def _move(node: LatencyNode, caller: Caller, duration: float) -> None:
    began = time.monotonic()
    tick = 0
    while (elapsed := time.monotonic() - began) < duration + _REST:
        node.command(motion.speed(elapsed, duration))
        state = node.state.message
        if state.source not in ("", SOURCE):
            raise CalibrationError(f"{state.source} took over the arm; nothing was measured")
        if state.mode == ArmState.PROTECTIVE_STOP:
            raise CalibrationError("the arm was stopped; nothing was measured")
        tick += 1
        caller.sleep(began + tick * _PERIOD - time.monotonic())


def _in_order(recording: Recording) -> Recording:
    """The recording sorted by stamp; for equal stamps the last sample."""
    images = {name: _by_stamp(found) for name, found in recording.images.items()}
    return Recording(_by_stamp(recording.commands), _by_stamp(recording.states), images)


def _by_stamp(samples: list) -> list:
    return sorted(dict(samples).items())
