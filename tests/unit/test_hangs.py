# SPDX-License-Identifier: Apache-2.0
"""A worker that hangs with Python's lock held is ended; the test runs again if it hung in rclpy, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
NATIVE = """
import ctypes

def deadlock():
    native = ctypes.PyDLL(None)  # which keeps Python's lock
    mutex = ctypes.create_string_buffer(64)
    native.pthread_mutex_lock(mutex)
    native.pthread_mutex_lock(mutex)
"""
MODULE = """
from pathlib import Path

from native import deadlock

def test_before():
    pass

def test_hangs_once():
    if not Path("hung").exists():
        Path("hung").touch()
        deadlock()

def test_after():
    pass
"""
ALONE = MODULE.partition("def test_before")[0] + "def test_hangs_once" + MODULE.partition("def test_hangs_once")[2]
ALONE = ALONE.partition("def test_after")[0]


@pytest.mark.parametrize(
    ("package", "code", "outcome"),
    [("rclpy", 0, "3 passed, 1 rerun"), ("another", 1, "1 failed, 3 passed")],
)
def test_a_worker_that_hangs_is_ended_and_another_goes_on(
    package: str, code: int, outcome: str, tmp_path: Path
) -> None:
    (tmp_path / "test_hanging.py").write_text(MODULE)
    done = run(tmp_path, package)
    assert done.returncode == code, done.stdout + done.stderr
    assert outcome in done.stdout
    assert f"{package}/native.py" in done.stdout  # where it hung
    assert not list(tmp_path.glob("pytest-hang-*"))


def test_a_run_ends_although_all_other_tests_were_done_when_its_worker_was_ended(tmp_path: Path) -> None:
    for name in ("test_a.py", "test_b.py", "test_c.py"):
        (tmp_path / name).write_text("def test_one(): pass\ndef test_two(): pass\n")
    (tmp_path / "test_hanging.py").write_text(ALONE)
    done = run(tmp_path, "rclpy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed, 1 rerun" in done.stdout


def test_a_run_without_news_of_any_worker_ends_and_says_where_each_stood(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text("def test_fails():\n    raise ValueError('seen before')\n")
    (tmp_path / "test_hanging.py").write_text(ALONE)
    done = run(tmp_path, "rclpy", PTR_TEST_HANG_LIMIT="100", PTR_TEST_SILENCE="12")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no test has begun or ended for" in done.stdout
    assert "test_hanging.py::test_hangs_once" in done.stdout
    assert "rclpy/native.py" in done.stdout  # where it stood
    assert "seen before" in done.stdout  # what had failed until then


def run(tmp_path: Path, package: str, **limits: str) -> subprocess.CompletedProcess[str]:
    """Run the tests in a folder; what they import as `native` lies in a package of that name; `limits` are in s."""
    (tmp_path / package).mkdir()
    (tmp_path / package / "native.py").write_text(NATIVE)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["hangs"]\n')
    options = "-n 1 --dist loadfile --max-worker-restart 1 --timeout 50 --timeout-method signal -c /dev/null"
    shown = "-rA --rerun-show-tracebacks"
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options.split(), *shown.split(), "--rootdir", str(tmp_path), "."],
        cwd=tmp_path,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
            "PYTHONPATH": f"{tmp_path / package}{os.pathsep}{TESTS}",
            **{"PTR_TEST_HANG_LIMIT": "2", **limits},
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
