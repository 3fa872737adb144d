# SPDX-License-Identifier: Apache-2.0
"""The camera node: publishes images of one camera as JPEG, stamped with their time of capture."""

from __future__ import annotations

import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage

from ptr_bringup.camera.calibration import camera_info, camera_pose
from ptr_bringup.camera.capture import CaptureThread
from ptr_bringup.camera.health import CameraHealth, Problem
from ptr_bringup.camera.mounting import declare_mounting, mounting_message
from ptr_bringup.camera.opening import is_device, open_source
from ptr_bringup.camera.reports import diagnostic, settings_message
from ptr_bringup.camera.settings import AUTOMATIC, Settings
from ptr_bringup.camera.source import CameraError, CaptureConfig, Frame, Source, optical_frame
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.names import prefix, prefixed
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import STEADY
from ptr_models.common.processor_use import ProcessorUse
from ptr_msgs.msg import CameraSettings

_MAX_SETTING = 1e5
"""Upper bound of all camera settings."""


class Camera(RunnableNode, LifecycleNode):
    """Configure opens the camera, activate starts publishing. With `autostart` both happen immediately.

    Args:
        name: of the camera and the node; empty: the parameter.
        source: empty: the parameter.
    """

    def __init__(self, name: str = "", source: str = "") -> None:
        given = {"name": name, "source": source}
        overrides = [Parameter(key, value=value) for key, value in given.items() if value]
        super().__init__(name or "camera", parameter_overrides=overrides)
        self._declare()
        topic = f"camera/{self._name}"
        sensor = qos_profile_sensor_data
        self._images = self.create_publisher(CompressedImage, f"{topic}/image/compressed", sensor)
        self._infos = self.create_publisher(CameraInfo, f"{topic}/camera_info", sensor)
        self._poses = self.create_publisher(PoseStamped, f"{topic}/pose", LATCHED)
        self._settings_topic = self.create_publisher(CameraSettings, f"{topic}/settings", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._is_device = is_device(self._source_name)
        self._health, self._processor_use = CameraHealth(self._requested.rate, noisy=self._is_device), ProcessorUse()
        self._lock = threading.Lock()  # the health is updated by the capture thread and read by the timer
        self._capture = CaptureThread(self._open, self._is_device, self._on_image, self._tell, self._end)
        self._source: Source | None = None
        self._timer: Timer | None = None
        self._current: dict[str, object] = {}
        self._problem = ""
        if self._autostart:
            self._start()

    def _declare(self) -> None:
        self._name = declare(self, "name", "over_shoulder", "camera name; publishes /camera/NAME/image/compressed")
        text = "V4L2 device (a path in /dev/v4l/by-path), realsense:SERIAL, folder of images or video file"
        self._source_name = declare(self, "source", "/dev/video0", text)
        self._requested = CaptureConfig(
            width=declare(self, "width", 640, "pixels, requested from a device", (16, 7680)),
            height=declare(self, "height", 480, "pixels, requested from a device", (16, 4320)),
            rate=declare(self, "rate", 30.0, "Hz", (0.1, 240.0)),
            quality=declare(self, "jpeg_quality", 90, "JPEG quality if the camera does not send JPEG", (1, 100)),
            rotate=declare(self, "rotate", False, "rotate the image by 180 degrees"),
            loop=declare(self, "loop", True, "repeat a folder or video from the start"),
        )
        self._settings = Settings(
            exposure=declare(self, "exposure", AUTOMATIC, "ms, -1: automatic", (AUTOMATIC, _MAX_SETTING)),
            gain=declare(self, "gain", AUTOMATIC, "in the device's units, -1: unchanged", (AUTOMATIC, _MAX_SETTING)),
            white_balance=declare(self, "white_balance", AUTOMATIC, "K, -1: automatic", (AUTOMATIC, _MAX_SETTING)),
            focus=declare(self, "focus", AUTOMATIC, "in the device's units, -1: automatic", (AUTOMATIC, _MAX_SETTING)),
        )
        self._calibration = declare(self, "calibration", "", "calibration file (YAML), empty: uncalibrated")
        self._wait = declare(self, "wait_for_device", False, "wait for a missing device instead of failing")
        self._autostart = declare(self, "autostart", True, "configure and activate at start")
        self._frame = prefixed(self, optical_frame(self._name))
        self._mounting = declare_mounting(self)

    def _start(self) -> None:
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() is not TransitionCallbackReturn.SUCCESS:
                raise StartupError(self._problem or "the camera could not be started")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the camera and read its calibration."""
        try:
            self._info = camera_info(self._calibration, self._frame)
            self._publish_pose()
        except CameraError as error:
            return self._fail(error)
        try:
            self._source = self._open()
        except CameraError as error:
            if not (self._wait and self._is_device):
                return self._fail(error)
            self.get_logger().warning(f"{error}; waiting for it")
        return TransitionCallbackReturn.SUCCESS

    def _publish_pose(self) -> None:
        """Publish the camera's pose, if its parameters or its calibration contain it."""
        mounting = self._mounting or camera_pose(self._calibration)
        if mounting is not None:
            self._poses.publish(mounting_message(self, mounting))

    def _fail(self, error: CameraError) -> TransitionCallbackReturn:
        """Store the reason for `_start`, or log it without `autostart`."""
        self._problem = str(error)
        if not self._autostart:
            self.get_logger().error(self._problem)
        return TransitionCallbackReturn.FAILURE

    def _open(self) -> Source:
        """Open the source, log its notices, and publish its settings."""
        source = open_source(self._source_name, self._requested, self._settings)
        for notice in source.notices:
            self.get_logger().warning(notice)
        self._current = source.settings()
        requested = self._requested
        message = settings_message(
            self._name, requested.width, requested.height, requested.rate, self._current, not self._is_device
        )
        self._settings_topic.publish(message)
        return source

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start publishing."""
        self._health.start(time.monotonic())
        self._capture.start(self._source)
        self._source = None  # the thread owns it now
        self._timer = self.create_timer(1.0, self._report, clock=STEADY)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing; the camera is reopened by the next activation."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the camera."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the camera and end."""
        self.close()
        self.exit_code = 0
        return TransitionCallbackReturn.SUCCESS

    def _on_image(self, image: Frame) -> Problem | None:
        """Publish an image; called by the capture thread, which may still run while ROS shuts down."""
        try:
            return self._publish(image)
        except Exception:
            if self.context.ok():
                raise
            return None

    def _tell(self, sentence: str) -> None:
        self.get_logger().warning(sentence)

    def _publish(self, image: Frame) -> Problem | None:
        """Publish an image unless it is unusable; returns why it is unusable, or None."""
        age = Duration(seconds=max(0.0, time.monotonic() - image.taken))
        stamp = (self.get_clock().now() - age).to_msg()
        with self._lock:
            useless = self._health.arrived(image.taken, image.jpeg)
            structure = self._health.structure
        if useless is not None:
            self.get_logger().warning(f"Dropped a {useless} image.", throttle_duration_sec=5.0)
            return useless
        message = CompressedImage(format="jpeg", data=image.jpeg)
        message.header.stamp, message.header.frame_id = stamp, self._frame
        self._images.publish(message)
        self._info.header.stamp = stamp
        if structure is not None:
            self._info.height, self._info.width = structure.height, structure.width
        self._infos.publish(self._info)
        return None

    def _report(self) -> None:
        with self._lock:
            report = self._health.report(time.monotonic())
        status = diagnostic(
            self._name,
            report,
            self._requested.rate,
            self._current,
            self._capture.reopened,
            self._processor_use.lap(),
            simulated=not self._is_device,
            prefix=prefix(self.get_namespace()),
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _end(self, reason: str) -> None:
        """There are no more images; called by the capture thread."""
        if reason:
            self.get_logger().error(reason)
        else:
            self.get_logger().info(f"{self._source_name} has no more images.")
        self.exit_code = 1 if reason else 0

    def _stop(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._capture.stop()

    def _release(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def close(self) -> None:
        """Close the camera."""
        self._stop()
        self._release()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `camera`; returns the exit code."""
    return run(Camera, "camera", args)


if __name__ == "__main__":
    sys.exit(main())
