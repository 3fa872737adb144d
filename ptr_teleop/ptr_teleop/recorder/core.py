# SPDX-License-Identifier: Apache-2.0
"""What the recorder decides: when an episode may start, what is written, when a stream has stalled.

Plain data and clocks that are passed in (ns since the epoch); the node feeds it serialised messages.

The bag holds everything from shortly before the service call that starts the episode to the one that ends it.
The control grid that a reader lays over it goes from the `start` event to the `stop` event, and these are
placed before the first and after the last command: step k of the grid is then what the k-th command did, and
nobody's reaction time at either end becomes an action.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from ptr_models.contract import Contract
from ptr_models.episodes.metadata import OUTCOMES, EpisodeMetadata, Label
from ptr_models.errors import PtrError
from ptr_teleop.recorder.folder import EpisodeFolder
from ptr_teleop.recorder.streams import COMMANDS, EVENTS, Stream

PRELUDE = 0.3  # s: what arrived this shortly before the start belongs to the first observation
STALLED = 1.0  # s of silence of a required stream that is an event, and forbids a start
LEAD = 5_000_000  # ns that the grid is ahead of the first command: no command jitters across an instant
AFTER_STAMP = 12  # bytes of a serialised message with a header: encapsulation and stamp
LAST_STEP = 90_000_000  # ns that the grid goes on beyond the last command, so that jitter costs no step
GIGABYTE = 10**9
REFUSE_FREE = 0.2 * GIGABYTE  # less free space than this: no episode starts


class RecorderError(PtrError):
    """The recorder can't do what was asked; the message says why and what to do."""


class State(enum.IntEnum):
    """The constants of EpisodeStatus."""

    IDLE = 0
    RECORDING = 1
    SAVING = 2
    FAULT = 3


@dataclass(frozen=True)
class Event:
    """Something that belongs into the bag: the fields of EpisodeEvent."""

    stamp: int  # ns, when it happened
    episode_id: str
    kind: str
    text: str


@dataclass(frozen=True)
class CommandTiming:
    """When a command acts.

    Attributes:
        stamp: ns, when its source decided.
        horizon: ns, for how long it holds.
        held: the deadman is held; a release does not act.
    """

    stamp: int
    horizon: int
    held: bool


@dataclass(frozen=True)
class Wanted:
    """What a caller asks for when an episode starts."""

    task: str
    kind: str = "demonstration"
    operator: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Writer(Protocol):
    """What the recorder needs of a bag writer (`ptr_models.episodes.writer.BagWriter`)."""

    def write(self, topic: str, type_name: str, stamp_ns: int, cdr: bytes) -> None:
        """Append a serialised message."""

    def close(self, metadata: EpisodeMetadata) -> Path:
        """Finish the bag and return its folder."""

    def abandon(self) -> None:
        """Close the file and leave the folder as `.partial`."""


def parse_extra(text: str) -> dict[str, Any]:
    """The JSON object in `StartEpisode.extra_json`; empty text is an empty object.

    Raises:
        RecorderError: it is no JSON object.
    """
    if not text.strip():
        return {}
    try:
        extra = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecorderError(f"extra_json is not JSON: {error}") from error
    if not isinstance(extra, dict):
        raise RecorderError(f"extra_json holds a JSON {type(extra).__name__}, not an object")
    return extra


def episode_id(task: str, now: int) -> str:
    """A name that sorts by time: UTC to the millisecond, then the task."""
    moment = datetime.fromtimestamp(now / 1e9, tz=timezone.utc)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}-{task}"


def _same(one: bytes, other: bytes) -> bool:
    """True when two serialised messages differ at most in their stamps."""
    return one[AFTER_STAMP:] == other[AFTER_STAMP:]


