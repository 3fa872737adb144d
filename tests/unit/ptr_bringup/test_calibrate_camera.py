# SPDX-License-Identifier: Apache-2.0
"""`ptr calibrate camera`: image quality, fixed settings and the written configuration."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from ptr_bringup.calibrate import camera_session, cli
from ptr_bringup.calibrate.camera_session import Entry, check_images, read_entry, settle, write_entry
from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.calibrate.quality import judge
from ptr_bringup.camera.settings import Settings
from ptr_bringup.camera.source import CameraError, Frame
from ptr_models.cli import main
from ptr_models.common.jpeg import encode

CONFIG = Path(__file__).resolve().parents[3] / "ptr_bringup" / "config" / "cameras.yaml"
EDGES = np.kron(np.random.default_rng(0).integers(60, 200, (12, 16)), np.ones((10, 10))).astype(np.uint8)


def images(grey: np.ndarray, count: int = 30, rate: float = 30.0, flicker: float = 0.0) -> list[tuple[float, bytes]]:
    """Images of a scene at rest; `flicker`: amplitude of its brightness as a share."""
    found = []
    for k in range(count):
        shown = np.clip(grey * (1 + flicker * np.sin(1.7 * k)), 0, 255).astype(np.uint8)
        found.append((k / rate, encode(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR), 95)))
    return found


def test_good_images_need_no_advice() -> None:
    quality = judge(images(EDGES), 30.0, {"exposure": 10.0})
    assert quality.advice == ()
    assert quality.rate == pytest.approx(30.0)
    assert (quality.lost, quality.under, quality.over) == (0, 0.0, 0.0)
    assert quality.brightness == pytest.approx(EDGES.mean(), abs=1.0)


def test_without_an_expected_rate_that_of_most_images_counts() -> None:
    seen = images(EDGES, rate=15.0)
    quality = judge([*seen[:10], *seen[13:]], None, {})
    assert quality.lost == 3
    assert not any("images a second" in sentence for sentence in judge(seen, None, {}).advice)


@pytest.mark.parametrize(
    ("seen", "rate", "settings", "advice"),
    [
        (images(EDGES, rate=15.0), 30.0, {}, "15.0 images a second instead of 30"),
        (images(np.full_like(EDGES, 255)), 30.0, {}, "100 % of the image is white: shorten"),
        (images(np.zeros_like(EDGES)), 30.0, {}, "100 % of the image is black: use more light"),
        (images(cv2.GaussianBlur(EDGES, (0, 0), 12)), 30.0, {}, "The image is blurred"),
        (images(EDGES, flicker=0.1), 30.0, {}, "multiple of 10.0 ms .mains of 50 Hz. or 8.3 ms .mains of 60 Hz."),
        (images(EDGES), 30.0, {"automatic_exposure": True}, "These settings are automatic and will drift: exposure"),
    ],
)
def test_what_is_not_good_is_advised_on(seen: list, rate: float, settings: dict[str, Any], advice: str) -> None:
    import re

    found = judge(seen, rate, settings).advice
    assert any(re.search(advice, sentence) for sentence in found), found


def test_too_few_and_damaged_images_are_refused() -> None:
    with pytest.raises(CalibrationError, match="only 3 images arrived"):
        judge(images(EDGES, 3), 30.0, {})
    torn = [(taken, jpeg[: len(jpeg) // 2]) for taken, jpeg in images(EDGES)]
    with pytest.raises(CalibrationError, match="30 of 30 images are damaged"):
        judge(torn, 30.0, {})


class Webcam:
    """A device that finds an exposure of 12 ms by itself, and has no focus."""

    period, notices = None, ["It gives 320x240 pixels."]
    opened: list[Settings] = []

    def __init__(self, name: str, requested: object, settings: Settings) -> None:
        Webcam.opened.append(settings)
        self.asked, self.left, self.requested = settings, 400, requested

    def read(self) -> Frame | None:
        self.left -= 1
        time.sleep(0.002)
        return Frame(time.monotonic(), images(EDGES, 1)[0][1]) if self.left > 0 else None

    def settings(self) -> dict[str, Any]:
        automatic = self.asked.exposure == -1.0
        found = {"exposure": 12.0 if automatic else self.asked.exposure, "white_balance": 4600.0, "gain": 0.0}
        return found | ({"automatic_exposure": True} if automatic else {})

    def close(self) -> None:
        self.left = 0


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setattr(camera_session, "SETTLE", 0.05)
    monkeypatch.setattr(camera_session, "SKIPPED", 0.05)
    Webcam.opened = []
    return read_entry(CONFIG, "over_shoulder")


def test_what_the_automatic_has_found_is_fixed_and_what_is_given_is_kept(entry: Entry) -> None:
    found = settle("/dev/video0", entry, Settings(gain=4.0), Webcam)
    assert found == Settings(exposure=12.0, gain=4.0, white_balance=4600.0, focus=-1.0)
    quality, current, notices, image = check_images("/dev/video0", entry, found, 0.2, Webcam)
    assert "automatic_exposure" not in current
    assert notices == Webcam.notices
    assert quality.count >= 10
    assert cv2.imdecode(np.frombuffer(image, np.uint8), 0) is not None
    assert [settings.exposure for settings in Webcam.opened] == [-1.0, 12.0]


def test_a_sensor_that_comes_to_its_exposure_does_not_flicker(entry: Entry) -> None:
    class Waking(Webcam):
        began = None

        def read(self) -> Frame | None:
            self.began = self.began or time.monotonic()
            image = super().read()
            dark = time.monotonic() - self.began < 0.04
            return dataclasses.replace(image, jpeg=encode(EDGES // 8, 90)) if dark else image

    quality, *_ = check_images("/dev/video0", entry, Settings(12.0), 0.3, Waking)
    assert quality.flicker < 0.02


def test_a_device_that_stops_while_it_settles_is_refused(entry: Entry) -> None:
    class Dying(Webcam):
        def read(self) -> Frame | None:
            return None

    with pytest.raises(CameraError, match="/dev/video0 stopped sending images"):
        settle("/dev/video0", entry, Settings(), Dying)


def test_what_is_written_is_what_the_node_reads_and_other_cameras_stay(entry: Entry, tmp_path: Path) -> None:
    two = dataclasses.replace(entry, file=entry.file | {"wrist": {"ros__parameters": {"source": "realsense:7"}}})
    path = tmp_path / "new" / "cameras.yaml"
    write_entry(path, two, "/dev/v4l/by-path/x", Settings(12.0, 4.0, 4600.0))
    written = read_entry(path, "over_shoulder")
    assert written.settings == Settings(12.0, 4.0, 4600.0)
    assert written.requested == entry.requested
    assert written.parameters["source"] == "/dev/v4l/by-path/x"
    assert set(written.parameters) == set(entry.parameters)
    assert yaml.safe_load(path.read_text())["wrist"]["ros__parameters"] == {"source": "realsense:7"}


def test_an_entry_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no entry for the camera wrist"):
        read_entry(CONFIG, "wrist")
    with pytest.raises(CalibrationError, match="can't read the configuration .*: No such file"):
        read_entry(tmp_path / "none.yaml", "wrist")


def test_the_command_checks_a_folder_and_writes_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"{k}.png"), EDGES)
    out = tmp_path / "robot" / "cameras.yaml"
    words = ["calibrate", "camera", "--config", str(CONFIG), "--source", str(tmp_path), "--duration", "0.6"]
    assert main([*words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "images at" in said
    assert f"camera_config:={out}" in said
    assert yaml.safe_load(out.read_text())["/**/over_shoulder"]["ros__parameters"]["source"] == str(tmp_path)
    assert (out.parent / "over_shoulder.jpg").is_file()


def test_the_command_says_in_one_sentence_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: None)  # without ROS; with it, it looks for a node that shows it
    assert main(["calibrate", "camera", "--config", str(CONFIG), "--source", "/dev/video77", "--check"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no camera /dev/video77")
    assert main(["calibrate", "camera", "wrist", "--config", str(CONFIG)]) == 2
    assert "no entry for the camera wrist" in capsys.readouterr().err
    assert main(["calibrate", "latency", "--duration", "1"]) == 2
    assert "5 to 120 is needed, not 1" in capsys.readouterr().err
