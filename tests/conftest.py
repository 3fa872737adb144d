# SPDX-License-Identifier: Apache-2.0
"""For all tests: one thread each, repeatable examples, and no shared memory left behind by killed nodes.

Hypothesis tries the same examples in every run; `--hypothesis-profile=default` lets it look for new ones.
A test with real nodes that failed while the computer itself stood still is run again, and the report shows how it had
failed (stalls.py); so is one that hung inside rclpy (hangs.py). Any other failure stands, and so does one after five
that were run again.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from stalls import BEGUN, again_after_stalls, watched_for_stalls

pytest_plugins = ["hangs"]

SHARED_MEMORY = Path("/dev/shm")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run side by side already
os.environ.setdefault("PYTHONFAULTHANDLER", "1")  # a process that hangs says where
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])  # of `ptr`
OLD = 60.0  # s; a younger file may be about to be mapped
LIVE = [Path(__file__).parent / folder for folder in ("integration", "system")]  # tests with real nodes

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Watch the machine while tests run, and let those with real nodes know."""
    live = [item for item in session.items if any(item.path.is_relative_to(folder) for folder in LIVE)]
    if not live:
        return (yield)
    with watched_for_stalls() as stalls:
        for item in live:
            item.add_marker(again_after_stalls(item, stalls))
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when this attempt began."""
    item.stash[BEGUN] = time.time_ns()


@pytest.fixture(autouse=True)
def ordinary_priority() -> Iterator[None]:
    """No test leaves its process at real-time priority: what it starts would inherit it, and starve the machine."""
    yield
    if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))
        pytest.fail("this test has given real-time priority to the process of the tests")


@pytest.fixture(scope="module", autouse=True)
def freed_memory_is_given_back() -> Iterator[None]:
    """A worker of the tests stays small: training in its process asks the C library to keep what is freed."""
    yield
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Once for the whole run, not in each worker."""
    if not hasattr(session.config, "workerinput"):
        remove_leftovers()


def remove_leftovers() -> None:
    """Remove the shared memory that Fast DDS leaves behind after kill -9 (8 MB a process).

    Only while no ROS process lives at all: a living one also holds lock files there that it has not mapped, and
    without them its messages stop.
    """
    if any("fastdds_" in _maps(process) for process in Path("/proc").glob("[0-9]*")):
        return
    for pattern in ("fastdds_*", "fast_datasharing_*", "sem.fastdds_*"):
        for file in SHARED_MEMORY.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > OLD:
                    os.unlink(file)


def _maps(process: Path) -> str:
    try:
        return (process / "maps").read_text()
    except OSError:
        return ""
