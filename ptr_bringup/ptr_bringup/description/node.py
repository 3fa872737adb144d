# SPDX-License-Identifier: Apache-2.0
"""The node `robot_description`: publishes what RViz and Foxglove need to show the arm and its cameras.

It replaces `robot_state_publisher`, which is not available as a wheel, and adds the cameras whose pose is known.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from ptr_bringup.camera.source import optical_frame
from ptr_bringup.description.urdf import Joint, read_urdf
from ptr_bringup.ros.names import prefix
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.polling import Undispatched, take
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import STEADY
from ptr_models.common.rotations import quaternion_from_matrix

_SEARCH_PERIOD = 2.0
"""s between two searches for new cameras."""
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class RobotDescription(RunnableNode, Node):
    """Publishes /robot_description, /tf and /tf_static; a namespace becomes the prefix of all frames."""

    def __init__(self) -> None:
        super().__init__("robot_description")
        file = declare(self, "urdf", "", "URDF file of the arm; empty: the WidowX 250 S with simple shapes")
        rate = declare(self, "rate", 25.0, "Hz of /tf, always from the newest joint state", (1.0, 50.0))
        self._robot = read_urdf(Path(file or f"{get_package_share_directory('ptr_bringup')}/urdf/wx250s.urdf"))
        self._joints = {joint.name: joint for joint in self._robot.moving}
        self._prefix = prefix(self.get_namespace())
        self._moving = {joint.name: transform_of(joint, self._prefix) for joint in self._robot.moving}
        fixed = [transform_of(joint, self._prefix) for joint in self._robot.fixed]
        self._static = {transform.child_frame_id: transform for transform in fixed}
        self._frames = {self._prefix + link for joint in self._robot.joints for link in (joint.parent, joint.child)}
        self._cameras: set[str] = set()
        self._transforms = self.create_publisher(TFMessage, "/tf", 100)
        self._static_transforms = self.create_publisher(TFMessage, "/tf_static", LATCHED)
        self._description = self.create_publisher(String, "robot_description", LATCHED)
        self._joint_states = self.create_subscription(
            JointState, "joint_states", lambda message: None, _NEWEST, callback_group=Undispatched()
        )
        self.create_timer(1.0 / rate, self._publish_moving, clock=STEADY)
        self.create_timer(_SEARCH_PERIOD, self._find_cameras, clock=STEADY)

    def start(self) -> None:
        """Publish the static data."""
        self._description.publish(String(data=self._robot.text))
        self._publish_static()

    def _publish_moving(self) -> None:
        """Publish the links' transforms for the newest joint state."""
        for message, _ in take(self._joint_states):
            positions = self._robot.positions(dict(zip(message.name, message.position, strict=False)))
            if not positions or not all(map(math.isfinite, positions.values())):
                continue
            for name, position in positions.items():
                place(self._moving[name], self._joints[name], position)
                self._moving[name].header.stamp = message.header.stamp
            self._transforms.publish(TFMessage(transforms=[self._moving[name] for name in positions]))

    def _find_cameras(self) -> None:
        """Subscribe to the poses of new cameras."""
        pattern = re.compile(re.escape(self.resolve_topic_name("camera")) + r"/([^/]+)/pose")
        for topic, types in self.get_topic_names_and_types():
            match = pattern.fullmatch(topic)
            if match and match[1] not in self._cameras and types == ["geometry_msgs/msg/PoseStamped"]:
                self._cameras.add(match[1])
                self._listen_to(match[1], topic)

    def _listen_to(self, camera: str, topic: str) -> None:
        def keep(message: PoseStamped) -> None:
            found = camera_transform(camera, message, self._prefix)
            if found.header.frame_id not in self._frames:
                self.get_logger().warning(
                    f"camera {camera} is in the frame {found.header.frame_id!r}, which is not a link of the robot; it "
                    f"is only shown if another node publishes that frame; links: {', '.join(sorted(self._frames))}"
                )
            self._static[found.child_frame_id] = found
            self._publish_static()

        self.create_subscription(PoseStamped, topic, keep, LATCHED)

    def _publish_static(self) -> None:
        """Publish all static transforms in one message, because late subscribers only get the newest one."""
        stamp = self.get_clock().now().to_msg()
        for transform in self._static.values():
            transform.header.stamp = stamp
        self._static_transforms.publish(TFMessage(transforms=list(self._static.values())))


def transform_of(joint: Joint, prefix: str = "") -> TransformStamped:
    """The transform of a joint at position 0; `prefix`: of its frames in a namespace."""
    message = TransformStamped(child_frame_id=prefix + joint.child)
    message.header.frame_id = prefix + joint.parent
    place(message, joint, 0.0)
    return message


def camera_transform(camera: str, message: PoseStamped, prefix: str = "") -> TransformStamped:
    """The transform of a camera's optical frame from its pose; `prefix`: of all frames in a namespace."""
    found = TransformStamped(header=message.header, child_frame_id=prefix + optical_frame(camera))
    found.header.frame_id = prefix + message.header.frame_id.removeprefix(prefix)
    moved, position = found.transform.translation, message.pose.position
    moved.x, moved.y, moved.z = position.x, position.y, position.z
    found.transform.rotation = message.pose.orientation
    return found


def place(message: TransformStamped, joint: Joint, position: float) -> None:
    """Set the transform of a joint to a position (rad or m)."""
    translation, rotation = joint.place(position)
    moved, turned = message.transform.translation, message.transform.rotation
    moved.x, moved.y, moved.z = translation.tolist()
    turned.x, turned.y, turned.z, turned.w = quaternion_from_matrix(rotation).tolist()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `robot_description`; returns the exit code."""
    return run(RobotDescription, "robot_description", args)


if __name__ == "__main__":
    sys.exit(main())
