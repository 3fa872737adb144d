# SPDX-License-Identifier: Apache-2.0
"""The node `raw_camera`: converts raw images of another camera driver to the JPEG stream that the suite uses.

Images and calibration keep the driver's frame, which the driver or another node publishes in /tf. If the driver gives
no frame, or the parameter `pose_frame` is set, the frame is NAME_optical_frame.
"""

from __future__ import annotations

import sys

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ptr_bringup.camera.conversion import ImageConverter
from ptr_bringup.camera.images import jpeg_message
from ptr_bringup.camera.mounting import declare_mounting, mounting_message
from ptr_bringup.camera.source import CameraError, optical_frame
from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.qos import LATCHED


class RawCamera(RunnableNode, Node):
    """Compresses each image on arrival, and keeps its stamp, the time of capture."""

    def __init__(self) -> None:
        super().__init__("raw_camera")
        name = declare(self, "name", "over_shoulder", "camera name; publishes /camera/NAME/image/compressed")
        image = declare(self, "image_topic", "camera/color/image_raw", "sensor_msgs/Image of the driver")
        info = declare(self, "info_topic", "camera/color/camera_info", "sensor_msgs/CameraInfo of the driver")
        self._quality = declare(self, "jpeg_quality", 90, "JPEG quality", (1, 100))
        self._converter = ImageConverter()
        self._frame, mounting = prefixed(self, optical_frame(name)), declare_mounting(self)
        self._renamed = mounting is not None
        quality_of_service = qos_profile_sensor_data
        self._images = self.create_publisher(CompressedImage, f"camera/{name}/image/compressed", quality_of_service)
        self._infos = self.create_publisher(CameraInfo, f"camera/{name}/camera_info", quality_of_service)
        self.create_subscription(Image, image, self._on_image, quality_of_service)
        self.create_subscription(CameraInfo, info, self._on_info, quality_of_service)
        if mounting is not None:
            self._poses = self.create_publisher(PoseStamped, f"camera/{name}/pose", LATCHED)
            self._poses.publish(mounting_message(self, mounting))

    def _frame_of(self, driver: str) -> str:
        """The frame to publish for a message with the driver's frame, which may be empty."""
        return self._frame if self._renamed or not driver else driver

    def _on_info(self, message: CameraInfo) -> None:
        message.header.frame_id = self._frame_of(message.header.frame_id)
        self._infos.publish(message)

    def _on_image(self, message: Image) -> None:
        try:
            image = self._converter.bgr(message)
        except CameraError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        frame = self._frame_of(message.header.frame_id)
        self._images.publish(jpeg_message(image, self._quality, message.header.stamp, frame))


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `raw_camera`; returns the exit code."""
    return run(RawCamera, "raw_camera", args)


if __name__ == "__main__":
    sys.exit(main())
