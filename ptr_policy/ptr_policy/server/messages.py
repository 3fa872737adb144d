# SPDX-License-Identifier: Apache-2.0
"""Converts the policy server's plain data to ROS messages."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Twist
from rclpy.time import Time

from ptr_bringup.ros.time import duration_from_seconds, stamp_from_nanoseconds
from ptr_models.contract import Contract
from ptr_msgs.msg import ArmCommand, PolicyStep
from ptr_policy.server.run import Step
from ptr_policy.server.streams import ObservationStreams

SOURCE = "policy"


def command_message(contract: Contract, action: np.ndarray, decided: Time) -> ArmCommand:
    """The command that carries out an action (7,) during one control period.

    Args:
        decided: start of its step. If the server was paused since then, the command's age shows it.
    """
    command = ArmCommand(source=SOURCE, deadman=True, gripper_position=float(np.clip(action[6], 0.0, 1.0)))
    command.header.stamp = decided.to_msg()
    command.header.frame_id = contract.frame
    command.twist = _twist(np.asarray(action[:6], dtype=float) / contract.period)
    command.valid_for = duration_from_seconds(contract.period)
    return command


def release_message(contract: Contract, gripper: float, now: Time) -> ArmCommand:
    """The command that releases the arm, which then holds its pose and gripper."""
    command = ArmCommand(source=SOURCE, deadman=False, gripper_position=gripper)
    command.header.stamp = now.to_msg()
    command.header.frame_id = contract.frame
    return command


def step_message(step: Step, task: str, contract: Contract, streams: ObservationStreams, started: Time) -> PolicyStep:
    """The message of a step for /policy/step; the caller sets the episode."""
    message = PolicyStep(task=task, step=step.index, held=step.held, reason=step.reason)
    message.header.stamp = started.to_msg()
    message.header.frame_id = contract.frame
    message.inference_time = step.duration
    if step.decision is not None:
        message.action = np.asarray(step.decision.action, dtype=np.float32)
        message.q, message.q_spread = float(step.decision.q), float(step.decision.q_spread)
        message.q_mode = float(step.decision.q_mode)
    images, state = streams.newest_images, streams.newest_state
    if step.observation is not None:
        images, state = step.observation.image_stamps, step.observation.state_stamp
    if images[0] is not None:
        message.image_stamp = stamp_from_nanoseconds(images[0])
    message.image_age = max(_age(stamp, started) for stamp in images)
    message.state_age = _age(state, started)
    return message


def _age(stamp: int | None, now: Time) -> float:
    """Age in s of a stamp in ns; infinite: no stamp."""
    return float("inf") if stamp is None else (now.nanoseconds - stamp) * 1e-9


def _twist(values: np.ndarray) -> Twist:
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.linear.z = (float(value) for value in values[:3])
    twist.angular.x, twist.angular.y, twist.angular.z = (float(value) for value in values[3:])
    return twist
