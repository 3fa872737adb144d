# SPDX-License-Identifier: Apache-2.0
"""The camera node: pictures of one camera as JPEG, stamped when they were taken."""

from __future__ import annotations

import sys

import cv2
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import qos_profile_sensor_data
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage

from ptr_bringup.camera.calibration import camera_info
from ptr_bringup.camera.images import jpeg_message
from ptr_bringup.camera.sources import CameraError, Source, open_source
from ptr_bringup.node_main import StartupError, declare, run

_PATIENCE = 30
"""Pictures in a row that a camera may fail to give before it counts as gone."""


class Camera(LifecycleNode):
    """Configure opens the camera, activate publishes. With `autostart` both happen at once."""

    def __init__(self) -> None:
        super().__init__("camera")
        name = declare(self, "name", "over_shoulder", "the pictures go to /camera/NAME/image/compressed")
        self._source_name = declare(
            self, "source", "/dev/video0", "V4L2 device, folder of images or video file"
        )
        self._width = declare(self, "width", 640, "pixels, asked of a device", 16, 7680)
        self._height = declare(self, "height", 480, "pixels, asked of a device", 16, 4320)
        self._rate = declare(self, "rate", 30.0, "Hz", 0.1, 240.0)
        self._quality = declare(self, "jpeg_quality", 90, "JPEG quality", 1, 100)
        self._loop = declare(self, "loop", True, "begin a folder or video anew at its end")
        self._rotate = declare(self, "rotate", False, "turn the picture by 180 degrees")
        self._calibration = declare(self, "calibration", "", "calibration file (YAML), empty: uncalibrated")
        self._autostart = declare(self, "autostart", True, "configure and activate at once")
        self._frame = f"{name}_optical_frame"
        self._images = self.create_publisher(
            CompressedImage, f"/camera/{name}/image/compressed", qos_profile_sensor_data
        )
        self._infos = self.create_publisher(
            CameraInfo, f"/camera/{name}/camera_info", qos_profile_sensor_data
        )
        self._source: Source | None = None
        self._timer: Timer | None = None
        self._problem = ""
        self._failures = 0
        self.finished: int | None = None
        if self._autostart:
            self._start()

    def _start(self) -> None:
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() is not TransitionCallbackReturn.SUCCESS:
                raise StartupError(self._problem or "The camera could not be started.")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the camera and read its calibration."""
        try:
            self._info = camera_info(self._calibration, self._frame)
            self._source = open_source(self._source_name, self._width, self._height, self._rate, self._loop)
        except CameraError as error:
            self._problem = str(error)
            if not self._autostart:
                self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(1.0 / self._rate, self._publish, clock=clock)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the camera."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the camera and end."""
        self._stop()
        self._release()
        self.finished = 0
        return TransitionCallbackReturn.SUCCESS

    def _publish(self) -> None:
        if not self._source.grab():
            self._miss()
            return
        stamp = self.get_clock().now().to_msg()
        try:
            image = self._source.retrieve()
        except CameraError as error:
            self._end(str(error), 1)
            return
        self._failures = 0
        if self._rotate:
            image = cv2.rotate(image, cv2.ROTATE_180)
        self._images.publish(jpeg_message(image, self._quality, stamp, self._frame))
        self._info.header.stamp = stamp
        self._info.height, self._info.width = image.shape[:2]
        self._infos.publish(self._info)

    def _miss(self) -> None:
        if not self._source_name.startswith("/dev/") and not self._source_name.isdigit():
            self._end(f"{self._source_name} has no more pictures.", 0)
            return
        self._failures += 1
        if self._failures >= _PATIENCE:
            self._end(f"{self._source_name} gives no pictures any more; is it still plugged in?", 1)

    def _end(self, why: str, code: int) -> None:
        self._stop()
        (self.get_logger().error if code else self.get_logger().info)(why)
        self.finished = code

    def _stop(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None

    def _release(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def close(self) -> None:
        """Close the camera."""
        self._stop()
        self._release()


def main(args: list[str] | None = None) -> None:
    """Entry point of the executable `camera`."""
    sys.exit(run(Camera, args))


if __name__ == "__main__":
    main()
