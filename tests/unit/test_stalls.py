# SPDX-License-Identifier: Apache-2.0
"""A test with real nodes that fails while the computer stands still is run again, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import stalls
from stalls import AFTERMATH, BEGUN, MOST, Stalls, again_after_stalls

TESTS = Path(__file__).resolve().parents[1]
MODULE = '''
import os
import signal
import time
from pathlib import Path

import pytest

@pytest.fixture(scope="module")
def attempts():
    return []

def watchers():
    """Processes that this one has started."""
    mine = f"PPid:\\t{os.getpid()}\\n"
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if mine in (folder / "status").read_text()]

def test_stalled(attempts):
    attempts.append(len(attempts))
    if not attempts[1:]:
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for process in watchers():
                os.kill(process, number)
            time.sleep(0.2)
        raise RuntimeError("of a stall")
'''


@pytest.fixture
def noted(tmp_path: Path) -> Stalls:
    (tmp_path / "noted").write_text("1000 0.03\n2000 0.7\n3000 0.01\n40")
    return Stalls(tmp_path / "noted")


def test_the_longest_stall_is_one_that_ended_between_the_moments(noted: Stalls) -> None:
    assert noted.longest(0, 5000) == 0.7
    assert noted.longest(0, 1999) == 0.03
    assert noted.longest(2001, 2999) == 0.0


def test_what_is_allowed_for_has_a_limit_and_is_known_after_the_file_has_gone(noted: Stalls, tmp_path: Path) -> None:
    noted.keep()
    (tmp_path / "noted").unlink()
    assert noted.allowance(0, 1999) == 30_000_000
    assert noted.allowance(0, 5000) == round(MOST * 1e9)


def test_a_failure_without_a_stall_or_a_stop_stands(
    noted: Stalls, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "STOPS", [])
    again = again_after_stalls(request.node, noted).kwargs["condition"]
    request.node.stash[BEGUN] = 1500
    assert again()
    request.node.stash[BEGUN] = 2500  # what came later was short
    assert not again()
    stalls.STOPS.append(2400 - AFTERMATH)
    assert not again()
    stalls.STOPS.append(2600 - AFTERMATH)
    assert again()


def test_a_failure_beside_a_stall_is_tried_again_and_shown(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "integration"
    folder.mkdir(parents=True)
    (folder / "test_one.py").write_text(MODULE)
    for name in ("conftest.py", "hangs.py", "stalls.py"):
        (folder.parent / name).symlink_to(TESTS / name)
    command = [sys.executable, "-m", "pytest", "-c", TESTS.parent / "pyproject.toml", "--rootdir", tmp_path, "-n", "0"]
    done = subprocess.run([*command, folder], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert "1 passed, 1 rerun" in done.stdout, done.stdout
    assert "RuntimeError: of a stall" in done.stdout
