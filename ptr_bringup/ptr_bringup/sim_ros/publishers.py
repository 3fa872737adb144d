# SPDX-License-Identifier: Apache-2.0
"""The simulator's publishers of joint states, images and objects, with injected faults."""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseStamped
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState

from ptr_bringup.arm.messages import FRAME, pose_message
from ptr_bringup.arm.model.kinematics import JOINT_NAMES
from ptr_bringup.camera.images import jpeg_message, numbered, pinhole_info
from ptr_bringup.camera.reports import settings_message
from ptr_bringup.camera.source import optical_frame
from ptr_bringup.ros.names import prefix
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import seconds, stamp_from_seconds
from ptr_bringup.sim.fault_effects import ImageLine, JointLine, JointSample
from ptr_bringup.sim.faults import Faults
from ptr_bringup.sim.world import World
from ptr_msgs.msg import CameraSettings, ObjectStates

_HORN, _ROD = 0.014, 0.024
"""m, the crank of the gripper: horn radius and arm length of the wx250s."""


class JointPublisher:
    """Publishes /joint_states: six joints, the gripper's motor and both fingers."""

    def __init__(self, node: Node, faults: Faults) -> None:
        self._line = JointLine(faults)
        self._publisher = node.create_publisher(JointState, "joint_states", qos_profile_sensor_data)

    def publish(self, world: World, now: Time) -> None:
        """Measure the joints, and publish the measurements that get through now, including delayed ones."""
        finger, efforts = world.finger, world.joint_efforts.tolist()
        sample = JointSample(
            seconds(now),
            [*world.joint_positions.tolist(), motor_angle(finger), finger, -finger],
            [*world.joint_velocities.tolist(), 0.0, 0.0, 0.0],
            [*efforts[:6], efforts[6], efforts[6], efforts[6]],
        )
        for arrived in self._line.deliver(sample):
            message = JointState(
                name=[*JOINT_NAMES, "gripper", "left_finger", "right_finger"],
                position=arrived.positions, velocity=arrived.velocities, effort=arrived.efforts,
            )  # fmt: skip
            message.header.stamp = now if arrived is sample else stamp_from_seconds(arrived.stamp)
            message.header.frame_id = FRAME
            self._publisher.publish(message)


class ImagePublisher:
    """Publishes images, camera_info and pose of a simulated camera.

    Args:
        camera: its name.
        size: width and height in pixels.
        quality: JPEG quality.
        rate: requested rate, Hz.
    """

    def __init__(
        self, node: Node, camera: str, faults: Faults, size: tuple[int, int], quality: int, rate: float
    ) -> None:
        self._camera, self._line, self._size, self._quality = camera, ImageLine(faults, camera), size, quality
        self._taken, self._prefix = 0, prefix(node.get_namespace())
        topic = f"camera/{camera}"
        self._images = node.create_publisher(CompressedImage, f"{topic}/image/compressed", qos_profile_sensor_data)
        self._infos = node.create_publisher(CameraInfo, f"{topic}/camera_info", qos_profile_sensor_data)
        self._settings = node.create_publisher(CameraSettings, f"{topic}/settings", LATCHED)
        self._settings.publish(settings_message(camera, *size, rate, {}, simulated=True))
        self._poses = node.create_publisher(PoseStamped, f"{topic}/pose", LATCHED)
        self._pose: Pose | None = None

    def publish(self, world: World, now: Time) -> None:
        """Render an image if there are subscribers; publish the camera's pose if a new scene has moved it."""
        parent, place = world.camera_pose(self._camera)
        pose = pose_message(place)
        if pose != self._pose:
            self._pose = pose
            stamped = PoseStamped(pose=pose)
            stamped.header.stamp, stamped.header.frame_id = now, self._prefix + parent
            self._poses.publish(stamped)
        if not (self._images.get_subscription_count() or self._infos.get_subscription_count()):
            return
        if not self._line.due(seconds(now)):
            return
        frame, (width, height) = self._prefix + optical_frame(self._camera), self._size
        image = self._line.expose(world.render(width, height, camera=self._camera)[:, :, ::-1])
        message = jpeg_message(np.ascontiguousarray(image), self._quality, now, frame)
        self._taken += 1
        message.data = self._line.transmit(numbered(bytes(message.data), self._taken))
        self._images.publish(message)
        info = pinhole_info(width, height, math.radians(world.camera_fovy(self._camera)), frame)
        info.header.stamp = now
        self._infos.publish(info)


class ObjectPublisher:
    """Publishes /simulator/objects: the poses of all objects."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(ObjectStates, "simulator/objects", 10)

    def publish(self, world: World, seed: int, now: Time) -> None:
        """Publish the poses of the food item, the receptacle and the distractors."""
        message = ObjectStates(kitchen=world.kitchen.name, task=world.task.name, seed=seed, level=world.level.name)
        message.header.stamp, message.header.frame_id = now, FRAME
        for name, (position, quaternion) in world.object_poses().items():
            pose = Pose()
            pose.position.x, pose.position.y, pose.position.z = (float(c) for c in position)
            o = pose.orientation
            o.w, o.x, o.y, o.z = (float(c) for c in quaternion)
            message.names = [*message.names, name]
            message.poses = [*message.poses, pose]
        self._publisher.publish(message)


def motor_angle(finger: float) -> float:
    """Angle (rad) of the gripper's motor with the fingers `finger` m from the center line."""
    sine = (_HORN**2 + finger**2 - _ROD**2) / (2.0 * _HORN * finger)
    return math.asin(min(max(sine, -1.0), 1.0))
