# SPDX-License-Identifier: Apache-2.0
"""A worker of the tests that hangs in native code is ended, and its test runs again if the code was rclpy's.

Fast DDS can deadlock while it announces itself and another node goes away
(https://github.com/eProsima/Fast-DDS/issues/6502), once in some 25 runs of all tests. Where that happens to the test's
own node, Python's lock is held, no signal handler runs, and pytest-timeout can't end the test. A thread of
faulthandler's can: it writes where every thread was and ends the process. pytest-xdist then starts another worker,
which goes on with that test.

In pytest-xdist 3.8 that can leave the whole run waiting (https://github.com/pytest-dev/pytest-xdist/issues/1378 and
1327): a worker begins a test only once it knows the next one, or that there is none, and after a worker's end the
others may be told neither. `Scheduling` tells them.

Where all this does not help, and no test has begun or ended for `SILENCE`, the run ends: it says which tests were under
way, where each worker stood and what ran on the machine, then what had failed until then.
"""

from __future__ import annotations

import _thread
import faulthandler
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

LIMIT = 330.0  # s for one attempt; pytest-timeout ends it after 300 s wherever Python still runs
SILENCE = 2 * LIMIT  # s without any news of any worker; the longest attempt may take LIMIT
WRITTEN = 2.0  # s in which a worker has written where it stands
OF_ROS = "/rclpy/"
_files: list[IO[bytes]] = []  # faulthandler writes to the file as long as it is open


class Scheduling(LoadFileScheduling):
    """`--dist loadfile` whose workers always have a next test, or know that there is none."""

    def _reschedule(self, node: WorkerController) -> None:
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Take the place of xdist's own."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin to count for this attempt."""
    worker = getattr(item.config, "workerinput", None)
    if worker is None:
        return  # without workers there is nobody who could go on
    if not _files:
        _files.append(_noted(worker).open("wb"))
        faulthandler.register(signal.SIGUSR2, file=_files[0])
    faulthandler.dump_traceback_later(float(os.environ.get("PTR_TEST_HANG_LIMIT", LIMIT)), exit=True, file=_files[0])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Stop counting once this attempt has left nothing behind."""
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(report: Any) -> None:
    """Say where the worker hung; a test that it hung in rclpy with is run again and has not failed yet."""
    noted = _noted(report.node.workerinput)
    if not noted.exists():
        return
    stacks = noted.read_text()
    noted.unlink()
    if stacks:
        report.longrepr += f"\nit hung, and was ended:\n{stacks}"
        if OF_ROS in stacks:
            report.outcome = "rerun"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Leave no file of a worker that ended as it should."""
    if error is None:
        _noted(node.workerinput).unlink(missing_ok=True)


class Watch:
    """In the process that leads the workers: end the run once nothing has been heard of any for too long."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._silence = float(os.environ.get("PTR_TEST_SILENCE", SILENCE))
        self._last = time.monotonic()
        self._under_way: dict[str, float] = {}  # monotonic s at which a test began
        self._workers: list[dict[str, Any]] = []
        self._ended = threading.Event()

    def pytest_sessionstart(self) -> None:
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def pytest_sessionfinish(self) -> None:
        self._ended.set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        self._last = time.monotonic()
        self._workers.append({**node.workerinput, "pid": node.gateway._rinfo().pid})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._last = self._under_way[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._last = time.monotonic()
        self._under_way.pop(nodeid, None)

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self._silence / 4)):
            if time.monotonic() - self._last > self._silence:
                self._config.get_terminal_writer().write("\n".join(self._report()), flush=True)
                _thread.interrupt_main()  # which ends the workers, and says what had failed
                return

    def _report(self) -> Iterator[str]:
        now = time.monotonic()
        yield f"\nno test has begun or ended for {now - self._last:.0f} s: the run ends"
        for nodeid, begun in self._under_way.items():
            yield f"under way for {now - begun:.0f} s: {nodeid}"
        for worker in self._workers:
            try:
                os.kill(worker["pid"], signal.SIGUSR2)
            except ProcessLookupError:
                continue  # an earlier one, which has ended
            time.sleep(WRITTEN)
            noted = _noted(worker)
            yield f"{worker['workerid']} (process {worker['pid']}) stands at:"
            yield noted.read_text(errors="replace") if noted.exists() else "it has not begun a test"
        columns = "pid,ppid,stat,cls,rtprio,pcpu,etimes,wchan:20,args:160"
        command = ["ps", "--ppid", "2", "--pid", "2", "--deselect", "-o", columns, "--sort=-pcpu"]  # 2: the kernel's
        yield subprocess.run(command, capture_output=True, text=True).stdout


def pytest_configure(config: pytest.Config) -> None:
    """Watch the workers, where there are any."""
    if config.getvalue("dist") != "no" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Watch(config))


def _noted(worker: dict[str, Any]) -> Path:
    return Path(tempfile.gettempdir()) / f"pytest-hang-{worker['testrunuid']}-{worker['workerid']}"
