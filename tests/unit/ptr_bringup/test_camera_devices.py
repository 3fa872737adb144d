# SPDX-License-Identifier: Apache-2.0
"""V4L2 and RealSense cameras, against stand-ins of cv2.VideoCapture and pyrealsense2 that answer as these do."""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_stand_ins import IMAGE, JPEG, YUYV, Device, Frame, realsense

from ptr_bringup.camera.realsense import RealSenseSource
from ptr_bringup.camera.settings import AUTOMATIC, Settings, apply
from ptr_bringup.camera.source import CameraError, CaptureConfig
from ptr_bringup.camera.v4l2 import DeviceSource, captured_at, stable_name
from ptr_models.common.jpeg import encode, structure


def camera(device: Device, requested: CaptureConfig | None = None, settings: Settings | None = None) -> DeviceSource:
    return DeviceSource("/dev/v4l/by-path/x", requested or CaptureConfig(), settings or Settings(), device)


def test_the_camera_s_own_jpeg_is_passed_on_byte_for_byte() -> None:
    assert camera(Device()).read().jpeg == JPEG


def test_an_image_is_stamped_by_the_kernel_when_it_was_taken() -> None:
    before = time.monotonic()
    taken = camera(Device(age=0.05)).read().taken
    assert before - 0.06 < taken < time.monotonic() - 0.05 + 1e-6


@pytest.mark.parametrize("stamp", [0.0, 1_700_000_000.0, 96.0])
def test_a_stamp_of_another_clock_is_replaced_by_the_time_of_arrival(stamp: float) -> None:
    assert captured_at(stamp, 100.0) == 100.0
    assert captured_at(99.9, 100.0) == 99.9


def test_a_camera_without_motion_jpeg_is_compressed_here() -> None:
    image = camera(Device(codes=(YUYV,)), CaptureConfig(quality=80)).read()
    assert image.jpeg == encode(IMAGE, 80)


def test_a_driver_that_decodes_all_the_same_is_compressed_here() -> None:
    class Stubborn(Device):
        def retrieve(self):
            return True, IMAGE

    assert camera(Stubborn(), CaptureConfig(quality=80)).read().jpeg == encode(IMAGE, 80)


def test_a_camera_that_hangs_upside_down_is_turned() -> None:
    shown = cv2.imdecode(np.frombuffer(camera(Device(), CaptureConfig(rotate=True)).read().jpeg, np.uint8), 1)
    assert np.abs(shown[::-1, ::-1].astype(int) - cv2.imdecode(np.frombuffer(JPEG, np.uint8), 1)).mean() < 8


def test_a_device_that_gives_nothing_is_refused_and_given_back() -> None:
    device = Device(working=False)
    with pytest.raises(CameraError, match="provides no images; check that it is a camera"):
        camera(device)
    assert device.released


def test_a_camera_that_was_unplugged_gives_none() -> None:
    device = Device()
    source = camera(device)
    device.working = False
    assert source.read() is None


def test_another_size_than_was_asked_for_is_said() -> None:
    class Small(Device):
        def set(self, what: int, value: float) -> bool:
            small = {cv2.CAP_PROP_FRAME_WIDTH: 320, cv2.CAP_PROP_FRAME_HEIGHT: 240}
            return super().set(what, min(value, small.get(what, value)))

    assert "provides 320x240 pixels, not 640x480" in camera(Small()).notices[0]


def test_a_device_by_number_is_accepted_with_the_path_that_stays(tmp_path: Path) -> None:
    device, folder = tmp_path / "video0", tmp_path / "by-path"
    device.touch()
    folder.mkdir()
    (folder / "pci-0000-usb-0:2-video-index0").symlink_to(device)
    assert stable_name(str(device), (tmp_path / "absent", folder)) == str(folder / "pci-0000-usb-0:2-video-index0")
    assert stable_name(str(tmp_path / "video1"), (folder,)) == ""
    notices = DeviceSource("/dev/video7", CaptureConfig(), Settings(), Device()).notices
    assert "may be another camera after a reboot" in notices[0]


def test_a_fixed_exposure_is_manual_and_in_tenths_of_a_millisecond() -> None:
    device = Device()
    source = camera(device, settings=Settings(exposure=12.5))
    assert device.values[cv2.CAP_PROP_AUTO_EXPOSURE] == 1  # V4L2_EXPOSURE_MANUAL
    assert device.values[cv2.CAP_PROP_EXPOSURE] == 125
    assert source.notices == []
    found = source.settings()
    assert found["exposure"] == 12.5
    assert found["fourcc"] == "MJPG"
    assert "automatic_exposure" not in found


