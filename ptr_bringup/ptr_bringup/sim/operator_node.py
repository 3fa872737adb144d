# SPDX-License-Identifier: Apache-2.0
"""The node `scripted_operator`: demonstrates a task through the same interface as a person with a device.

It publishes TwistStamped and Joy messages. The node `teleop` turns them into commands, and its buttons control the
recorder. Like a person it observes the scene, and judges its own demonstrations.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Joy

from ptr_bringup.arm.messages import pose_from
from ptr_bringup.ros.newest import Newest
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.session import Caller, SessionError, run_session
from ptr_bringup.ros.time import now
from ptr_bringup.sim.door_tasks import DoorScene, DoorTask, scene_of_poses
from ptr_bringup.sim.operator import DEFAULT_MANNER, manner_named
from ptr_bringup.sim.operators import Operator, operator_of_task
from ptr_bringup.sim.scene_sampling import drop_spot, scene_seed
from ptr_bringup.sim.tasks import Scene, task_named
from ptr_bringup.sim_ros.stage import Stage
from ptr_msgs.msg import ArmState, EpisodeStatus, ObjectStates

PERIOD = 0.2  # s, one decision
MAX_STEPS = 80  # steps; then it gives up
SETTLE = 0.5  # s, until the images show the new scene and everything is at rest
JUDGE = 1.0  # s, in which a released object comes to rest
HELD, CLOSE, OPEN, START, SAVE, DISCARD = 0, 1, 2, 3, 4, 6  # Joy.buttons of the node `teleop`
BUTTONS = 7


class OperatorNode(Node):
    """Receives scene, arm state and recorder status; publishes twist and buttons."""

    def __init__(self) -> None:
        super().__init__("scripted_operator")
        self.task = task_named(declare(self, "task", "put_carrot_on_plate", "task to demonstrate"))
        self.kitchen = declare(self, "kitchen", "", "kitchen to use; empty: the current one")
        self.goal = declare(self, "goal", 10, "demonstrations to save before the node exits", (1, 100_000))
        self.seed = declare(self, "seed", 0, "seed of the scenes and of the operator's manner", (0, 2**31 - 1))
        manner = declare(self, "manner", DEFAULT_MANNER, "how it moves and errs: human or machine")
        errors = declare(self, "errors", 1.0, "how often it errs, as a multiple of the manner's own rates", (0.0, 3.0))
        self.manner = manner_named(manner).scaled(errors)
        about = "attempts before it gives up; 0: five times the goal and five more"
        self.max_attempts = declare(self, "max_attempts", 0, about, (0, 10**6)) or 5 * self.goal + 5
        self._objects = Newest(self, ObjectStates, "simulator/objects", 10)
        self._arm = Newest(self, ArmState, "arm/state", qos_profile_sensor_data)
        self._status = Newest(self, EpisodeStatus, "episode/status", LATCHED)
        self._twists = self.create_publisher(TwistStamped, "scripted/twist", 10)
        self._buttons = self.create_publisher(Joy, "scripted/joy", 10)

    def ready(self) -> bool:
        """True if all inputs have arrived and its outputs have subscribers."""
        seen = all(newest.there for newest in (self._objects, self._arm, self._status))
        return seen and all(p.get_subscription_count() > 0 for p in (self._twists, self._buttons))

    @property
    def objects(self) -> ObjectStates:
        """The simulated scene."""
        return self._objects.message

    @property
    def arm(self) -> ArmState:
        """The newest state of the arm."""
        return self._arm.message

    @property
    def status(self) -> EpisodeStatus:
        """The newest status of the recorder."""
        return self._status.message

    def scene(self) -> Scene | DoorScene:
        """The current scene."""
        objects, arm = self.objects, self.arm
        places = dict(zip(objects.names, objects.poses, strict=True))
        item, vessel = places[self.task.item], _position(places[self.task.receptacle])
        tool, gripper = _position(arm.measured_pose), float(arm.gripper_position)
        if isinstance(self.task, DoorTask):
            o = places[self.task.receptacle].orientation
            door = self.task.door(objects.kitchen)
            return scene_of_poses(door, _position(item), vessel, (o.w, o.x, o.y, o.z), gripper, tool)
        return Scene(_position(item), 0.0, vessel, gripper, tool, long_axis_yaw(item.orientation))

    def publish_action(self, action: np.ndarray) -> None:
        """Publish an action (7,): m and rad per step, gripper opening."""
        pressed = (HELD, OPEN if action[6] >= 0.5 else CLOSE)
        stamp = self.press(*pressed)
        twist = TwistStamped()
        twist.header.stamp, twist.header.frame_id = stamp, "base_link"
        speed = [float(value) / PERIOD for value in action[:6]]
        linear, angular = twist.twist.linear, twist.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = speed
        self._twists.publish(twist)

    def release_deadman(self) -> None:
        """Release the deadman."""
        twist = TwistStamped()
        twist.header.stamp, twist.header.frame_id = self.press(), "base_link"
        self._twists.publish(twist)

    def press(self, *buttons: int) -> Any:
        """Publish which buttons are down, and return the stamp."""
        joy = Joy(buttons=[int(index in buttons) for index in range(BUTTONS)])
        joy.header.stamp = self.get_clock().now().to_msg()
        self._buttons.publish(joy)
        return joy.header.stamp


class Session:
    """Demonstrates until enough episodes are saved."""

    def __init__(self, node: OperatorNode, caller: Caller) -> None:
        self._node, self._caller, self._stage = node, caller, Stage(caller)

    def run(self) -> int:
        """The whole session; exit code 0 when the goal is reached."""
        node, log = self._node, self._node.get_logger()
        self._caller.wait(node.ready, "the simulator, the arm, teleop and the recorder", 60.0)
        saved = 0
        for attempt in range(node.max_attempts):
            succeeded, steps, why = self._demonstrate(scene_seed("demonstration", node.seed, attempt))
            saved += succeeded
            outcome = f"saved after {steps} steps" if succeeded else f"not counted after {steps} steps: {why}"
            log.info(f"demonstration {saved}/{node.goal}, attempt {attempt + 1}: {outcome}")
            if saved == node.goal:
                return 0
        raise SessionError(f"{saved} of {node.goal} demonstrations in {node.max_attempts} attempts; {why}")

    def _demonstrate(self, seed: int) -> tuple[bool, int, str]:
        """One attempt: whether it was saved, its number of steps, and the reason."""
        node, caller = self._node, self._caller
        self._stage.begin(node.kitchen, node.task.name, seed)
        caller.wait(lambda: node.objects.seed == seed, f"the new scene on {caller.named('simulator/objects')}", 10.0)
        caller.sleep(SETTLE)
        kitchen = node.objects.kitchen
        operator = operator_of_task(node.task, kitchen, drop_spot(kitchen, seed), seed, node.manner)
        self._press(START, EpisodeStatus.RECORDING)
        steps = self._drive(operator)
        succeeded, why = self._judge()
        before = node.status.saved
        self._press(SAVE if succeeded else DISCARD, EpisodeStatus.IDLE)
        if succeeded and node.status.saved == before:
            return False, steps, node.status.message
        return succeeded, steps, why

    def _drive(self, operator: Operator) -> int:
        """Act once per period until the operator is done; returns the number of steps."""
        node = self._node
        began, steps = 0.0, 0
        while steps < MAX_STEPS:
            action = operator.act(pose_from(node.arm.commanded_pose), float(node.arm.gripper_position), node.scene())
            if operator.done:
                break
            node.publish_action(action)
            began = began or self._now()  # the first step starts the time grid
            steps += 1
            self._sleep_until(began + steps * PERIOD)
        node.release_deadman()
        return steps

    def _judge(self) -> tuple[bool, str]:
        """Check for success until the objects have come to rest."""
        self._caller.sleep(PERIOD / 2)
        deadline = self._now() + JUDGE
        succeeded, why = self._stage.outcome()
        while not succeeded and self._now() < deadline:
            self._caller.sleep(PERIOD / 2)
            succeeded, why = self._stage.outcome()
        return succeeded, why

    def _press(self, button: int, wanted: int) -> None:
        """Press a button until the recorder has reached the wanted state."""
        node = self._node
        for _ in range(3):
            node.press(button)
            node.press()
            try:
                self._caller.wait(lambda: node.status.state == wanted, "the recorder", 4.0)
                return
            except SessionError:
                continue
        raise SessionError(f"the recorder did not follow: {node.status.message}")

    def _now(self) -> float:
        return now(self._node)

    def _sleep_until(self, moment: float) -> None:
        """Wait in small steps, to follow simulated time that runs faster than real time."""
        while (rest := moment - self._now()) > 0.0:
            self._caller.sleep(min(rest, 0.02))


def long_axis_yaw(q: Any) -> float:
    """Angle (rad) about z of the x axis of a pose whose orientation is the quaternion q."""
    return math.atan2(2.0 * (q.x * q.y + q.w * q.z), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))


def _position(pose: Any) -> np.ndarray:
    point = pose.position
    return np.array([point.x, point.y, point.z])


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `scripted_operator`."""
    return run_session(OperatorNode, lambda node, caller: Session(node, caller).run(), "scripted_operator", args)


if __name__ == "__main__":
    sys.exit(main())
