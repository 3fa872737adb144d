# SPDX-License-Identifier: Apache-2.0
"""The gripper's watchdog: forces that must not outlive the arm node, and the process that removes them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.drivers.interbotix import gripper_watchdog as module
from ptr_bringup.arm.drivers.interbotix.gripper_watchdog import GripperWatchdog, HeldForce

HOLD = 200.0


def told(*words: bytes) -> HeldForce:
    held = HeldForce(HOLD)
    for word in words:
        held.feed(word)
    return held


@pytest.mark.parametrize("force", [-350.0, -200.1, 0.1, 150.0, 350.0])
def test_a_gripper_that_moves_is_stopped_once(force: float) -> None:
    held = told(b"%.1f\n" % force)
    assert held.expire()
    assert not held.expire()


@pytest.mark.parametrize("force", [-200.0, -80.0, 0.0])
def test_what_is_held_is_not_dropped(force: float) -> None:
    assert not told(b"%.1f\n" % force).expire()


def test_nothing_is_taken_off_before_anything_was_told() -> None:
    assert not told().expire()
    assert not told(b"").expire()


def test_the_newest_whole_line_counts() -> None:
    assert not told(b"-350.0\n-200.0\n").expire()
    assert told(b"0.0\n-350.0\n-2").expire()  # the end came in the middle of a word
    assert not told(b"-350.0\n0", b".0\n").expire()


@given(st.lists(st.floats(-885.0, 885.0), min_size=1), st.integers(1, 9))
def test_it_does_not_matter_how_the_words_are_cut(forces: list[float], size: int) -> None:
    text = b"".join(b"%.1f\n" % force for force in forces)
    pieces = [text[k : k + size] for k in range(0, len(text), size)]
    assert told(*pieces).expire() == (not -HOLD <= round(forces[-1], 1) <= 0.0)


def watchdog_that_runs(monkeypatch: pytest.MonkeyPatch, program: str) -> GripperWatchdog:
    """A watchdog whose process runs another program."""
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> subprocess.Popen:
        return real([sys.executable, "-c", program], **options)

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    return GripperWatchdog("/commands", HOLD, "watchdog")


def test_a_watchdog_that_has_ended_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog = watchdog_that_runs(monkeypatch, "")
    watchdog._process.wait(30.0)
    watchdog.feed(-350.0)
    assert not watchdog.running
    watchdog.feed(-350.0)
    watchdog.close()


def test_a_watchdog_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads nothing: the pipe fills up, and the arm node keeps running."""
    monkeypatch.setattr(module, "_EXIT_TIMEOUT", 0.1)
    watchdog = watchdog_that_runs(monkeypatch, "import time; time.sleep(600)")
    for _ in range(20_000):
        watchdog.feed(-350.0)
    assert watchdog.running
    watchdog.close()
    assert watchdog._process.returncode == -9
