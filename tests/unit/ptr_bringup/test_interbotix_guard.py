# SPDX-License-Identifier: Apache-2.0
"""Which force of the gripper must not outlive its commander, and the process that sees to it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.drivers.interbotix import guard as guard_module
from ptr_bringup.arm.drivers.interbotix.guard import Guard
from ptr_bringup.arm.drivers.interbotix.vigil import Vigil

HOLD = 200.0


def told(*words: bytes) -> Vigil:
    vigil = Vigil(HOLD)
    for word in words:
        vigil.hear(word)
    return vigil


@pytest.mark.parametrize("force", [-350.0, -200.1, 0.1, 150.0, 350.0])
def test_a_gripper_that_moves_is_stopped_once(force: float) -> None:
    vigil = told(b"%.1f\n" % force)
    assert vigil.break_off()
    assert not vigil.break_off()


@pytest.mark.parametrize("force", [-200.0, -80.0, 0.0])
def test_what_is_held_is_not_dropped(force: float) -> None:
    assert not told(b"%.1f\n" % force).break_off()


def test_nothing_is_taken_off_before_anything_was_told() -> None:
    assert not told().break_off()
    assert not told(b"").break_off()


def test_the_newest_whole_line_counts() -> None:
    assert not told(b"-350.0\n-200.0\n").break_off()
    assert told(b"0.0\n-350.0\n-2").break_off()  # the end came in the middle of a word
    assert not told(b"-350.0\n0", b".0\n").break_off()


@given(st.lists(st.floats(-885.0, 885.0), min_size=1), st.integers(1, 9))
def test_it_does_not_matter_how_the_words_are_cut(forces: list[float], size: int) -> None:
    text = b"".join(b"%.1f\n" % force for force in forces)
    pieces = [text[k : k + size] for k in range(0, len(text), size)]
    assert told(*pieces).break_off() == (not -HOLD <= round(forces[-1], 1) <= 0.0)


def in_place_of_the_guard(monkeypatch: pytest.MonkeyPatch, program: str) -> Guard:
    """A guard whose process runs another program."""
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> subprocess.Popen:
        return real([sys.executable, "-c", program], **options)

    monkeypatch.setattr(guard_module.subprocess, "Popen", popen)
    return Guard("/commands", HOLD, "guard")


def test_a_guard_that_has_ended_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = in_place_of_the_guard(monkeypatch, "")
    guard._process.wait(30.0)
    guard.tell(-350.0)
    assert not guard.there
    guard.tell(-350.0)
    guard.close()


def test_a_guard_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads nothing: the pipe gets full, and the arm node goes on."""
    monkeypatch.setattr(guard_module, "_END", 0.1)
    guard = in_place_of_the_guard(monkeypatch, "import time; time.sleep(600)")
    for _ in range(20_000):
        guard.tell(-350.0)
    assert guard.there
    guard.close()
    assert guard._process.returncode == -9
