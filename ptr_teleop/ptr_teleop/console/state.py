# SPDX-License-Identifier: Apache-2.0
"""The state that every page shows: the newest messages and recent events.

Written by the thread that listens to the robot, read by the server's thread. Each attribute is a JSON value that is
replaced as a whole.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ptr_models.common.stream_monitor import StreamRate

POINTS = 600  # of the Q curve: two minutes at 5 Hz
EVENTS = 60
RECORDER_TIMEOUT = 0.8  # s; the recorder publishes 4 times a second
DIAGNOSTICS_TIMEOUT = 5.0  # s; motors and cameras are reported once a second


class EventLog:
    """A numbered list that drops its oldest entries; written by one thread, read by others.

    Args:
        length: entries that are kept.
    """

    def __init__(self, length: int) -> None:
        self._entries: deque[Any] = deque(maxlen=length)
        self._count = 0
        self._lock = threading.Lock()

    def append(self, entry: Any) -> None:
        """Add an entry; drops the oldest if there are too many."""
        with self._lock:
            self._entries.append(entry)
            self._count += 1

    def since(self, cursor: int) -> tuple[list[Any], int]:
        """Entries appended after `cursor`, as far as still kept, and the cursor for the next call.

        Args:
            cursor: 0 at first, then the one that the last call returned.
        """
        with self._lock:
            new = min(max(self._count - cursor, 0), len(self._entries))
            return list(self._entries)[len(self._entries) - new :], self._count


class StreamMonitor:
    """Which of the named streams are alive; written by one thread, read by others.

    Args:
        limits: s of silence after which a stream counts as stalled, by the stream's name.
    """

    def __init__(self, limits: dict[str, float]) -> None:
        self._limits = dict(limits)
        self._streams = {name: StreamRate() for name in limits}
        self._lock = threading.Lock()

    def receive(self, name: str, now: float) -> None:
        """Record that a message arrived at `now` (s, steady clock)."""
        with self._lock:
            self._streams[name].arrived(now)

    def report(self, now: float) -> list[dict[str, Any]]:
        """One entry per stream: name, alive, age in s (None: no message yet) and rate in Hz."""
        with self._lock:
            return [self._entry(name, stream, now) for name, stream in self._streams.items()]

    def _entry(self, name: str, stream: StreamRate, now: float) -> dict[str, Any]:
        age = stream.age(now)
        alive = age is not None and age <= self._limits[name]
        return {
            "name": name,
            "alive": alive,
            "age": None if age is None else round(age, 2),
            "rate": round(stream.rate(now), 1) if alive else 0.0,
        }


@dataclass
class Cursors:
    """How far one page has read the logs."""

    points: int = 0
    events: int = 0


@dataclass(frozen=True)
class Received:
    """A JSON value, and when it arrived (s, steady clock)."""

    value: dict[str, Any]
    at: float


class ConsoleState:
    """Everything that pages show.

    Args:
        cameras: names of the cameras.
        tasks: names that the page offers.
        task, operator: initial values of the page's fields.
        robot: namespace, shown by the page; empty: none.
        limits: s of silence after which a stream counts as stalled, by its name.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        tasks: Sequence[str],
        limits: dict[str, float],
        task: str = "",
        operator: str = "",
        robot: str = "",
    ) -> None:
        fields = {"task": task, "operator": operator, "robot": robot}
        self.settings = {"cameras": list(cameras), "tasks": list(tasks), **fields}
        self.streams = StreamMonitor(limits)
        self.points = EventLog(POINTS)
        self.events = EventLog(EVENTS)
        self.arm: Received | None = None
        self.safety: dict[str, Any] = {"reasons": [], "detail": "", "source": ""}
        self.recorder: Received | None = None
        self.teleop: Received | None = None
        self.policy: Received | None = None
        self.policy_status: dict[str, Any] | None = None
        self.evaluation: dict[str, Any] | None = None
        self.trial: dict[str, Any] | None = None
        self.reference: dict[str, Any] | None = None  # camera and number of the start image to match
        self.motors: Received | None = None
        self.cameras: dict[str, Received] = {}
        self.driver = ""  # address of the page that drives
        self.refused = 0  # messages of pages that were not acted upon

    def hello(self) -> dict[str, Any]:
        """Sent to a page once, when it connects."""
        return {"kind": "hello", **self.settings}

    def snapshot(self, cursors: Cursors, now: float) -> dict[str, Any]:
        """Sent to a page repeatedly; advances its cursors.

        Args:
            now: s, steady clock.
        """
        points, cursors.points = self.points.since(cursors.points)
        events, cursors.events = self.events.since(cursors.events)
        return {
            "kind": "state",
            "arm": _fresh(self.arm, now, 1.0),
            "safety": self.safety,
            "recorder": _fresh(self.recorder, now, 2.0),
            "teleop": _fresh(self.teleop, now, 3.0),
            "policy": _fresh(self.policy, now, 2.0),
            "policy_status": self._blinded(self.policy_status, "checkpoint"),
            "evaluation": self._blinded(self.evaluation, "policy"),
            "trial": self.trial,
            "reference": self.reference,
            "motors": _fresh(self.motors, now, DIAGNOSTICS_TIMEOUT),
            "cameras": {name: _fresh(view, now, DIAGNOSTICS_TIMEOUT) for name, view in list(self.cameras.items())},
            "streams": self._streams(now),
            "points": points,
            "events": events,
            "driver": self.driver,
            "refused": self.refused,
        }

    def _blinded(self, value: dict[str, Any] | None, key: str) -> dict[str, Any] | None:
        """The value without the field that would reveal the policy to a person who judges blind trials."""
        trial = self.trial  # the ROS thread may drop it at any time
        blind = trial is not None and trial["phase"] != "idle" and trial.get("blind", True)
        return {**value, key: ""} if value is not None and blind else value

    def _streams(self, now: float) -> list[dict[str, Any]]:
        """The streams that the console receives itself, then those that only the recorder receives."""
        own = self.streams.report(now)
        if self.recorder is None:
            return own
        quiet = now - self.recorder.at
        rows = [{"name": "recorder", "alive": quiet <= RECORDER_TIMEOUT, "age": round(quiet, 2), "rate": None}]
        known = {row["name"] for row in own}
        for stream in self.recorder.value["streams"]:
            if stream["required"] and stream["name"] not in known:
                age = None if stream["age"] is None else stream["age"] + quiet
                alive = age is not None and age <= RECORDER_TIMEOUT
                rows.append({"name": stream["name"], "alive": alive, "age": age, "rate": stream["rate"]})
        return own + rows


def _fresh(received: Received | None, now: float, max_age: float) -> dict[str, Any] | None:
    """The value, unless it is older than `max_age` s."""
    return received.value if received is not None and now - received.at <= max_age else None
