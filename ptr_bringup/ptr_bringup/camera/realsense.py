# SPDX-License-Identifier: Apache-2.0
"""The color stream of a RealSense via Intel's library, with the camera's own stamps."""

from __future__ import annotations

import importlib
import time
from typing import Any

import numpy as np

from ptr_bringup.camera.settings import AUTOMATIC, Settings
from ptr_bringup.camera.source import CameraError, CaptureConfig, Frame
from ptr_models.common.jpeg import encode

_WAIT = 1000
"""ms without an image after which the camera counts as disconnected."""
_EXPOSURE_UNIT = 10.0
"""The color sensor's exposure is in units of 0.1 ms, as with UVC cameras."""


class RealSenseSource:
    """A RealSense.

    Args:
        serial: its serial number; empty if only one is plugged in.
    Raises:
        CameraError: the library is missing, or there is no such camera.
    """

    period: float | None = None

    def __init__(self, serial: str, requested: CaptureConfig, settings: Settings) -> None:
        try:
            self._library = importlib.import_module("pyrealsense2")
        except ImportError as error:
            raise CameraError(
                "a RealSense needs Intel's library: pip install pyrealsense2 (or use its color camera as a V4L2 "
                "device, by its path in /dev/v4l/by-id)"
            ) from error
        self._requested = requested
        self._serial = self._one_of(serial)
        self._pipeline = self._library.pipeline()
        self._sensor = self._start()
        self.notices = self._apply(settings)

    def _one_of(self, serial: str) -> str:
        number = self._library.camera_info.serial_number
        try:
            known = [device.get_info(number) for device in self._library.context().query_devices()]
        except RuntimeError as error:  # a camera is being plugged in or unplugged
            raise CameraError(f"can't list the RealSense cameras: {error}") from error
        if serial in known:
            return serial
        if not serial and len(known) == 1:
            return str(known[0])
        wanted = f"RealSense {serial}" if serial else "single RealSense"
        raise CameraError(f"there is no {wanted}; plugged in: {', '.join(known) or 'none'}")

    def _start(self) -> Any:
        library, requested = self._library, self._requested
        config = library.config()
        config.enable_device(self._serial)
        config.enable_stream(
            library.stream.color, requested.width, requested.height, library.format.bgr8, round(requested.rate)
        )
        try:
            return self._pipeline.start(config).get_device().first_color_sensor()
        except RuntimeError as error:
            raise CameraError(f"can't start the RealSense {self._serial}: {error}") from error

    def _apply(self, settings: Settings) -> list[str]:
        option, problems = self._library.option, []
        for name, switch, scale in (
            ("exposure", "enable_auto_exposure", _EXPOSURE_UNIT),
            ("gain", "", 1.0),
            ("white_balance", "enable_auto_white_balance", 1.0),
            ("focus", "", 1.0),
        ):
            wanted = getattr(settings, name)
            fixed = wanted != AUTOMATIC
            try:
                if switch:
                    self._sensor.set_option(getattr(option, switch), 0.0 if fixed else 1.0)
                if fixed:
                    self._sensor.set_option(getattr(option, name), wanted * scale)
            except (AttributeError, RuntimeError) as error:
                problems.append(f"The RealSense refused {name} {wanted:g}: {error}.")
        return problems

    def read(self) -> Frame | None:
        """See `Source.read`."""
        try:
            frame = self._pipeline.wait_for_frames(_WAIT).get_color_frame()
            now = time.monotonic()
            image = np.asanyarray(frame.get_data())
        except RuntimeError:  # a timeout, it was unplugged, or the frames have no color image
            return None
        return Frame(self._taken(frame, now), encode(image, self._requested.quality, self._requested.rotate))

    def _taken(self, frame: Any, now: float) -> float:
        """The frame's own stamp on the steady clock (s); a stamp of the camera's internal clock is not usable."""
        domains = self._library.timestamp_domain
        if frame.get_frame_timestamp_domain() not in (domains.global_time, domains.system_time):
            return now
        age = time.time() - 1e-3 * frame.get_timestamp()
        return now - age if 0.0 <= age < 1.0 else now

    def settings(self) -> dict[str, Any]:
        """See `Source.settings`."""
        found = {"source": f"realsense:{self._serial}", "fps": self._requested.rate, "fourcc": "BGR3"}
        try:
            return found | self._options()
        except RuntimeError:  # being unplugged, which the next `read` detects
            return found

    def _options(self) -> dict[str, Any]:
        option, found = self._library.option, {}
        for name, scale in (("exposure", _EXPOSURE_UNIT), ("gain", 1.0), ("white_balance", 1.0)):
            if self._sensor.supports(getattr(option, name)):
                found[name] = self._sensor.get_option(getattr(option, name)) / scale
        for name in ("exposure", "white_balance"):
            switch = getattr(option, f"enable_auto_{name}")
            if self._sensor.supports(switch) and self._sensor.get_option(switch):
                found[f"automatic_{name}"] = True
        return found

    def close(self) -> None:
        """Stop the camera."""
        try:
            self._pipeline.stop()
        except RuntimeError:  # it was unplugged
            return