class RecorderCore:
    """The state of the recorder.

    Args:
        folder: where episodes go; locked by the caller.
        streams: the topics of an episode.
        contract: what a policy would see and do on this robot.
        open_writer: opens a bag for an episode's metadata.
        encode: serialises an event as an EpisodeEvent message.
        read_command: reads the timing of a serialised ArmCommand.
        audit: says why a finished episode can't be used for training; empty: it can.
        facts: fields of EpisodeMetadata that are the same for each episode (robot, commit, versions).
        tasks: known task names; empty: any well-formed name.
        warn_free: bytes; less free space than this is said in the status.
    """

    def __init__(
        self,
        folder: EpisodeFolder,
        streams: Sequence[Stream],
        contract: Contract,
        open_writer: Callable[[EpisodeMetadata], Writer],
        encode: Callable[[Event], bytes],
        read_command: Callable[[bytes], CommandTiming],
        audit: Callable[[Path], str],
        facts: Mapping[str, Any] | None = None,
        tasks: Sequence[str] = (),
        warn_free: float = 2 * GIGABYTE,
    ) -> None:
        self.state = State.IDLE
        self.saved = 0
        self.message = "ready"
        self.metadata: EpisodeMetadata | None = None
        self._folder, self._contract = folder, contract
        self._streams = {stream.topic: stream for stream in streams}
        self._open_writer, self._encode, self._read_command = open_writer, encode, read_command
        self._audit = audit
        self._facts, self._tasks, self._warn_free = dict(facts or {}), tuple(tasks), warn_free
        self._writer: Writer | None = None
        self._latest: dict[str, tuple[int, bytes]] = {}
        self._stalled: set[str] = set()
        self._acted_until: int | None = None

    def receive(self, topic: str, data: bytes, now: int) -> Event | None:
        """Take a serialised message that arrived at `now`; it is written while an episode is recorded.

        Returns:
            The start event when this was the first command of an episode.
        """
        stream = self._streams[topic]
        before = self._latest.get(topic)
        self._latest[topic] = (now, data)
        if self._writer is None or (stream.constant and before is not None and _same(before[1], data)):
            return None
        self._write(topic, stream.type, now, data)
        return self._follow_command(data, now) if topic in COMMANDS else None

    def start(self, wanted: Wanted, now: int) -> EpisodeMetadata:
        """Begin an episode; what arrived just before goes in first.

        Raises:
            RecorderError: one is being recorded, a stream is missing, the task is unknown, the disk is full.
            PtrError: the metadata or the bag were refused.
        """
        self._require_startable(wanted, now)
        extra = dict(wanted.extra)
        known = {key: extra.pop(key) for key in ("device", "kitchen", "seed") if key in extra}
        metadata = EpisodeMetadata(
            episode_id=episode_id(wanted.task, now),
            task=wanted.task,
            kind=wanted.kind,
            operator=wanted.operator,
            contract=self._contract,
            start_ns=now,
            extra=extra,
            **{**self._facts, **known},
        )
        self._writer = self._open_writer(metadata)
        self.metadata, self.state, self._stalled = metadata, State.RECORDING, set()
        self._acted_until = None
        for stamp, topic, data in self._prelude(now):
            self._write(topic, self._streams[topic].type, stamp, data)
        if self.state is State.RECORDING:
            self.message = self._disk_warning() or f"recording {metadata.episode_id}"
        return metadata

    def stop(
        self, save: bool, outcome: str, now: int, score: float | None = None, note: str = "", by: str = ""
    ) -> tuple[Path, Event]:
        """End the episode: label and keep it, or move it to the discarded ones. Returns its folder.

        One that can't be used (a stream has a hole) is kept too, but does not count as saved.

        Raises:
            RecorderError: none is being recorded, or the outcome is unknown.
            PtrError: the bag could not be finished; it stays as `.partial`.
        """
        if self._writer is None or self.metadata is None:
            raise RecorderError("no episode is being recorded")
        if outcome not in OUTCOMES:
            raise RecorderError(f"outcome {outcome!r} is unknown; known: {', '.join(OUTCOMES)}")
        metadata = self._ended(now)
        if outcome != "unlabelled":
            metadata = metadata.labelled(Label(outcome, now, by or metadata.operator, score, note))
        event = self._record(now, "stop", f"{'saved' if save else 'discarded'} as {outcome}", self._end(now))
        if self._writer is None:
            raise RecorderError(self.message)
        path = self._finish(metadata)
        if not save:
            self.message = f"discarded {metadata.episode_id}"
            return self._folder.discard(path), event
        problem = self._audit(path)
        self.saved += not problem
        self.message = self._disk_warning() or f"saved {metadata.episode_id} ({outcome})"
        if problem:
            self.message = f"kept {metadata.episode_id}, but it cannot be used: {problem}"
        return path, event

    def tick(self, now: int) -> list[Event]:
        """Look at the streams: events for those that fell silent and those that came back."""
        if self.state is not State.RECORDING:
            return []
        silent = {stream for stream in self._silent(now)}
        events = [
            self._record(now, "stream_stalled", f"no message on {topic} for {STALLED:.0f} s")
            for topic in sorted(silent - self._stalled)
        ]
        events += [
            self._record(now, "stream_recovered", f"messages on {topic} again")
            for topic in sorted(self._stalled - silent)
        ]
        self._stalled = silent
        if events and self.state is State.RECORDING:
            self.message = events[-1].text
        return events

    def close(self, now: int) -> Path | None:
        """The recorder ends: an episode that is being recorded is kept, unlabelled."""
        if self._writer is None:
            return None
        self._record(now, "stop", "the recorder ended; kept unlabelled", self._end(now))
        return None if self._writer is None else self._finish(self._ended(now))

    def note_label(self, metadata: EpisodeMetadata) -> None:
        """An episode was labelled anew."""
        self.metadata = metadata if self.state is not State.RECORDING else self.metadata
        self.message = f"{metadata.episode_id} is now labelled {metadata.outcome}"

    def _require_startable(self, wanted: Wanted, now: int) -> None:
        if self.state is State.RECORDING and self.metadata is not None:
            raise RecorderError(f"{self.metadata.episode_id} is still being recorded; stop it first")
        if self._tasks and wanted.task not in self._tasks:
            raise RecorderError(f"unknown task {wanted.task!r}; known: {', '.join(self._tasks)}")
        missing = self._silent(now)
        if missing:
            raise RecorderError(
                f"nothing came on {', '.join(missing)} in the last {STALLED:.0f} s; start what publishes it"
            )
        free = self._folder.free_bytes()
        if free < REFUSE_FREE:
            raise RecorderError(
                f"only {free / GIGABYTE:.2f} GB are free for {self._folder.path}; make room for new episodes"
            )

    def _silent(self, now: int) -> list[str]:
        """Required topics without a message in the last STALLED seconds."""
        limit = now - int(STALLED * 1e9)
        return [
            topic
            for topic, stream in self._streams.items()
            if stream.required and self._latest.get(topic, (0, b""))[0] < limit
        ]

    def _prelude(self, now: int) -> list[tuple[int, str, bytes]]:
        """Stamp, topic and data of what the first observation needs, oldest first; constants count as new."""
        limit = now - int(PRELUDE * 1e9)
        found = []
        for topic, (stamp, data) in self._latest.items():
            if self._streams[topic].constant:
                found.append((now, topic, data))
            elif stamp >= limit and topic != EVENTS:
                found.append((stamp, topic, data))
        return sorted(found)

    def _follow_command(self, data: bytes, now: int) -> Event | None:
        """Keep track of when commands act; the first one is the start."""
        command = self._read_command(data)
        if not command.held:
            return None
        first = self._acted_until is None
        began = command.stamp - LEAD
        self._acted_until = command.stamp + command.horizon
        return self._record(now, "start", f"task {self.metadata.task}", began) if first else None

    def _end(self, now: int) -> int:
        """Where the grid ends: after the last command, or now."""
        return now if self._acted_until is None else min(now, self._acted_until + LAST_STEP)

    def _record(self, now: int, kind: str, text: str, stamp: int | None = None) -> Event:
        """Write an event into the bag and return it, for others to hear."""
        name = self.metadata.episode_id if self.metadata else ""
        event = Event(now if stamp is None else stamp, name, kind, text)
        self._write(EVENTS, self._streams[EVENTS].type, now, self._encode(event))
        return event

    def _write(self, topic: str, type_name: str, stamp: int, data: bytes) -> None:
        """Write, or end in FAULT with the `.partial` folder left behind (disk full, folder gone)."""
        if self._writer is None:
            return
        try:
            self._writer.write(topic, type_name, stamp, data)
        except (PtrError, OSError) as error:
            writer, self._writer = self._writer, None
            self.state, self.message = State.FAULT, f"recording broke off: {error}"
            writer.abandon()

    def _ended(self, now: int) -> EpisodeMetadata:
        return dataclasses.replace(self.metadata, end_ns=now)

    def _finish(self, metadata: EpisodeMetadata) -> Path:
        writer, self._writer = self._writer, None
        self.metadata, self.state = metadata, State.SAVING
        try:
            path = writer.close(metadata)
        except (PtrError, OSError) as error:
            self.state, self.message = State.FAULT, f"{metadata.episode_id} could not be finished: {error}"
            raise RecorderError(self.message) from error
        self.state = State.IDLE
        return path

    def _disk_warning(self) -> str:
        free = self._folder.free_bytes()
        if free >= self._warn_free:
            return ""
        return f"only {free / GIGABYTE:.2f} GB are free for {self._folder.path}"
