# SPDX-License-Identifier: Apache-2.0
"""Where a camera's images come from, without ROS."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ptr_bringup.camera.opening import is_device, open_source
from ptr_bringup.camera.settings import Settings
from ptr_bringup.camera.source import CameraError, CaptureConfig

GREYS = (30, 90, 150, 210)


def opened(path: Path | str, loop: bool = False, rotate: bool = False):
    return open_source(str(path), CaptureConfig(loop=loop, rotate=rotate), Settings())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k, grey in enumerate(GREYS):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((24, 32, 3), grey, np.uint8))
    return tmp_path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for grey in GREYS:
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    return path


def greys(source, count: int) -> list[int]:
    """Brightness of the next images, until there are none."""
    found = []
    while len(found) < count and (image := source.read()) is not None:
        found.append(round(float(cv2.imdecode(np.frombuffer(image.jpeg, np.uint8), 1).mean())))
    return found


def test_a_folder_is_shown_in_the_order_of_its_names_and_once(folder: Path) -> None:
    assert greys(opened(folder), 10) == list(GREYS)


def test_a_folder_that_loops_begins_again(folder: Path) -> None:
    assert greys(opened(folder, loop=True), 6) == [*GREYS, *GREYS[:2]]


def test_the_jpeg_files_of_a_folder_go_out_as_they_are(tmp_path: Path) -> None:
    half = np.zeros((24, 32, 3), np.uint8)
    half[:, 16:] = 200
    cv2.imwrite(str(tmp_path / "a.jpg"), half)
    assert opened(tmp_path).read().jpeg == (tmp_path / "a.jpg").read_bytes()
    turned = cv2.imdecode(np.frombuffer(opened(tmp_path, rotate=True).read().jpeg, np.uint8), 1)
    assert turned[:, :8].mean() == pytest.approx(200, abs=3)
    assert turned[:, 24:].mean() == pytest.approx(0, abs=3)


def test_a_video_is_shown_from_its_first_image(video: Path) -> None:
    assert greys(opened(video), 10) == pytest.approx(GREYS, abs=3)


def test_a_video_that_loops_begins_again(video: Path) -> None:
    assert greys(opened(video, loop=True), 6) == pytest.approx([*GREYS, *GREYS[:2]], abs=3)


def test_a_missing_camera_is_named() -> None:
    with pytest.raises(CameraError, match="/dev/video77"):
        opened("77")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(CameraError, match="contains no images"):
        opened(tmp_path)


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"not a film")
    with pytest.raises(CameraError, match="can't be read as a video"):
        opened(path)


def test_an_image_that_is_cut_off_is_named(folder: Path) -> None:
    (folder / "0.png").write_bytes(b"\x89PNG")
    with pytest.raises(CameraError, match=r"0\.png"):
        opened(folder).read()


@pytest.mark.parametrize("name", ["/dev/v4l/by-path/pci-0-video-index0", "/dev/video0", "realsense:", "realsense:7"])
def test_devices_come_back_and_files_do_not(name: str) -> None:
    assert is_device(name)
    assert not is_device("images/" + name.replace(":", ""))
