# SPDX-License-Identifier: Apache-2.0
"""Audits happen beside the recorder, in the order in which the episodes were saved."""

from __future__ import annotations

import threading
from pathlib import Path

from ptr_teleop.recorder.auditor import Auditor
from ptr_teleop.recorder.episode import Audit


def test_an_audit_takes_its_time_without_holding_up_the_caller() -> None:
    go, finished = threading.Event(), threading.Event()

    def slow(path: Path) -> Audit:
        assert go.wait(10.0)
        return Audit("", "keep", (path.name,))

    auditor = Auditor(slow, finished.set)
    auditor.submit(Path("a"))
    auditor.submit(Path("b"))
    assert auditor.results() == []
    go.set()
    found: list[tuple[Path, Audit]] = []
    while len(found) < 2:
        assert finished.wait(10.0)
        finished.clear()
        found += auditor.results()
    assert [(path.name, audit.findings) for path, audit in found] == [("a", ("a",)), ("b", ("b",))]


def test_a_bag_that_cannot_be_read_at_all_is_reported_and_the_next_one_is_audited() -> None:
    finished = threading.Semaphore(0)

    def broken(path: Path) -> Audit:
        if path.name == "a":
            raise OSError("Input/output error")
        return Audit()

    auditor = Auditor(broken, finished.release)
    auditor.submit(Path("a"))
    auditor.submit(Path("b"))
    assert finished.acquire(timeout=10.0) and finished.acquire(timeout=10.0)
    (_, first), (_, second) = auditor.results()
    assert (first.problem, first.recommendation) == ("it could not be audited: Input/output error", "discard")
    assert second == Audit()
