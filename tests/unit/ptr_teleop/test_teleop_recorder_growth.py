# SPDX-License-Identifier: Apache-2.0
"""A recorder that stays for hundreds of episodes keeps nothing of those that are over."""

from __future__ import annotations

import gc
from collections import deque
from pathlib import Path

from ptr_models.contract import Contract
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.writer import BagWriter
from ptr_teleop.recorder.episode import Audit, CommandTiming, EpisodeRequest
from ptr_teleop.recorder.folder import EpisodeFolder
from ptr_teleop.recorder.health import MAX_PUBLISHERS, StreamMonitor
from ptr_teleop.recorder.recorder import DiskLimits, RecorderCore
from ptr_teleop.recorder.streams import streams_for

SECOND = 10**9
T0 = 1_795_000_000 * SECOND
STREAMS = streams_for(["over_shoulder"])
REQUIRED = [stream.topic for stream in STREAMS if stream.required]


def record(core: RecorderCore, number: int) -> None:
    """One episode of a second."""
    now = T0 + 10 * number * SECOND
    for tick in range(11):
        for topic in REQUIRED:
            core.receive(topic, bytes(64), now, now, 11 * number + tick + 1, b"publisher")
        if tick == 0:
            core.start(EpisodeRequest("put_knife_in_pot"), now)
        core.tick(now, now)
        now += SECOND // 10
    path, _ = core.stop(True, "success", now)
    core.review(path, Audit("", "keep", ()))


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def test_no_object_of_an_episode_outlives_it(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path)

    def open_writer(metadata: EpisodeMetadata) -> BagWriter:
        return BagWriter(folder.path, metadata)

    core = RecorderCore(
        folder,
        STREAMS,
        Contract(),
        open_writer,
        lambda event: bytes(32),
        lambda data: CommandTiming(0, 0, False),
        disk=DiskLimits(0.0, 0.0, 0.0),
    )
    for number in range(5):
        record(core, number)
    before = objects()
    for number in range(5, 35):
        record(core, number)
    assert core.saved == 35
    assert objects() - before < 30  # less than one for each


def test_publishers_that_have_come_and_gone_are_forgotten() -> None:
    monitor = StreamMonitor(STREAMS[0])
    for number in range(1000):
        now = T0 + number * 10 * SECOND
        monitor.receive(now, b"one that stays", 2 * number + 1)  # each other one is lost
        monitor.receive(now, b"of process %d" % number, 1)
    assert monitor.lost == 999
    kept = [len(value) for value in vars(monitor).values() if isinstance(value, dict | deque)]
    assert max(kept) <= MAX_PUBLISHERS
