# SPDX-License-Identifier: Apache-2.0
"""Messages of the real arm's driver while xs_sdk is missing: no errors at first."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("interbotix_xs_msgs.msg")

from ptr_bringup.arm.drivers.interbotix import driver as module  # noqa: E402

ABSENT = "No joint state has arrived on /wx250s/joint_states; start xs_sdk, or launch with xs_sdk:=stand_in."


class Log:
    """Remembers what was logged, with its level."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def error(self, text: str) -> None:
        self.lines.append(("error", text))

    def info(self, text: str) -> None:
        self.lines.append(("info", text))


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A driver at second 100, without ROS; `later` advances time and polls it."""
    driver = module.InterbotixDriver.__new__(module.InterbotixDriver)
    log, clock = Log(), SimpleNamespace(now=100.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    driver._node = SimpleNamespace(get_logger=lambda: log)
    driver._topics = SimpleNamespace(problem=ABSENT, received=0)
    driver._sequencer = SimpleNamespace(busy=False)
    driver._last_attempt, driver._status, driver._startup_deadline = (
        -math.inf,
        module._STARTING,
        100.0 + module._STARTUP_TIMEOUT,
    )

    def later(seconds: float) -> list[tuple[str, str]]:
        clock.now += seconds
        del log.lines[:]
        driver._start_up(math.inf)
        return list(log.lines)

    return SimpleNamespace(later=later, driver=driver)


def test_an_xs_sdk_that_is_launched_beside_it_is_waited_for_before_its_absence_is_an_error(starting: Any) -> None:
    assert starting.later(1.0) == [("info", f"Waiting for xs_sdk: {ABSENT}")]
    assert starting.later(5.0) == []
    assert starting.later(module._STARTUP_TIMEOUT) == [("error", ABSENT)]
    assert starting.later(5.0) == []


def test_an_xs_sdk_that_was_there_and_is_gone_is_an_error_at_once(starting: Any) -> None:
    starting.driver._topics.received = 5
    assert starting.later(1.0) == [("error", ABSENT)]