def test_an_automatic_exposure_is_reported_as_such() -> None:
    device = Device()
    assert camera(device).settings()["automatic_exposure"] is True
    assert device.values[cv2.CAP_PROP_AUTO_EXPOSURE] == 3  # V4L2_EXPOSURE_APERTURE_PRIORITY


def test_what_a_camera_does_not_take_is_said() -> None:
    device = Device(controls={cv2.CAP_PROP_GAIN: 100, cv2.CAP_PROP_WB_TEMPERATURE: 6500})
    assert apply(device, Settings(gain=120.0, focus=0.0, white_balance=4600.0)) == [
        "The camera uses gain 100 instead of 120.",
        "The camera has no focus; leave it out of its settings.",
    ]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    found = realsense(["817612071"])
    monkeypatch.setitem(sys.modules, "pyrealsense2", found)
    return found


def test_a_realsense_is_stamped_by_its_own_clock_where_that_is_the_host_s(library: types.ModuleType) -> None:
    domain = library.timestamp_domain
    source = RealSenseSource("", CaptureConfig(), Settings())
    assert library.asked == ["817612071", (640, 480, 30)]
    now, age = time.monotonic(), 0.04
    library.frames += [
        Frame(domain.global_time, 1e3 * (time.time() - age)),
        Frame(domain.hardware_clock, 123456.0),
        Frame(domain.global_time, 1e3 * (time.time() - 3600)),
    ]
    taken = [source.read().taken - now for _ in range(3)]
    assert taken[0] == pytest.approx(-age, abs=0.02)
    assert taken[1] >= 0.0
    assert taken[2] >= 0.0
    assert source.read() is None
    source.close()


def test_a_realsense_is_set_and_says_what_it_does_not_take(library: types.ModuleType) -> None:
    source = RealSenseSource("817612071", CaptureConfig(), Settings(exposure=8.0, focus=3.0))
    assert library.options["exposure"] == 80.0
    assert library.options["enable_auto_exposure"] == 0.0
    assert library.options["enable_auto_white_balance"] == 1.0
    assert len(source.notices) == 1
    assert "refused focus 3" in source.notices[0]
    assert source.settings()["exposure"] == 8.0
    assert source.settings()["automatic_white_balance"] is True
    assert Settings().exposure == AUTOMATIC


def test_a_realsense_that_is_not_there_is_named_with_those_that_are(library: types.ModuleType) -> None:
    with pytest.raises(CameraError, match="no RealSense 5; plugged in: 817612071"):
        RealSenseSource("5", CaptureConfig(), Settings())


def test_a_realsense_that_goes_just_when_it_is_looked_for_is_looked_for_again(
    library: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not a CameraError would end the node instead."""

    def gone(*_: object) -> None:
        raise RuntimeError("failed to set power state")

    source = RealSenseSource("", CaptureConfig(), Settings())
    monkeypatch.setattr(source, "_sensor", types.SimpleNamespace(supports=gone))
    assert source.settings() == {"source": "realsense:817612071", "fps": 30.0, "fourcc": "BGR3"}
    monkeypatch.setattr(library, "context", gone)
    with pytest.raises(CameraError, match="can't list the RealSense cameras: failed to set power state"):
        RealSenseSource("", CaptureConfig(), Settings())


def test_a_realsense_image_without_colour_is_none(library: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(_: Frame) -> None:
        raise RuntimeError('null pointer passed for argument "frame_ref"')

    source = RealSenseSource("", CaptureConfig(), Settings())
    library.frames.append(Frame(library.timestamp_domain.global_time, 0.0))
    monkeypatch.setattr(Frame, "get_data", empty)
    assert source.read() is None


def test_without_intel_s_library_a_realsense_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(CameraError, match="pip install pyrealsense2"):
        RealSenseSource("", CaptureConfig(), Settings())


def test_a_webcam_s_image_gets_its_huffman_tables() -> None:
    class Webcam(Device):
        def retrieve(self):
            bare, place = JPEG[:2], 2
            while JPEG[place + 1] != 0xDA:
                end = place + 2 + int.from_bytes(JPEG[place + 2 : place + 4], "big")
                bare += b"" if JPEG[place + 1] == 0xC4 else JPEG[place:end]
                place = end
            return True, np.frombuffer(bare + JPEG[place:], np.uint8)[None]

    assert structure(camera(Webcam()).read().jpeg).tables
