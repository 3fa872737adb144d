# SPDX-License-Identifier: Apache-2.0
"""When a camera with unusable images is reopened: soon at first, rarely if it does not help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.camera.capture import MAX_TIMEOUT, MIN_TIMEOUT, STABLE, ReconnectBackoff

RATE = 30.0
DEVICE = 1.0
"""s to close and open a device."""


def openings(seconds: float, useful, backoff: ReconnectBackoff | None = None, rate: float = RATE) -> list[float]:
    """When a camera is reopened, of whose images `useful(s, s since the last opening)` says whether they are."""
    backoff, times, now = backoff or ReconnectBackoff(), [], 0.0
    while now < seconds:
        if backoff.due(now, useful(now, now - (times[-1] + DEVICE if times else 0.0))):
            times.append(now)
            backoff.opened()
            now += DEVICE
        now += 1.0 / rate
    return times


def test_a_camera_that_freezes_is_opened_again_after_two_seconds() -> None:
    found = openings(20.0, lambda now, _: now < 5.0 or now > 7.5)
    assert found == [pytest.approx(5.0 + MIN_TIMEOUT, abs=2 / RATE)]


def test_the_waits_double_up_to_a_minute() -> None:
    found = openings(300.0, lambda *_: False)
    waits = [later - earlier - DEVICE for earlier, later in zip(found, found[1:], strict=False)]
    assert found[0] == pytest.approx(2.0, abs=2 / RATE)
    assert waits == pytest.approx([4, 8, 16, 32, 60, 60, 60], abs=3 / RATE)


def test_a_view_that_never_changes_costs_no_more_than_one_opening_a_minute() -> None:
    """A test pattern, a capped sensor: the images are equal bit for bit, though the camera is well."""
    assert len(openings(3600.0, lambda *_: False, rate=5.0)) <= 6 + 3600 / (MAX_TIMEOUT + DEVICE)


def test_a_camera_that_is_well_for_a_moment_after_each_opening_is_still_opened_ever_more_rarely() -> None:
    """Its automatic exposure comes to rest, and then the images are equal again."""
    assert len(openings(3600.0, lambda _, opened: opened < 10.0, rate=5.0)) <= 6 + 3600 / (MAX_TIMEOUT + DEVICE)


def test_a_minute_of_good_images_is_a_new_beginning() -> None:
    backoff = ReconnectBackoff()
    openings(100.0, lambda *_: False, backoff)
    assert backoff.timeout == MAX_TIMEOUT
    found = openings(80.0, lambda now, _: now < STABLE + 1.0, backoff)
    assert found[0] == pytest.approx(STABLE + 1.0 + MIN_TIMEOUT, abs=2 / RATE)


def test_images_that_are_torn_now_and_then_are_no_reason() -> None:
    assert openings(120.0, lambda now, _: round(now * RATE) % 30 == 0) == []


def test_what_was_before_the_camera_went_does_not_count_when_it_is_back() -> None:
    backoff = ReconnectBackoff()
    assert not backoff.due(0.0, useful=False)
    backoff.opened()
    assert not backoff.due(100.0, useful=False)
    assert not backoff.due(100.0 + MIN_TIMEOUT - 0.1, useful=False)
    assert backoff.due(100.0 + MIN_TIMEOUT, useful=False)


@given(st.lists(st.tuples(st.floats(0.01, 2.0), st.booleans()), min_size=1, max_size=200))
def test_it_is_never_opened_again_within_the_patience_nor_after_a_good_image(steps: list[tuple[float, bool]]) -> None:
    backoff, now, last_good = ReconnectBackoff(), 0.0, -0.0
    for step, useful in steps:
        now += step
        timeout = backoff.timeout
        due = backoff.due(now, useful)
        assert MIN_TIMEOUT <= backoff.timeout <= MAX_TIMEOUT
        assert not (due and useful)
        if due:
            assert now - last_good >= timeout
            backoff.opened()
        if due or useful:
            last_good = now
