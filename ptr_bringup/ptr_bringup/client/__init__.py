# SPDX-License-Identifier: Apache-2.0
"""Control the running robot from Python: `from ptr_bringup.client import Robot`."""

from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.client.recording import Episode
from ptr_bringup.client.robot import NotReadyError, PolicyRun, Robot, RobotState, RunResult
from ptr_bringup.ros.session import SessionError

__all__ = ["Episode", "NotReadyError", "PolicyRun", "Pose", "Robot", "RobotState", "RunResult", "SessionError"]
