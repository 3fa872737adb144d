# SPDX-License-Identifier: Apache-2.0
"""Recording of episodes by a program."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.client import Client

from ptr_bringup.ros.session import Caller
from ptr_msgs.srv import StartEpisode, StopEpisode

DISCOVERY_TIMEOUT = 5.0  # s for the recorder to appear
ANSWER_TIMEOUT = 60.0  # s for its answer: writing a long episode to disk takes a while


@dataclass
class Episode:
    """One recording. Set `outcome` before the block ends; the recorder's answer is available afterwards.

    Attributes:
        episode_id: its name.
        outcome: success, failure, partial or unlabelled.
        score: 0 to 1, for partial.   note: one sentence.
        discarded: move it to the folder `discarded` instead of keeping it.
        path: folder of the finished bag.
        recommendation: of the audit, keep or discard; empty while recording.   findings: one sentence each.
    """

    episode_id: str
    outcome: str = "unlabelled"
    score: float | None = None
    note: str = ""
    discarded: bool = False
    path: Path | None = None
    recommendation: str = ""
    findings: tuple[str, ...] = ()


class Recorder:
    """Talks to the recorder node."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._start: Client = caller.node.create_client(StartEpisode, "recorder/start")
        self._stop: Client = caller.node.create_client(StopEpisode, "recorder/stop")

    @contextmanager
    def record(
        self, task: str, kind: str, instruction: str, operator: str, metadata: Mapping[str, Any]
    ) -> Iterator[Episode]:
        """See `Robot.record`."""
        request = StartEpisode.Request(
            task=task,
            kind=kind,
            instruction=instruction,
            operator_name=operator,
            extra_json=json.dumps({"device": "program", **metadata}),
        )
        episode = Episode(
            self._caller.call(self._start, request, ANSWER_TIMEOUT, discovery=DISCOVERY_TIMEOUT).episode_id
        )
        try:
            yield episode
        except BaseException as error:
            episode.outcome, episode.note = "unlabelled", f"the program ended with {type(error).__name__}"
            self._finish(episode)
            raise
        self._finish(episode)

    def _finish(self, episode: Episode) -> None:
        request = StopEpisode.Request(
            save=not episode.discarded,
            outcome=episode.outcome,
            score=math.nan if episode.score is None else episode.score,
            note=episode.note,
        )
        answer = self._caller.call(self._stop, request, ANSWER_TIMEOUT)
        episode.path, episode.recommendation = Path(answer.path), answer.recommendation
        episode.findings = tuple(answer.findings)
