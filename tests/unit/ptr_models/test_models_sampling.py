# SPDX-License-Identifier: Apache-2.0
"""The newest sample at or before a time, live and recorded."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.contract import Camera, Contract
from ptr_models.episodes.errors import EpisodeError, StaleSampleError
from ptr_models.episodes.sampling import (
    ArmSample,
    LatestBuffer,
    RecordedStream,
    as_of,
    choose,
    decode_image,
    newest,
    observation_of,
    resize_image,
)
from ptr_models.episodes.trajectory import encode_jpeg

ARM = ArmSample((0.3, 0.0, 0.15), (0.0, 0.7071, 0.0, 0.7071), 1.0)


@given(st.lists(st.integers(0, 50)), st.integers(-5, 60))
def test_as_of_is_the_last_stamp_not_after_the_time(stamps: list[int], time: int) -> None:
    stamps.sort()
    index = as_of(stamps, time)
    assert all(stamp <= time for stamp in stamps[: index + 1])
    assert all(stamp > time for stamp in stamps[index + 1 :])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers()), max_size=20), st.integers(0, 30))
def test_live_and_recorded_streams_answer_alike_in_any_order_of_arrival(
    samples: list[tuple[int, int]], time: int
) -> None:
    live: LatestBuffer[int] = LatestBuffer(size=100)
    for stamp, value in samples:
        live.append(stamp, value)
    assert live.as_of(time) == RecordedStream(samples).as_of(time)


def test_a_buffer_forgets_the_oldest_samples() -> None:
    buffer: LatestBuffer[str] = LatestBuffer(size=2)
    for stamp, value in ((1, "a"), (2, "b"), (3, "c")):
        buffer.append(stamp, value)
    assert buffer.as_of(1) is None
    assert buffer.as_of(2) == (2, "b")
    buffer.clear()
    assert buffer.as_of(9) is None


def test_a_buffer_can_be_filled_from_several_threads() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(size=4000)
    threads = [threading.Thread(target=lambda n=n: [buffer.append(4 * k + n, n) for k in range(500)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [buffer.as_of(stamp) for stamp in (0, 1001, 1999)] == [(0, 0), (1001, 1), (1999, 3)]


def test_a_sample_that_is_too_old_is_refused_with_its_age() -> None:
    stream = RecordedStream([(1_000_000_000, "x")])
    assert newest(stream, "s", 1_300_000_000, 0.3)[1] == "x"
    with pytest.raises(StaleSampleError, match=r"stream s has a newest sample 0\.301 s old.*at most 0\.300"):
        newest(stream, "s", 1_301_000_000, 0.3)
    with pytest.raises(StaleSampleError, match="no sample yet"):
        newest(stream, "s", 999_999_999, 0.3)


def test_images_are_rgb_and_squashed_by_area() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, ::2] = (200, 100, 0)
    assert (resize_image(image, Camera(height=2, width=4)) == (100, 50, 0)).all()
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    decoded = decode_image(encode_jpeg(red), Camera(height=32, width=32))
    assert decoded[16, 16, 0] > 250
    assert decoded[16, 16, 2] < 5


@pytest.mark.parametrize("data", [b"", b"not an image", encode_jpeg(np.zeros((8, 8, 3), np.uint8))[:20]])
def test_bytes_that_are_no_image_are_refused(data: bytes) -> None:
    with pytest.raises(EpisodeError, match="camera over_shoulder .* cannot be decoded"):
        decode_image(data, Camera())


def test_an_observation_stacks_cameras_in_the_order_of_the_contract() -> None:
    contract = Contract(cameras=(Camera("wrist", 8, 8), Camera("front", 8, 8)))
    done, bright = cv2.imencode(".png", np.full((8, 8, 3), 200, np.uint8))
    done, dark = cv2.imencode(".png", np.full((8, 8, 3), 10, np.uint8))
    images = {
        "front": RecordedStream([(5, dark.tobytes())]),
        "wrist": RecordedStream([(7, bright.tobytes())]),
    }
    observation = observation_of(contract, choose(contract, images, RecordedStream([(6, ARM)]), 10))
    assert observation.images.shape == (2, 8, 8, 3)
    assert (observation.images[0] == 200).all()
    assert observation.image_stamps == (7, 5)
    assert observation.state_stamp == 6


def test_a_missing_camera_is_named_with_those_that_are_there() -> None:
    with pytest.raises(EpisodeError, match="camera over_shoulder is missing; there are: wrist"):
        observation_of(Contract(), choose(Contract(), {"wrist": RecordedStream([])}, RecordedStream([(0, ARM)]), 0))
