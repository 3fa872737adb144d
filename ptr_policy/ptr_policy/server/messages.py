# SPDX-License-Identifier: Apache-2.0
"""Between the policy server's plain data and ROS messages."""

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
        decided: when its step began. A server that was stopped in between sends a command whose age tells.
    """
    command = ArmCommand(source=SOURCE, deadman=True, gripper_position=float(np.clip(action[6], 0.0, 1.0)))
    command.header.stamp = decided.to_msg()
    command.header.frame_id = contract.frame
    command.twist = _twist(np.asarray(action[:6], dtype=float) / contract.period)
    command.valid_for = duration_from_seconds(contract.period)
    return command


def release_message(contract: Contract, gripper: float, now: Time) -> ArmCommand:
    """The command that gives the arm back: it holds its pose and its gripper."""
    command = ArmCommand(source=SOURCE, deadman=False, gripper_position=gripper)
    command.header.stamp = now.to_msg()
    command.header.frame_id = contract.frame
    return command


def step_message(step: Step, task: str, contract: Contract, streams: ObservationStreams, began: Time) -> PolicyStep:
    """What /policy/step says of a step; the episode is left to the caller."""
    message = PolicyStep(task=task, step=step.index, held=step.held, reason=step.reason)
    message.header.stamp = began.to_msg()
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
    message.image_age = max(_age(stamp, began) for stamp in images)
    message.state_age = _age(state, began)
    return message


def _age(stamp: int | None, now: Time) -> float:
    """Age in s of a stamp in ns; infinite for what was not there."""
    return float("inf") if stamp is None else (now.nanoseconds - stamp) * 1e-9


def _twist(values: np.ndarray) -> Twist:
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.linear.z = (float(value) for value in values[:3])
    twist.angular.x, twist.angular.y, twist.angular.z = (float(value) for value in values[3:])
    return twist
