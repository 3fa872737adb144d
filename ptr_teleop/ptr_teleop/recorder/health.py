# SPDX-License-Identifier: Apache-2.0
"""How the streams of an episode are: heard lately, how often, and what never arrived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ptr_models.common.stream_monitor import StreamRate
from ptr_teleop.recorder.streams import Stream

STALLED = 0.7
"""s of silence of a required stream that is an event, and forbids a start. With the time between two looks it is
known within 1 s."""
PUBLISHERS = 16
"""publishers of a stream whose numbers are remembered, the newest ones: nodes come and go while a recorder stays."""
SPEAKS = 1.0
"""s for which a message shows that its publisher is there."""


@dataclass(frozen=True)
class Health:
    """One stream at one time: the fields of StreamHealth."""

    topic: str
    required: bool
    stalled: bool
    rate: float
    age: float
    lost: int


class StreamMonitor:
    """Hears the messages of a stream.

    Attributes:
        heard: ns, arrival of the newest message, 0: none yet.
        lost: messages since `forget_losses` that a publisher numbered and that never arrived.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.heard = 0
        self.lost = 0
        self._rate = StreamRate()
        self._numbers: dict[bytes, int] = {}
        self._speakers: dict[bytes, int] = {}

    def hear(self, arrival: int, publisher: bytes = b"", sequence: int = 0) -> None:
        """Take note of a message (arrival in ns) with its publisher (empty: the only one) and number (0: not known)."""
        self.heard = arrival
        self._rate.arrived(arrival * 1e-9)
        if publisher:
            self._speakers[publisher] = arrival
        self._prune(arrival)
        if not sequence:
            return
        before = self._numbers.get(publisher)
        if before is not None and sequence > before + 1:
            self.lost += sequence - before - 1
        if before is None or sequence > before:
            self._numbers.pop(publisher, None)  # the newest comes last
            self._numbers[publisher] = sequence
        if len(self._numbers) > PUBLISHERS:
            del self._numbers[next(iter(self._numbers))]

    def forget_losses(self) -> None:
        """An episode begins."""
        self.lost = 0

    def contested(self, now: int) -> bool:
        """True while two publishers speak on a stream that may have one; the graph would also name dead ones."""
        self._prune(now)
        return not self.stream.shared and len(self._speakers) > 1

    def silent(self, now: int) -> bool:
        """True when nothing came in the last STALLED seconds."""
        return self.heard < now - int(STALLED * 1e9)

    def health(self, now: int) -> Health:
        """How it is."""
        return Health(
            topic=self.stream.topic,
            required=self.stream.required,
            stalled=self.stream.required and self.silent(now),
            rate=self._rate.rate(now * 1e-9),
            age=max(0, now - self.heard) * 1e-9 if self.heard else -1.0,
            lost=self.lost,
        )

    def _prune(self, now: int) -> None:
        gone = [one for one, at in self._speakers.items() if at < now - int(SPEAKS * 1e9)]
        for one in gone:
            del self._speakers[one]


class StreamWatch:
    """All streams: which required ones are silent, and what has changed since the last look."""

    def __init__(self, streams: Iterable[Stream]) -> None:
        self._monitors = {stream.topic: StreamMonitor(stream) for stream in streams}
        self._stalled: set[str] = set()
        self._contested: set[str] = set()
        self._told: dict[str, int] = {}

    def __getitem__(self, topic: str) -> StreamMonitor:
        return self._monitors[topic]

    def begin(self) -> None:
        """An episode begins: nothing has stalled, nothing is lost."""
        self._stalled, self._contested, self._told = set(), set(), {}
        for monitor in self._monitors.values():
            monitor.forget_losses()

    def silent(self, now: int) -> list[str]:
        """Required topics without a message in the last STALLED seconds."""
        return [topic for topic, one in self._monitors.items() if one.stream.required and one.silent(now)]

    def contested(self, now: int) -> list[str]:
        """Topics on which two publishers speak that may have one."""
        return [topic for topic, one in self._monitors.items() if one.contested(now)]

    def lost(self) -> dict[str, int]:
        """Per topic the messages of this episode that never arrived, of topics that lost any."""
        return {topic: one.lost for topic, one in self._monitors.items() if one.lost}

    def health(self, now: int) -> list[Health]:
        """How every stream is."""
        return [monitor.health(now) for monitor in self._monitors.values()]

    def changes(self, now: int) -> list[tuple[str, str]]:
        """Kind and text of the events that happened since the last call."""
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
            if more := count - self._told.get(topic, 0):
                found.append(("messages_lost", f"{more} messages of {topic} never arrived"))
        self._told = lost
        return found
