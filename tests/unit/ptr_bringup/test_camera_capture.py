# SPDX-License-Identifier: Apache-2.0
"""The capture thread: a camera that is unplugged or freezes and comes back, and a file that ends."""

from __future__ import annotations

import threading
import time

import pytest

from ptr_bringup.camera import capture
from ptr_bringup.camera.capture import CaptureThread
from ptr_bringup.camera.health import Problem
from ptr_bringup.camera.source import CameraError, Frame


class Reel:
    """A source with a few images."""

    period = None

    def __init__(self, count: int) -> None:
        self.left, self.closed = count, False

    def read(self) -> Frame | None:
        self.left -= 1
        return Frame(time.monotonic(), b"x") if self.left >= 0 else None

    def close(self) -> None:
        self.closed = True


class Stage:
    """A capture thread with its images and messages."""

    def __init__(self, tries: list[Reel | CameraError], returns: bool = True) -> None:
        self.tries, self.images, self.told = tries, [], []
        self.changed, self.ended = threading.Condition(), None
        self.thread = CaptureThread(self.open, returns, self.deliver, self.tell, self.end)

    def open(self) -> Reel:
        found = self.tries.pop(0) if self.tries else CameraError("There is no camera any more.")
        if isinstance(found, CameraError):
            raise found
        return found

    def deliver(self, image: Frame) -> Problem | None:
        with self.changed:
            self.images.append(image)
            self.changed.notify_all()
        return Problem.FROZEN if image.jpeg == b"frozen" else None

    def tell(self, text: str) -> None:
        with self.changed:
            self.told.append(text)
            self.changed.notify_all()

    def end(self, reason: str) -> None:
        with self.changed:
            self.ended = reason
            self.changed.notify_all()

    def wait(self, condition) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=20.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MIN_WAIT", 0.01)
    monkeypatch.setattr(capture, "MAX_WAIT", 0.02)


def test_a_camera_that_is_unplugged_is_found_again() -> None:
    first, second = Reel(3), Reel(2)
    gone = CameraError("There is no camera /dev/video0.")
    stage = Stage([gone, gone, second])
    stage.thread.start(first)
    stage.wait(lambda: len(stage.images) == 5 and len(stage.told) >= 4)
    stage.thread.stop()
    assert stage.told[:4] == [
        "The camera has stopped sending images; waiting for it to come back.",
        "There is no camera /dev/video0.",  # once, though it was tried twice
        "The camera is available.",
        "The camera has stopped sending images; waiting for it to come back.",
    ]
    assert first.closed
    assert second.closed
    assert stage.ended is None
    assert stage.thread.reopened == 1


def test_a_camera_that_is_not_there_yet_is_waited_for() -> None:
    stage = Stage([CameraError("There is none."), Reel(1)])
    stage.thread.start(None)
    stage.wait(lambda: stage.images)
    stage.thread.stop()
    assert stage.told[:2] == ["There is none.", "The camera is available."]
    assert stage.thread.reopened == 0


class Frozen(Reel):
    """A source that repeats its image, 200 times a second."""

    def read(self) -> Frame | None:
        time.sleep(0.005)
        image = super().read()
        return image and Frame(image.taken, b"frozen")


def test_a_camera_that_stays_frozen_is_closed_and_opened_until_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MIN_TIMEOUT", 0.05)
    first, second, third = Frozen(10**9), Frozen(10**9), Reel(3)
    stage = Stage([second, third])
    stage.thread.start(first)
    stage.wait(lambda: stage.images and stage.images[-1].jpeg == b"x")
    stage.thread.stop()
    assert first.closed
    assert second.closed
    assert stage.thread.reopened == 2
    told = "Only frozen images for 0 s; reopening the camera (number"
    assert [text for text in stage.told if "frozen" in text] == [f"{told} {k} since the start)." for k in (1, 2)]


def test_a_file_is_never_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MIN_TIMEOUT", 0.02)
    stage = Stage([], returns=False)
    stage.thread.start(Frozen(20))
    stage.wait(lambda: stage.ended is not None)
    assert (stage.ended, len(stage.images), stage.told) == ("", 20, [])


def test_a_file_ends_once() -> None:
    stage = Stage([Reel(7)], returns=False)
    stage.thread.start(Reel(2))
    stage.wait(lambda: stage.ended is not None)
    assert stage.ended == ""
    assert len(stage.images) == 2
    assert stage.told == []


def test_an_image_that_can_not_be_read_ends_the_file_with_its_reason() -> None:
    class Damaged(Reel):
        def read(self) -> Frame | None:
            raise CameraError("3.png can't be read as an image.")

    damaged = Damaged(1)
    stage = Stage([], returns=False)
    stage.thread.start(damaged)
    stage.wait(lambda: stage.ended is not None)
    stage.thread.stop()
    assert stage.ended == "3.png can't be read as an image."
    assert damaged.closed


def test_an_error_of_a_library_ends_the_camera_with_its_reason() -> None:
    class Broken(Reel):
        def read(self) -> Frame | None:
            raise RuntimeError("select() failed")

    broken = Broken(1)
    stage = Stage([])
    stage.thread.start(broken)
    stage.wait(lambda: stage.ended is not None)
    stage.thread.stop()
    assert stage.ended == "capturing images failed: RuntimeError: select() failed"
    assert broken.closed


def test_the_period_of_a_file_is_kept() -> None:
    class Paced(Reel):
        period = 0.03

    stage = Stage([], returns=False)
    stage.thread.start(Paced(6))
    stage.wait(lambda: stage.ended is not None)
    assert stage.images[-1].taken - stage.images[0].taken >= 4.5 * 0.03


def test_stopping_closes_the_camera_and_ends_no_file() -> None:
    endless = Reel(10**9)
    stage = Stage([], returns=False)
    stage.thread.start(endless)
    stage.wait(lambda: stage.images)
    stage.thread.stop()
    assert endless.closed
    assert stage.ended is None
