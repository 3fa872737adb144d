# SPDX-License-Identifier: Apache-2.0
"""A process that hangs with its work done ends itself; one that does not hang keeps its own exit code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEGIN = "import ctypes, sys\nfrom ptr_models.common.processes import exit_after\nexit_after(0.3, {code})\n"


def run(script: str, faulthandler: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONFAULTHANDLER": faulthandler}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30.0)


@pytest.mark.parametrize("code", [0, 3])
def test_a_process_that_hangs_with_pythons_lock_ends_with_its_exit_code(code: int) -> None:
    done = run(BEGIN.format(code=code) + "ctypes.PyDLL(None).pause()")
    assert (done.returncode, done.stderr) == (code, "")


def test_a_process_that_hangs_says_where_when_python_is_asked_to() -> None:
    done = run(BEGIN.format(code=0) + "ctypes.PyDLL(None).pause()", faulthandler="1")
    assert done.returncode == 0
    assert "Timeout" in done.stderr and "line 4" in done.stderr


def test_a_process_that_ends_in_time_is_left_alone() -> None:
    done = run(BEGIN.format(code=0) + "sys.exit(5)")
    assert (done.returncode, done.stderr) == (5, "")
