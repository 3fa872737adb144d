# SPDX-License-Identifier: Apache-2.0
"""The running camera node mends a device that fails: it opens it again, says so, and goes on without a restart."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

PROGRAM = Path(__file__).with_name("camera_on_stand_in.py")
V4L2, REALSENSE = "/dev/null", "realsense:"  # that the path exists is all that is asked of it; the device is a stand-in


@dataclass
class Case:
    """A camera that fails.

    Attributes:
        openings: what it does each time it is opened, see the program.
        problem: that is reported meanwhile.
        said: what has to be in the log.
        reopened: how often it takes until it is well.
    """

    source: str
    openings: str
    problem: str
    said: list[str]
    reopened: int
    process: object = None
    images: list = field(default_factory=list)


def repeated(problem: str, seconds: int, number: int) -> str:
    return f"Only {problem} images for {seconds} s; reopening the camera (number {number} "


GONE = "The camera has stopped sending images; waiting for it to come back."
TWICE = [repeated("frozen", 2, 1), repeated("frozen", 4, 2)]
CASES = {  # who is gone stays away for seconds: the first reports of a node that has just started reach nobody
    "v4l2_freezes": Case(V4L2, "freezes,frozen,well", "frozen", TWICE, 2),
    "v4l2_tears": Case(V4L2, "tears,well", "torn", [repeated("torn", 2, 1)], 1),
    "v4l2_goes": Case(
        V4L2, "goes,absent,absent,well", "missing", [GONE, "provides no images; check that it is a camera"], 1
    ),
    "realsense_freezes": Case(REALSENSE, "freezes,frozen,well", "frozen", TWICE, 2),
    "realsense_goes": Case(REALSENSE, "goes,absent,absent,well", "missing", [GONE, "No device connected"], 1),
}


@pytest.fixture(scope="module")
def statuses(ros) -> dict[str, list[tuple[DiagnosticStatus, dict[str, str]]]]:
    """What each camera reports of itself; all of them run side by side."""
    found = {name: [] for name in CASES}

    def keep(message: DiagnosticArray) -> None:
        for status in message.status:
            pairs = {pair.key: pair.value for pair in status.values}
            found.setdefault(status.name.removeprefix("camera "), []).append((status, pairs))

    ros.node.create_subscription(DiagnosticArray, "/diagnostics", keep, 100)
    for name, case in CASES.items():
        case.images = ros.collect(CompressedImage, f"/camera/{name}/image/compressed", qos_profile_sensor_data)
        words = ["-r", f"__node:={name}", "-p", f"name:={name}", "-p", f"source:='{case.source}'", "-p", "rate:=10.0"]
        case.process = ros.run([sys.executable, str(PROGRAM), case.openings, "--ros-args", *words], name=name)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_camera_that_fails_is_opened_again_until_it_is_well(ros, statuses: dict, name: str) -> None:
    case, reports = CASES[name], statuses[name]

    def failed() -> bool:
        return any(case.problem in pairs["problems"] for _, pairs in reports)

    def well() -> bool:
        return reports[-1][1]["reopened"] == str(case.reopened) and reports[-1][0].level == DiagnosticStatus.OK

    ros.wait(failed, f"{name} is {case.problem}", timeout=60.0)
    ros.wait(well, f"{name} is well again", timeout=60.0)
    times = ("once", "twice")[case.reopened - 1]
    assert reports[-1][0].message.endswith(f"Reopened {times} since the start.")
    for sentence in case.said:
        assert sentence in case.process.output
    before = len(case.images)
    ros.wait(lambda: len(case.images) > before + 5, f"new images of {name}")
    assert case.process.running


def test_of_a_frozen_image_no_more_went_out_than_it_takes_to_notice(ros, statuses: dict) -> None:
    """At 30 Hz the fifth is known for frozen; opening the camera again makes it no newer."""
    for name in ("v4l2_freezes", "realsense_freezes"):
        images = [bytes(image.data) for image in CASES[name].images]
        longest = max(len(list(group)) for _, group in itertools.groupby(images))
        assert len(images) > 15
        assert longest <= 4, name


def test_the_node_ends_while_it_looks_for_its_camera(ros) -> None:
    words = ["-r", "__node:=lost", "-p", "name:=lost", "-p", f"source:={V4L2}"]
    process = ros.run([sys.executable, str(PROGRAM), "goes,absent", "--ros-args", *words], name="lost")
    ros.wait(lambda: "provides no images; check that it is a camera" in process.output, "the first failed attempt")
    process.signal()
    assert process.wait() == 0, process.output
