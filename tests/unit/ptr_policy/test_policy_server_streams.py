# SPDX-License-Identifier: Apache-2.0
"""When a motion that was begun may go on, between two steps: streams are fresh, and images are news."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_msgs.msg import ArmState
from ptr_policy.server.streams import ObservationStreams


class Bench:
    """The streams of a server with a contract, fed by hand; times in s."""

    def __init__(self, rate: float, *cameras: str) -> None:
        self.callbacks: dict[str, Any] = {}
        self.now = 0.0
        clock = SimpleNamespace(now=lambda: _time(self.now))
        node = SimpleNamespace(create_subscription=self._subscribe, get_clock=lambda: clock)
        contract = Contract(control_rate=rate).with_cameras(cameras or ["over_shoulder"])
        self.streams = ObservationStreams(node, contract, delay=0.0)

    def _subscribe(self, kind: type, topic: str, callback: Any, quality: Any) -> None:
        self.callbacks[topic] = callback

    def image(self, stamp: float, seed: int, camera: str = "over_shoulder", light: float = 1.0) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        pixels = (pixels * light).astype(np.uint8)
        message = CompressedImage(format="jpeg", data=cv2.imencode(".jpg", pixels)[1].tobytes())
        message.header.stamp = _time(stamp).to_msg()
        self.callbacks[f"camera/{camera}/image/compressed"](message)

    def arm(self, stamp: float, x: float = 0.3) -> None:
        message = ArmState()
        message.header.stamp = _time(stamp).to_msg()
        message.measured_pose.position.x, message.measured_pose.orientation.w = x, 1.0
        self.callbacks["arm/state"](message)

    def trusted(self, now: float) -> bool:
        return self.streams.trusted(_time(now))


def _time(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


@pytest.mark.parametrize(("rate", "longest"), [(5.0, 0.21), (10.0, 0.1167), (20.0, 0.1167), (50.0, 0.1167)])
@pytest.mark.parametrize("silent", ["image", "arm"])
def test_a_stream_may_be_silent_for_a_period_and_10_ms_or_as_long_as_a_healthy_camera(
    rate: float, longest: float, silent: str
) -> None:
    bench, now = Bench(rate), 100.0
    bench.image(now if silent == "arm" else now - longest + 0.002, 1)
    bench.arm(now if silent == "image" else now - longest + 0.002)
    assert bench.trusted(now)
    assert bench.streams.observe(_time(now)).images.shape == (1, 64, 64, 3)
    later = now + 0.004
    (bench.arm if silent == "image" else lambda stamp: bench.image(stamp, 2))(later)
    assert not bench.trusted(later)
    with pytest.raises(EpisodeError, match="camera over_shoulder" if silent == "image" else "arm state"):
        bench.streams.observe(_time(later))


def test_the_streams_say_whether_the_arm_is_stopped_and_that_of_an_unknown_arm_they_do_not() -> None:
    bench = Bench(5.0)
    assert not bench.streams.arm_stopped
    for mode, stopped in ((ArmState.PROTECTIVE_STOP, True), (ArmState.IDLE, False)):
        bench.callbacks["arm/state"](ArmState(mode=mode))
        assert bench.streams.arm_stopped is stopped


TWO = ("wrist", "over_shoulder")


def test_an_observation_waits_for_every_camera_and_takes_each_view_as_of_one_moment() -> None:
    bench = Bench(5.0, *TWO)
    bench.arm(100.0)
    bench.image(100.0, 1)
    with pytest.raises(EpisodeError, match="camera wrist"):
        bench.streams.observe(_time(100.0))
    bench.image(99.95, 2, "wrist")
    first = bench.streams.observe(_time(100.0)).images
    bench.image(100.03, 3, "wrist")  # after the moment that is asked for
    again = bench.streams.observe(_time(100.0)).images
    assert first.shape == (2, 64, 64, 3) and np.array_equal(first, again)
    later = bench.streams.observe(_time(100.03)).images
    assert np.array_equal(later[1], first[1]) and not np.array_equal(later[0], first[0])


@pytest.mark.parametrize("ill", TWO)
@pytest.mark.parametrize("how", ["late", "frozen", "dark"])
def test_one_camera_that_is_ill_is_named_while_the_other_is_well(ill: str, how: str) -> None:
    bench = Bench(5.0, *TWO)
    for tick in range(3):
        stamp = 100.0 + 0.1 * tick
        bench.arm(stamp, 0.3 + 0.01 * tick)
        for camera in TWO:
            if camera != ill:
                bench.image(stamp, tick, camera)
            elif how != "late" or tick == 0:
                bench.image(stamp, 0 if how == "frozen" else 10 + tick, camera, 0.02 if how == "dark" else 1.0)
        if tick == 0 and how != "dark":
            bench.streams.observe(_time(stamp))
    now = 100.25 if how == "late" else 100.2
    with pytest.raises(EpisodeError, match=f"camera {ill}"):
        bench.streams.observe(_time(now))


def test_before_anything_was_heard_nothing_is_trusted() -> None:
    bench = Bench(5.0)
    assert not bench.trusted(100.0)
    bench.image(100.0, 1)
    assert not bench.trusted(100.0)


def test_images_that_freeze_between_two_steps_are_noticed_before_the_next_one() -> None:
    """At 0.25 m/s and 15 Hz: the second image after the last true one tells."""
    bench, speed = Bench(5.0), 0.25
    for tick in range(21):
        stamp = 100.0 + 0.01 * tick
        bench.arm(stamp, 0.3 + speed * 0.01 * tick)
        if tick % 7 == 0:
            bench.image(stamp, min(tick, 7))  # frozen from the second image on
        if tick == 0:
            bench.streams.observe(_time(stamp))
        assert bench.trusted(stamp) == (tick < 14)


def test_an_arm_at_rest_and_a_scene_without_noise_are_trusted() -> None:
    bench = Bench(5.0)
    for tick in range(50):
        stamp = 100.0 + 0.02 * tick
        bench.arm(stamp)
        bench.image(stamp, 1)
        assert bench.trusted(stamp)
