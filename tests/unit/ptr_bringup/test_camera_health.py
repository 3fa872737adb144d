# SPDX-License-Identifier: Apache-2.0
"""Detection of frozen, dark, torn, missing and slow images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from bridge_sample import SAMPLE, needs_sample

from ptr_bringup.camera.health import CameraHealth, Problem
from ptr_models.common.image_checks import broken_off
from ptr_models.common.jpeg import encode

RATE = 30.0


def scene(seed: int, brightness: float = 1.0) -> bytes:
    """An image of a scene at rest, with the noise of a sensor."""
    rows, columns = np.mgrid[0:120, 0:160]
    flat = 110 + 60 * np.sin(rows / 17) + 50 * np.cos(columns / 23)
    noise = np.random.default_rng(seed).normal(0, 3, (120, 160))
    grey = np.clip(brightness * (flat + noise), 0, 255).astype(np.uint8)
    return encode(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), 90)


def watched(images, rate: float = RATE, noisy: bool = True, joints=None) -> tuple[CameraHealth, list[Problem | None]]:
    """A camera after some images, one per period, with the problem of each."""
    health = CameraHealth(RATE, noisy)
    health.start(0.0)
    said = [
        health.arrived((k + 1) / rate, jpeg, None if joints is None else joints[k]) for k, jpeg in enumerate(images)
    ]
    return health, said


def test_a_scene_at_rest_is_well() -> None:
    health, said = watched([scene(k) for k in range(90)])
    report = health.report(3.01)
    assert not any(said)
    assert report.problems == ()
    assert report.rate == pytest.approx(30.0, abs=1.0)
    assert (report.lost, report.torn) == (0, 0)
    assert report.age == pytest.approx(0.01)


def test_a_repeated_image_is_frozen_after_a_tenth_of_a_second_and_well_when_it_changes() -> None:
    health, said = watched([scene(0)] * 10)
    assert said.index(Problem.FROZEN) == 4  # the fifth image, 4/30 s after the first one like it
    assert all(problem is Problem.FROZEN for problem in said[4:])
    assert health.report(0.34).problems == (Problem.FROZEN,)
    assert health.arrived(0.35, scene(1)) is None
    assert health.report(0.36).problems == ()


def test_one_image_that_comes_twice_is_no_freeze() -> None:
    assert watched([scene(k // 2) for k in range(20)])[1] == [None] * 20


def test_without_noise_equal_images_are_frozen_only_when_the_arm_has_moved() -> None:
    still, moving = np.zeros((12, 6)), np.linspace(0, 0.3, 12)[:, None] * np.ones(6)
    assert not any(watched([scene(0)] * 12, noisy=False)[1])
    assert not any(watched([scene(0)] * 12, noisy=False, joints=still)[1])
    said = watched([scene(0)] * 12, noisy=False, joints=moving)[1]
    assert said.index(Problem.FROZEN) == 4
    assert not any(watched([scene(k) for k in range(12)], noisy=False, joints=moving)[1])


def test_a_cap_is_dark_and_a_dim_room_is_not() -> None:
    assert watched([scene(k, 0.03) for k in range(20)])[0].report(0.7).problems == (Problem.DARK,)
    assert watched([scene(k, 0.25) for k in range(20)])[0].report(0.7).problems == ()


def test_a_torn_image_is_refused_and_remembered_for_two_seconds() -> None:
    good = [scene(k) for k in range(80)]
    health, said = watched([*good[:9], good[9][: len(good[9]) // 2], *good[10:]])
    assert [k for k, problem in enumerate(said) if problem is Problem.TORN] == [9]
    assert health.report(2.3).torn == 1
    assert health.report(2.3).problems == (Problem.TORN,)
    assert "end is missing" in health.report(2.3).detail
    assert Problem.TORN not in health.report(2.7).problems


def test_an_image_whose_data_broke_off_but_that_has_an_end_is_torn() -> None:
    whole = scene(0)
    torn = whole[: len(whole) // 2] + b"\xff\xd9"
    assert watched([torn])[1] == [Problem.TORN]


def test_after_a_broken_image_each_one_is_looked_at_until_one_is_whole() -> None:
    """A stream that is out of step is refused image by image, not only when its turn to be decoded comes."""
    good = [scene(k) for k in range(30)]
    torn = [jpeg[: len(jpeg) // 2] + b"\xff\xd9" for jpeg in good]
    said = watched([*torn[:20], *good[20:]])[1]
    assert said == [Problem.TORN] * 20 + [None] * 10


def test_nothing_for_half_a_second_is_missing_and_not_also_slow() -> None:
    health, _ = watched([scene(k) for k in range(90)])
    assert health.report(3.3).problems == ()
    assert health.report(3.55).problems == (Problem.MISSING,)
    assert health.report(60.0).problems == (Problem.MISSING,)


def test_a_camera_that_never_gave_an_image_is_missing() -> None:
    health = CameraHealth(RATE, noisy=True)
    health.start(100.0)
    assert health.report(100.2).problems == ()
    assert health.report(100.6).problems == (Problem.MISSING,)
    assert np.isinf(health.report(100.6).age)


def test_a_slow_camera_is_slow_and_not_missing() -> None:
    """Fifteen instead of thirty a second: automatic exposure in a dim room."""
    health, _ = watched([scene(k) for k in range(40)], rate=15.0)
    report = health.report(40 / 15)
    assert report.problems == (Problem.SLOW,)
    assert report.rate == pytest.approx(15.0, abs=0.6)


def test_a_camera_that_is_slow_on_purpose_is_not_missing_between_its_images() -> None:
    health = CameraHealth(1.0, noisy=True)
    health.start(0.0)
    for k in range(5):
        assert health.arrived(k + 1.0, scene(k)) is None
    assert health.report(5.9).problems == ()


def test_images_that_did_not_come_are_counted() -> None:
    health = CameraHealth(RATE, noisy=True)
    for k in (0, 1, 2, 5, 6, 10):
        health.arrived(k / RATE, scene(k))
    assert health.report(0.34).lost == 2 + 3


@pytest.mark.parametrize(
    ("fill", "lines", "torn"),
    [(128, 20, True), (128, 8, True), (128, 7, False), (0, 20, False), (255, 20, False), (128, 60, False)],
)
def test_only_a_lower_end_of_one_middle_grey_is_broken_off(fill: int, lines: int, torn: bool) -> None:
    """Black and white ends are under- and overexposed; an image of a single color is something else."""
    small = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    small[60 - lines :] = fill
    assert broken_off(small) is torn


@needs_sample
def test_of_the_images_of_real_episodes_only_the_black_ones_raise_an_alarm() -> None:
    """WidowX episodes as they lie in the records; where a setup lacked a camera, Bridge has black images of it."""
    content = next(SAMPLE.glob("*.tfrecord-*")).read_bytes()
    images = [b"\xff\xd8\xff" + part for part in content.split(b"\xff\xd8\xff")[1:]]
    images = [part[: part.rindex(b"\xff\xd9") + 2] for part in images]
    health, found = CameraHealth(RATE, noisy=False), []
    for k, jpeg in enumerate(images):
        assert health.arrived(0.3 * k, jpeg) is None  # far enough apart that each one is decoded
        found.append(set(health.report(0.3 * k).problems) - {Problem.SLOW})
    black = [int(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 0).max()) == 0 for jpeg in images]
    assert (len(black), sum(black)) == (1000, 250)
    assert found == [{Problem.DARK} if empty else set() for empty in black]


def test_the_images_of_the_simulator_raise_no_alarm() -> None:
    world_of = pytest.importorskip("ptr_bringup.sim.world").World
    for kitchen, task in (("toykitchen1", "put_carrot_on_plate"), ("toykitchen2", "put_carrot_on_plate")):
        world = world_of(kitchen, task)
        health = CameraHealth(RATE, noisy=False)
        for seed in range(3):
            world.reset(seed)
            jpeg = encode(cv2.cvtColor(world.render(320, 240), cv2.COLOR_RGB2BGR), 90)
            assert health.arrived(0.3 * seed, jpeg) is None
            assert set(health.report(0.3 * seed).problems) <= {Problem.SLOW}
        world.close()
