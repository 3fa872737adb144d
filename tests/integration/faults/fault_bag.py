# SPDX-License-Identifier: Apache-2.0
"""What a bag says about a fault: when the commanded pose changed last, and who noticed what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptr_models.episodes.bag import decode, messages, open_bag
from ptr_models.episodes.bag_audit import reason_names
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.recovery import recover

BOUND = 300_000_000
"""ns: one control period at 5 Hz and 100 ms, after which a fault must have ended every change of the commanded pose."""
SAME = 1e-9
"""m and parts of a quaternion that two numbers of one pose may differ by."""


@dataclass(frozen=True)
class Message:
    """One message of a bag: source stamp and arrival (ns), topic, decoded content."""

    stamp: int
    arrival: int
    topic: str
    content: Any


class FaultBag:
    """An episode's bag, read to its end.

    Raises:
        EpisodeError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: EpisodeMetadata = read_metadata(path)
        self.messages: list[Message] = []
        self.images: list[int] = []  # stamps, ns
        with open_bag(path) as reader:
            for topic, kind, stamp, arrival, raw in messages(reader):
                if topic.endswith("/image/compressed"):
                    self.images.append(stamp)
                else:
                    self.messages.append(Message(stamp, arrival, topic, decode(raw, kind)))

    def of(self, topic: str) -> list[Message]:
        """Messages of a topic by their stamps."""
        return sorted((one for one in self.messages if one.topic == topic), key=lambda one: one.stamp)

    # --- the commanded pose ---------------------------------------------------------------------------------

    def changes(self, by_arrival: bool = False) -> list[int]:
        """Stamps or arrivals (ns) at which the commanded pose or gripper was another one than before."""
        before, found = None, []
        executed = [one for one in self.messages if one.topic == "/arm/executed"]
        for message in sorted(executed, key=lambda one: one.arrival if by_arrival else one.stamp):
            now = np.array(_commanded(message.content))
            if before is not None and np.abs(now - before).max() > SAME:
                found.append(message.arrival if by_arrival else message.stamp)
            before = now
        return found

    def moved_for(self, begin: int, end: int) -> float:
        """s, for how long in all the commanded pose moved between two stamps (ns), breaks left out."""
        stamps = [one.stamp for one in self.of("/arm/executed")]
        tick = float(np.median(np.diff(stamps))) * 1e-9
        return tick * sum(begin < stamp <= end for stamp in self.changes())

    def joint_changes(self, least: float = 2e-3) -> list[int]:
        """Stamps (ns) at which a measured joint was more than `least` (rad) away from 0.1 s before."""
        rows = self.of("/joint_states")
        stamps = np.array([one.stamp for one in rows])
        positions = np.array([one.content.position[:6] for one in rows])
        found = []
        for k, stamp in enumerate(stamps):
            j = int(np.searchsorted(stamps, stamp - 100_000_000))
            if np.abs(positions[k] - positions[j]).max() > least:
                found.append(int(stamp))
        return found

    def targets(self) -> np.ndarray:
        """(N, 3) m, every commanded position."""
        return np.array([_commanded(message.content)[:3] for message in self.of("/arm/executed")])

    def crept(self, begin: int) -> float:
        """m, how far the commanded position got from where it was at a stamp (ns)."""
        later = [_commanded(one.content)[:3] for one in self.of("/arm/executed") if one.stamp >= begin]
        return float(np.linalg.norm(np.array(later) - later[0], axis=1).max())

    # --- what was noticed -----------------------------------------------------------------------------------

    def reasons(self) -> set[str]:
        """Names of the reasons of every safety event."""
        return {name for one in self.of("/arm/safety") for name in reason_names(one.content.reason)}

    def first(self, *names: str) -> int:
        """Stamp (ns) of the first safety event with one of these reasons."""
        found = [one.stamp for one in self.of("/arm/safety") if set(names) & set(reason_names(one.content.reason))]
        assert found, f"the gate never said {' or '.join(names)}, but {', '.join(self.reasons())}"
        return found[0]

    def said(self) -> Iterator[str]:
        """Every sentence: of the gate, the policy, the motors, the recorder and the diagnostics."""
        fields = {
            "/arm/safety": "message",
            "/policy/step": "reason",
            "/policy/status": "message",
            "/arm/motors": "message",
            "/episode/event": "message",
        }
        for message in self.messages:
            if message.topic in fields:
                yield str(getattr(message.content, fields[message.topic]))
            elif message.topic == "/diagnostics":
                yield from (str(status.message) for status in message.content.status)

    def says(self, words: str) -> bool:
        """True when some sentence holds these words."""
        return any(words in sentence for sentence in self.said())

    def event_kinds(self) -> set[str]:
        """Kinds of the episode's events."""
        return {str(one.content.type) for one in self.of("/episode/event")}


def read(path: Path) -> FaultBag:
    """The bag of an episode; one that the recorder could not finish is recovered first, as `ptr recover` does."""
    return FaultBag(recover(path)[0] if path.name.endswith(".partial") else path)


def assert_held(
    bag: FaultBag, struck: int, since: int = 0, until: int = 0, by_arrival: bool = False, bound: int = BOUND
) -> None:
    """The arm moved until the fault, and held within the bound.

    Args:
        struck: ns, when the fault was there.
        since: ns, when it began to be made; 0: the same.
        until: ns, when it was mended; 0: not in this bag.
        by_arrival: judge by when the recorder heard of it.
        bound: ns.
    """
    changes = bag.changes(by_arrival)
    before = [stamp for stamp in changes if (since or struck) - BOUND <= stamp <= struck]
    assert before, "the arm did not move before the fault: this test shows nothing"
    after = [(stamp - struck) * 1e-9 for stamp in changes if struck < stamp and (not until or stamp < until)]
    print(f"the commanded pose changed last {after[-1] if after else 0.0:.3f} s after the fault")
    late = [seconds for seconds in after if seconds > bound * 1e-9]
    assert not late, f"the commanded pose changed {len(late)} times too late: {late[0]:.3f} to {late[-1]:.3f} s"


def _commanded(message: Any) -> tuple[float, ...]:
    p, o = message.target.position, message.target.orientation
    return (p.x, p.y, p.z, o.x, o.y, o.z, o.w, float(message.gripper_position))
