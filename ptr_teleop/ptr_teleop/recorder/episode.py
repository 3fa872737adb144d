# SPDX-License-Identifier: Apache-2.0
"""The recorder's plain data: a requested episode, its events, and the interface of its writer."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from ptr_models.common.errors import PtrError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.input_limits import MAX_EXTRA_BYTES
from ptr_models.json_input import parse_object


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
    """An event of an episode, written into its bag: the fields of EpisodeEvent."""

    stamp: int  # ns
    episode_id: str
    kind: str
    text: str


@dataclass(frozen=True)
class CommandTiming:
    """When a command is in effect.

    Attributes:
        stamp: ns, when its source decided.
        valid_for: ns.
        held: the deadman is held; a release has no effect.
    """

    stamp: int
    valid_for: int
    held: bool


@dataclass(frozen=True)
class EpisodeRequest:
    """A request to start an episode.

    Attributes:
        task: name of the task.   instruction: the task in free words.
        extra: further metadata; the keys of FIELDS become fields of EpisodeMetadata.
    """

    task: str
    kind: str = "demonstration"
    operator: str = ""
    instruction: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


FIELDS = ("device", "kitchen", "seed", "calibration")


@dataclass(frozen=True)
class Audit:
    """The audit of a finished episode.

    Attributes:
        problem: why training cannot use the episode; empty: it can.
        recommendation: keep or discard.   findings: reasons, one sentence each.
    """

    problem: str = ""
    recommendation: str = "keep"
    findings: tuple[str, ...] = ()


class Writer(Protocol):
    """Interface of a bag writer (`ptr_models.episodes.writer.BagWriter`)."""

    def write(
        self, topic: str, type_name: str, stamp_ns: int, cdr: bytes, published_ns: int = 0, sequence: int = 0
    ) -> None:
        """Append a serialized message."""

    def flush(self) -> None:
        """Hand written data to the operating system."""

    def close(self, metadata: EpisodeMetadata) -> Path:
        """Finish the bag and return its folder."""

    def abandon(self) -> Path:
        """Close the file and leave the folder as `.partial`."""


def parse_extra(text: str) -> dict[str, Any]:
    """The JSON object in `StartEpisode.extra_json`; empty text is an empty object.

    Raises:
        RecorderError: it is not a JSON object.
    """
    if not text.strip():
        return {}
    return parse_object(text, "extra_json", RecorderError, max_bytes=MAX_EXTRA_BYTES)


def episode_id(task: str, now: int) -> str:
    """A name that sorts by time: UTC to the millisecond, then the task."""
    moment = datetime.fromtimestamp(now / 1e9, tz=timezone.utc)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}-{task}"
