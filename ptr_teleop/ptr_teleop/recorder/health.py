# SPDX-License-Identifier: Apache-2.0
"""Health of an episode's streams: silence, rates and lost messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ptr_models.common.stream_monitor import StreamRate
from ptr_teleop.recorder.streams import Stream

STALLED = 0.7
"""s of silence after which a required stream counts as stalled: an event is recorded, and no episode can start. Given
the period of the checks, a stall is detected within 1 s."""
MAX_PUBLISHERS = 16
"""Publishers per stream whose sequence numbers are kept, newest first: nodes come and go while a recorder runs."""
PUBLISHER_TIMEOUT = 1.0
"""s since its last message after which a publisher counts as gone."""


@dataclass(frozen=True)
class StreamStatus:
    """Health of one stream: the fields of StreamHealth."""

    topic: str
    required: bool
    stalled: bool
    rate: float
    age: float
    lost: int


class StreamMonitor:
    """Tracks the messages of one stream.

    Attributes:
        received: ns, arrival of the newest message; 0: none yet.
        lost: messages since `reset_losses` that never arrived, by their publishers' sequence numbers.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.received = 0
        self.lost = 0
        self._rate = StreamRate()
        self._numbers: dict[bytes, int] = {}
        self._publishers: dict[bytes, int] = {}  # arrival of the newest message, ns

    def receive(self, arrival: int, publisher: bytes = b"", sequence: int = 0) -> None:
        """Record a message (arrival in ns), its publisher (empty: the only one) and sequence number (0: not known)."""
        self.received = arrival
        self._rate.arrived(arrival * 1e-9)
        if publisher:
            self._publishers[publisher] = arrival
        self._prune(arrival)
        if not sequence:
            return
        before = self._numbers.get(publisher)
        if before is not None and sequence > before + 1:
            self.lost += sequence - before - 1
        if before is None or sequence > before:
            self._numbers.pop(publisher, None)  # the newest comes last
            self._numbers[publisher] = sequence
        if len(self._numbers) > MAX_PUBLISHERS:
            del self._numbers[next(iter(self._numbers))]

    def reset_losses(self) -> None:
        """Count losses from 0 for a new episode."""
        self.lost = 0

    def contested(self, now: int) -> bool:
        """True while two publishers send on a stream that may have only one. (The graph would also list dead ones.)"""
        self._prune(now)
        return not self.stream.shared and len(self._publishers) > 1

    def silent(self, now: int) -> bool:
        """True if no message arrived in the last STALLED seconds."""
        return not self.received or self.received < now - int(STALLED * 1e9)

    def health(self, now: int) -> StreamStatus:
        """Health of the stream."""
        return StreamStatus(
            topic=self.stream.topic,
            required=self.stream.required,
            stalled=self.stream.required and self.silent(now),
            rate=self._rate.rate(now * 1e-9),
            age=max(0, now - self.received) * 1e-9 if self.received else -1.0,
            lost=self.lost,
        )

    def _prune(self, now: int) -> None:
        oldest = now - int(PUBLISHER_TIMEOUT * 1e9)
        self._publishers = {one: at for one, at in self._publishers.items() if at >= oldest}


class StreamWatch:
    """All streams: which required ones are silent, and what has changed since the last check."""

    def __init__(self, streams: Iterable[Stream]) -> None:
        self._monitors = {stream.topic: StreamMonitor(stream) for stream in streams}
        self._stalled: set[str] = set()
        self._contested: set[str] = set()
        self._reported: dict[str, int] = {}  # lost messages by topic

    def __getitem__(self, topic: str) -> StreamMonitor:
        return self._monitors[topic]

    def start(self) -> None:
        """Start an episode: nothing has stalled, nothing is lost."""
        self._stalled, self._contested, self._reported = set(), set(), {}
        for monitor in self._monitors.values():
            monitor.reset_losses()

    def silent(self, now: int) -> list[str]:
        """Required topics without a message in the last STALLED seconds."""
        return [topic for topic, one in self._monitors.items() if one.stream.required and one.silent(now)]

    def contested(self, now: int) -> list[str]:
        """Topics with two publishers that may have only one."""
        return [topic for topic, one in self._monitors.items() if one.contested(now)]

    def lost(self) -> dict[str, int]:
        """Lost messages of this episode by topic, for topics that lost any."""
        return {topic: one.lost for topic, one in self._monitors.items() if one.lost}

    def health(self, now: int) -> list[StreamStatus]:
        """Health of every stream."""
        return [monitor.health(now) for monitor in self._monitors.values()]

    def changes(self, now: int) -> list[tuple[str, str]]:
        """Kind and text of the events since the last call."""
        silent = set(self.silent(now))
        found = [
            ("stream_stalled", f"no message on {topic} for {STALLED:.1f} s") for topic in sorted(silent - self._stalled)
        ]
        found += [("stream_recovered", f"messages on {topic} again") for topic in sorted(self._stalled - silent)]
        self._stalled = silent
        contested = set(self.contested(now))
        found += [("two_publishers", f"{topic} has two publishers") for topic in sorted(contested - self._contested)]
        self._contested |= contested
        lost = self.lost()
        for topic, count in lost.items():
            if more := count - self._reported.get(topic, 0):
                found.append(("messages_lost", f"{more} messages of {topic} never arrived"))
        self._reported = lost
        return found
