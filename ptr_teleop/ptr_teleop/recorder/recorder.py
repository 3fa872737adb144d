# SPDX-License-Identifier: Apache-2.0
"""The recorder's logic: when an episode may start, what is written, how it ends.

No ROS: times are passed in (ns since the epoch), and the node feeds it serialized messages. It writes through
`ptr_models.episodes.writer.BagWriter`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.common.processor_use import ProcessorUse
from ptr_models.contract import Contract
from ptr_models.episodes.messages import has_header
from ptr_models.episodes.metadata import OUTCOMES, PROCESSOR_USE, EpisodeMetadata, Label
from ptr_models.episodes.streams import CLOCK_JUMPED
from ptr_teleop.recorder.clock_watch import ClockWatch
from ptr_teleop.recorder.command_interval import CommandInterval
from ptr_teleop.recorder.episode import (
    FIELDS,
    Audit,
    CommandTiming,
    EpisodeRequest,
    Event,
    RecorderError,
    State,
    Writer,
    episode_id,
)
from ptr_teleop.recorder.folder import EpisodeFolder
from ptr_teleop.recorder.health import STALLED, StreamStatus, StreamWatch
from ptr_teleop.recorder.streams import COMMANDS, EVENTS, Stream

PRELUDE = 0.3  # s before the start, in which arrived messages belong to the first observation
AFTER_STAMP = 12  # bytes of a serialized message with a header: encapsulation and stamp
GIGABYTE = 10**9
_ANY_PUBLISHER = b""
"""Key of a topic whose newest message counts, no matter who published it."""


@dataclasses.dataclass(frozen=True)
class DiskLimits:
    """Free bytes on the disk below which the status warns, no episode starts, and the current one ends.

    The last is what it takes to finish a bag with its index while other programs write as well.
    """

    warn: float = 2.0 * GIGABYTE
    refuse: float = 0.2 * GIGABYTE
    finish: float = 0.05 * GIGABYTE


def domain() -> str:
    """The ROS domain of this process."""
    return os.environ.get("ROS_DOMAIN_ID") or "0"


def _same(one: bytes, other: bytes, type_name: str) -> bool:
    """True if two serialized messages of a type differ at most in their stamps."""
    start = AFTER_STAMP if has_header(type_name) else 0
    return one[start:] == other[start:]


class RecorderCore:
    """The state of the recorder.

    Args:
        folder: where episodes go; locked by the caller.
        streams: the topics of an episode.
        contract: what a policy would see and do on this robot.
        open_writer: opens a bag for an episode's metadata.
        encode: serializes an event as an EpisodeEvent message.
        read_command: reads the timing of a serialized ArmCommand.
        facts: fields of EpisodeMetadata that are the same for each episode (robot, commit, versions).
        tasks: known task names; empty: any well-formed name.
        disk: limits of free disk space.
        changed: called when the state has changed during a call.
        processor_use: measures how busy this computer is during an episode.
    """

    def __init__(
        self,
        folder: EpisodeFolder,
        streams: Sequence[Stream],
        contract: Contract,
        open_writer: Callable[[EpisodeMetadata], Writer],
        encode: Callable[[Event], bytes],
        read_command: Callable[[bytes], CommandTiming],
        facts: Mapping[str, Any] | None = None,
        tasks: Sequence[str] = (),
        disk: DiskLimits | None = None,
        changed: Callable[[], None] = lambda: None,
        processor_use: ProcessorUse | None = None,
    ) -> None:
        self.state = State.IDLE
        self._usable: list[str] = []  # folders; those discarded since are gone
        self.message = "nothing has been recorded yet"
        self.metadata: EpisodeMetadata | None = None
        self.audit: Audit | None = None
        self._folder, self._contract = folder, contract
        self._streams = {stream.topic: stream for stream in streams}
        self._watch, self._clock = StreamWatch(streams), ClockWatch()
        self._open_writer, self._encode, self._read_command = open_writer, encode, read_command
        self._changed, self._processor_use = changed, processor_use or ProcessorUse()
        self._facts, self._tasks, self._disk = dict(facts or {}), tuple(tasks), disk or DiskLimits()
        self._writer: Writer | None = None
        self._latest: dict[tuple[str, bytes], tuple[int, bytes]] = {}  # by topic and publisher, oldest first
        self._interval = CommandInterval()
        self._unaudited: dict[Path, str] = {}
        self._last_saved: Path | None = None

    @property
    def saved(self) -> int:
        """Number of saved episodes that training can use and that have not been discarded since."""
        return sum(map(os.path.isdir, self._usable))

    def receive(
        self, topic: str, data: bytes, now: int, published: int = 0, sequence: int = 0, publisher: bytes = b""
    ) -> Event | None:
        """Process a serialized message that arrived at `now`; during an episode it is written.

        Args:
            published: ns, when it was sent.   sequence, publisher: its sequence number and publisher; 0: not known.
        Returns:
            The start event if this is the first command of an episode.
        """
        stream = self._streams[topic]
        self._watch[topic].receive(now, publisher, sequence)
        key = topic, publisher if stream.shared and stream.lasting else _ANY_PUBLISHER
        before = self._latest.pop(key, None)
        self._latest[key] = (now, data)
        if self._writer is None or (stream.lasting and before is not None and _same(before[1], data, stream.type)):
            return None
        self._write(topic, stream.type, now, data, published, sequence)
        return self._update_command_interval(data, now) if topic in COMMANDS else None

    def latest(self, topic: str, now: int, max_age: float | None = None) -> bytes | None:
        """The newest message of a topic; None: none yet, or older than `max_age` (s)."""
        stamp, data = self._latest.get((topic, _ANY_PUBLISHER), (0, None))
        return None if max_age is not None and now - stamp > max_age * 1e9 else data

    def health(self, now: int) -> list[StreamStatus]:
        """Health of every stream."""
        return self._watch.health(now)

    def start(self, wanted: EpisodeRequest, now: int) -> EpisodeMetadata:
        """Start an episode; messages from just before are written first.

        Raises:
            RecorderError: an episode is being recorded, a stream is missing, the task is unknown, or the disk is full.
            FolderError: the folder is gone or no longer writable.
            PtrError: invalid metadata, or the bag can't be opened.
        """
        self._require_startable(wanted, now)
        metadata = self._describe(wanted, now)
        self._writer = self._open_writer(metadata)
        self.metadata, self.state, self.audit = metadata, State.RECORDING, None
        self._watch.start()
        self._processor_use.start()
        self._interval = CommandInterval()
        for stamp, topic, data in self._prelude(now):
            self._write(topic, self._streams[topic].type, stamp, data)
        if self.state is State.RECORDING:
            self.message = self._disk_warning() or f"recording {metadata.episode_id}"
        return metadata

    def stop(
        self, save: bool, outcome: str, now: int, score: float | None = None, note: str = "", annotator: str = ""
    ) -> tuple[Path, Event]:
        """End the episode: label and keep it, or move it to `discarded`. Returns its folder and the stop event.

        A kept episode counts as saved once `review` has received an audit that finds it usable.

        Raises:
            RecorderError: no episode is being recorded, or the label is invalid; then recording continues.
            PtrError: the bag could not be finished; it stays as `.partial`.
        """
        if self._writer is None or self.metadata is None:
            raise RecorderError("no episode is being recorded")
        if outcome not in OUTCOMES:
            raise RecorderError(f"outcome {outcome!r} is unknown; known: {', '.join(OUTCOMES)}")
        if score is not None and not 0.0 <= score <= 1.0:
            raise RecorderError(f"the score is {score:g}; give a number between 0 and 1")
        metadata = self._ended(self.metadata, now)
        if outcome != "unlabelled" or note:
            metadata = metadata.labelled(Label(outcome, now, annotator or metadata.operator, score, note))
        event = self._record(now, "stop", f"{'saved' if save else 'discarded'} as {outcome}", self._interval.end(now))
        if self._writer is None:
            raise RecorderError(self.message)
        self.state = State.SAVING
        self._changed()
        path = self._finish(self._writer, metadata)
        if not save:
            self.message = f"discarded {metadata.episode_id}"
            return self._folder.discard(path), event
        self._unaudited[path] = self.message = f"saved {metadata.episode_id} ({outcome})"
        self.state = State.SAVING
        return path, event

    def review(self, path: Path, audit: Audit) -> None:
        """Process the audit of an episode that `stop` has kept; the message then says how usable it is."""
        done = self._unaudited.pop(path)
        self._last_saved = path
        if not audit.problem:
            self._usable.append(str(path))
        if self.state is not State.SAVING:  # the next one is being recorded
            return
        self.audit = audit
        if not self._unaudited:
            self.state = State.IDLE
        if audit.problem:
            self.message = f"kept {path.name}, but it cannot be used: {audit.problem}"
        elif audit.recommendation != "keep":
            self.message = f"{done}; recommendation: {audit.recommendation}, because {audit.findings[0]}"
        else:
            self.message = self._disk_warning() or done

    def discard_last(self, now: int) -> tuple[Path, Event]:
        """Move the last saved episode to `discarded`, as its audit may recommend.

        Raises:
            RecorderError: an episode is being recorded or audited, or none was saved.
            OSError: it can't be moved.
        """
        if self.state is State.RECORDING:
            raise RecorderError("an episode is being recorded; end it before discarding the last one")
        if self._unaudited:
            raise RecorderError("the last episode is still being audited; try again in a moment")
        if self._last_saved is None or not self._last_saved.is_dir():
            raise RecorderError("this recorder has no saved episode left to discard; use `ptr discard` for any other")
        path, self._last_saved = self._folder.discard(self._last_saved), None
        self.audit, self.message = None, f"discarded {path.name}; `ptr discard --restore {path}` restores it"
        return path, Event(now, path.name, "discard", "discarded after it was saved")

    def tick(self, now: int, steady: int | None = None) -> list[Event]:
        """Check the clock, the streams and the disk; returns an event for each change.

        Args:
            steady: steady time, ns; None: `now` is simulated time, which may jump.
        """
        jump = 0.0 if steady is None else self._clock.jump(now, steady)
        if self.state is not State.RECORDING or self._writer is None:
            return []
        changes = self._watch.changes(now)
        if jump:
            changes.insert(0, (CLOCK_JUMPED, f"the system clock jumped by {jump:+.2f} s"))
        events = [self._record(now, kind, text) for kind, text in changes]
        if events and self.state is State.RECORDING:
            self.message = events[-1].text
        if self.state is State.RECORDING and self._folder.free_bytes() < self._disk.finish:
            events += self._end_for_full_disk(now)
        self._flush()
        return events

    def close(self, now: int) -> Path | None:
        """End the recorder; an episode that is being recorded is kept, unlabelled."""
        if self._writer is None or self.metadata is None:
            return None
        self._record(now, "stop", "the recorder ended; kept unlabelled", self._interval.end(now))
        return None if self._writer is None else self._finish(self._writer, self._ended(self.metadata, now))

    def set_label(self, metadata: EpisodeMetadata) -> None:
        """Update the status after an episode was relabeled."""
        if self.state is not State.RECORDING:
            self.metadata = metadata
            self.message = f"{metadata.episode_id} is now labeled {metadata.outcome}"

    def _require_startable(self, wanted: EpisodeRequest, now: int) -> None:
        if self.state is State.RECORDING and self.metadata is not None:
            raise RecorderError(f"{self.metadata.episode_id} is still being recorded; stop it first")
        if self._tasks and wanted.task not in self._tasks:
            raise RecorderError(f"unknown task {wanted.task!r}; known: {', '.join(self._tasks)}")
        missing = self._watch.silent(now)
        if missing:
            raise RecorderError(f"no messages on {', '.join(missing)} in the last {STALLED:.1f} s; start its publisher")
        contested = self._watch.contested(now)
        if contested:
            raise RecorderError(
                f"{', '.join(contested)} has two publishers: two robots are running in this ROS domain ({domain()}); "
                "end one, or give each its own ROS_DOMAIN_ID or namespace"
            )
        self._folder.require()
        free = self._folder.free_bytes()
        if free < self._disk.refuse:
            raise RecorderError(f"only {free / GIGABYTE:.2f} GB are free for {self._folder.path}; free some disk space")

    def _describe(self, wanted: EpisodeRequest, now: int) -> EpisodeMetadata:
        extra = dict(wanted.extra)
        known = {key: extra.pop(key) for key in FIELDS if key in extra}
        return EpisodeMetadata(
            episode_id=episode_id(wanted.task, now),
            task=wanted.task,
            instruction=wanted.instruction,
            kind=wanted.kind,
            operator=wanted.operator,
            contract=self._contract,
            start_ns=now,
            extra=extra,
            **{**self._facts, **known},
        )

    def _prelude(self, now: int) -> list[tuple[int, str, bytes]]:
        """Stamp, topic and data of messages for the first observation, oldest first; lasting ones are stamped `now`."""
        limit = now - int(PRELUDE * 1e9)
        found = []
        for (topic, _), (stamp, data) in self._latest.items():
            if self._streams[topic].lasting:
                found.append((now, topic, data))
            elif stamp >= limit and topic != EVENTS:
                found.append((stamp, topic, data))
        return sorted(found, key=lambda one: one[0])

    def _update_command_interval(self, data: bytes, now: int) -> Event | None:
        began = self._interval.update(self._read_command(data))
        if began is None or self.metadata is None:
            return None
        return self._record(now, "start", f"task {self.metadata.task}", began)

    def _record(self, now: int, kind: str, text: str, stamp: int | None = None) -> Event:
        """Write an event into the bag and return it for publishing."""
        name = self.metadata.episode_id if self.metadata else ""
        event = Event(now if stamp is None else stamp, name, kind, text)
        self._write(EVENTS, self._streams[EVENTS].type, now, self._encode(event))
        return event

    def _write(
        self, topic: str, type_name: str, stamp: int, data: bytes, published: int = 0, sequence: int = 0
    ) -> None:
        """Write; on an error (disk full, folder gone) end in FAULT and leave the `.partial` folder."""
        if self._writer is None:
            return
        try:
            self._writer.write(topic, type_name, stamp, data, published, sequence)
        except (PtrError, OSError) as error:
            self._abort(error)

    def _flush(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.flush()
        except (PtrError, OSError) as error:
            self._abort(error)

    def _abort(self, error: Exception) -> None:
        writer, self._writer = self._writer, None
        self.state, self.message = State.FAULT, f"recording was aborted: {error}"
        self._changed()
        if writer is not None:
            writer.abandon()

    def _end_for_full_disk(self, now: int) -> list[Event]:
        """The disk is about to be full: report it at once, so that no policy continues, and finish the bag in time."""
        event = self._record(now, "disk_full", f"less than {self._disk.finish / 1e6:.0f} MB are left on the disk")
        self.state, self.message = State.FAULT, "the disk is full; the episode is being ended"
        self._changed()
        try:
            path = self.close(now)
        except RecorderError:  # too late: `message` says so, and the `.partial` folder stays
            return [event]
        if path is not None:
            self.state = State.FAULT
            self.message = f"the disk is full: kept {path.name} unlabelled; free some disk space"
        return [event]

    def _ended(self, metadata: EpisodeMetadata, now: int) -> EpisodeMetadata:
        use = self._processor_use.share()
        known = {} if use is None else {PROCESSOR_USE: round(use, 3)}
        extra = {**metadata.extra, **known}
        return dataclasses.replace(metadata, end_ns=now, lost=self._watch.lost(), extra=extra)

    def _finish(self, writer: Writer, metadata: EpisodeMetadata) -> Path:
        self._writer = None
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
        if free >= self._disk.warn:
            return ""
        return f"only {free / GIGABYTE:.2f} GB are free for {self._folder.path}"
