# SPDX-License-Identifier: Apache-2.0
"""Record episodes at real rates and kill each recording (SIGKILL) at a random moment.

    python killed_recordings.py FOLDER COUNT SEED

Prints one JSON object per episode: its id, and the number and arrival (ns) of the last message that its recorder had
been given. A program of its own, so that it can fork: a hundred interpreters would take a minute to start.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ptr_models.episodes.messages import IMAGE, JOINT_STATE, definition
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.writer import BagWriter

AT_ONCE = 12
LONGEST = 280  # messages, which take 1.75 s
TIMEOUT = 30.0  # s for which a busy machine may need for them
STREAMS = (
    ("/camera/over_shoulder/image/compressed", IMAGE, 30.0, 20_000),
    ("/camera/wrist/image/compressed", IMAGE, 30.0, 20_000),
    ("/joint_states", JOINT_STATE, 100.0, 300),
)
PROGRESS = struct.Struct("<QQ")  # number and arrival of the last message


def record(folder: Path, name: str, progress: mmap.mmap) -> None:
    """Write messages as they are due, until killed; each begins with its number."""
    writer = BagWriter(folder, EpisodeMetadata(name, "task"), durable=True)
    began, number = time.monotonic(), 0
    due = [began] * len(STREAMS)
    while True:
        index = min(range(len(STREAMS)), key=due.__getitem__)
        time.sleep(max(0.0, due[index] - time.monotonic()))
        topic, kind, rate, size = STREAMS[index]
        due[index] += 1.0 / rate
        now = time.time_ns()
        writer.write(topic, kind, now, struct.pack("<4xiIQ", 1, 0, number) + bytes(size), now, number + 1)
        PROGRESS.pack_into(progress, 0, number, now)
        number += 1


@dataclass
class Recording:
    """A child process that records, and after how many messages and how many seconds more it is killed."""

    name: str
    process: int
    messages: int
    seconds: float
    progress: mmap.mmap
    began: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        """True when it has lived long enough."""
        number, _ = PROGRESS.unpack_from(self.progress)
        return number >= self.messages or time.monotonic() - self.began > TIMEOUT

    def kill(self) -> str:
        """Kill it; what it had written, as JSON."""
        time.sleep(self.seconds)  # in the middle of whatever it does then
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        number, arrival = PROGRESS.unpack_from(self.progress)
        return json.dumps({"id": self.name, "number": number, "arrival": arrival})


def start(folder: Path, name: str, messages: int, seconds: float) -> Recording:
    """Fork a recorder."""
    progress = mmap.mmap(-1, PROGRESS.size)
    process = os.fork()
    if not process:
        try:
            record(folder, name, progress)
        finally:
            os._exit(1)
    return Recording(name, process, messages, seconds, progress)


def main(folder: Path, count: int, seed: int) -> None:
    """Kill `count` recordings."""
    for _, kind, _, _ in STREAMS:
        definition(kind)
    generator = random.Random(seed)
    names = [f"killed_{index:03d}" for index in range(count)]
    running: list[Recording] = []
    while names or running:
        while names and len(running) < AT_ONCE:
            messages, seconds = generator.randrange(LONGEST), generator.uniform(0.0, 0.02)
            running.append(start(folder, names.pop(0), messages, seconds))
        for recording in [one for one in running if one.due]:
            running.remove(recording)
            print(recording.kill(), flush=True)
        time.sleep(0.002)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
