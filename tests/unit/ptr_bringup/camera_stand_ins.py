# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for cv2.VideoCapture and pyrealsense2 with the same behavior, also for nodes in separate processes."""

from __future__ import annotations

import enum
import time
import types

import cv2
import numpy as np

from ptr_models.common.jpeg import encode

IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
JPEG = encode(IMAGE, 90)
MJPG, YUYV = cv2.VideoWriter_fourcc(*"MJPG"), cv2.VideoWriter_fourcc(*"YUYV")


class Device:
    """cv2.VideoCapture with a V4L2 camera, like OpenCV's cap_v4l.cpp.

    Args:
        codes: formats that it has.
        controls: what can be set, with the largest value.
    """

    def __init__(self, codes=(MJPG, YUYV), controls=None, age: float = 0.02, working: bool = True) -> None:
        self.codes, self.age, self.working, self.released = codes, age, working, False
        self.limits = {cv2.CAP_PROP_EXPOSURE: 5000, cv2.CAP_PROP_AUTO_EXPOSURE: 3} if controls is None else controls
        self.values = {cv2.CAP_PROP_FOURCC: YUYV, cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480}
        self.values |= {cv2.CAP_PROP_CONVERT_RGB: 1, cv2.CAP_PROP_FPS: 30} | dict.fromkeys(self.limits, 0)
        self.stamp = 0.0

    def __call__(self, name: str, backend: int) -> Device:
        assert backend == cv2.CAP_V4L2
        return self

    def isOpened(self) -> bool:  # noqa: N802
        return self.working

    def set(self, what: int, value: float) -> bool:
        if what not in self.values or (what == cv2.CAP_PROP_FOURCC and value not in self.codes):
            return False
        self.values[what] = min(int(value), self.limits.get(what, int(value)))
        return True

    def get(self, what: int) -> float:
        return self.stamp * 1e3 if what == cv2.CAP_PROP_POS_MSEC else float(self.values.get(what, -1))

    def grab(self) -> bool:
        self.stamp = time.monotonic() - self.age
        return self.working

    def retrieve(self):
        if self.values[cv2.CAP_PROP_FOURCC] == MJPG and not self.values[cv2.CAP_PROP_CONVERT_RGB]:
            return True, np.frombuffer(JPEG, np.uint8)[None]  # as it came, one row of bytes
        return True, IMAGE

    def release(self) -> None:
        self.released = True


class Frame:
    def __init__(self, domain: object, stamp: float) -> None:
        self.domain, self.stamp = domain, stamp

    def get_color_frame(self) -> Frame:
        return self

    def get_data(self) -> np.ndarray:
        return IMAGE

    def get_frame_timestamp_domain(self) -> object:
        return self.domain

    def get_timestamp(self) -> float:
        return self.stamp


def realsense(serials: list[str]) -> types.ModuleType:
    """A module with the required names of pyrealsense2 2.59."""
    library = types.ModuleType("pyrealsense2")
    library.timestamp_domain = enum.Enum("timestamp_domain", "hardware_clock system_time global_time")
    library.camera_info = enum.Enum("camera_info", "serial_number")
    library.stream, library.format = enum.Enum("stream", "color"), enum.Enum("format", "bgr8")
    library.option = enum.Enum("option", "exposure gain white_balance enable_auto_exposure enable_auto_white_balance")
    library.options, library.frames, library.asked = {}, [], []

    class Sensor:
        def set_option(self, option: object, value: float) -> None:
            library.options[option.name] = value

        def get_option(self, option: object) -> float:
            return library.options.get(option.name, 0.0)

        def supports(self, option: object) -> bool:
            return option.name in library.options

    class Pipeline:
        def start(self, config: object) -> Pipeline:
            return self

        def get_device(self) -> Pipeline:
            return self

        def first_color_sensor(self) -> Sensor:
            return Sensor()

        def wait_for_frames(self, timeout: int) -> Frame:
            if not library.frames:
                raise RuntimeError("Frame didn't arrive within 1000")
            return library.frames.pop(0)

        def stop(self) -> None:
            raise RuntimeError("stop() cannot be called before start()")

    class Config:
        def enable_device(self, serial: str) -> None:
            library.asked.append(serial)

        def enable_stream(self, *what: object) -> None:
            library.asked.append(what[1:3] + what[4:])

    class Context:
        def query_devices(self) -> list[object]:
            return [types.SimpleNamespace(get_info=lambda _, serial=serial: serial) for serial in serials]

    library.pipeline, library.config, library.context = Pipeline, Config, Context
    return library
