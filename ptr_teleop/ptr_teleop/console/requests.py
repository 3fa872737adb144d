# SPDX-License-Identifier: Apache-2.0
"""What a page may ask for; `request_reader` makes it of the page's text."""

from __future__ import annotations

from dataclasses import dataclass

DEVICES = ("webxr", "page_keyboard")


@dataclass(frozen=True)
class Record:
    """Begin an episode.

    Attributes:
        task: its name.   instruction: the task in the person's words, empty when they gave the name.
    """

    task: str
    instruction: str
    operator: str


@dataclass(frozen=True)
class Finish:
    """End the episode that is being recorded.

    Attributes:
        score: 0..1 with the outcome `partial`, otherwise None.
    """

    save: bool
    outcome: str
    score: float | None
    note: str


@dataclass(frozen=True)
class Relabel:
    """Change the label of a finished episode; an empty `episode` is the last one."""

    episode: str
    outcome: str
    score: float | None
    note: str


@dataclass(frozen=True)
class NextScene:
    """Bring the arm to its start, and in simulation lay the next scene."""


@dataclass(frozen=True)
class DiscardEpisode:
    """Move a saved episode to the discarded ones."""

    episode: str


@dataclass(frozen=True)
class RestoreEpisode:
    """Bring a discarded episode back."""

    episode: str


@dataclass(frozen=True)
class UndoLabel:
    """Take the newest judgment of an episode back."""

    episode: str


@dataclass(frozen=True)
class UseDevice:
    """Let another device drive the arm."""

    device: str


@dataclass(frozen=True)
class UseGoal:
    """Let the end of a saved episode be the goal of the policy that is served."""

    episode: str


@dataclass(frozen=True)
class ChooseTask:
    """What the next episode is of, also when a device's button begins it; fields as in `Record`."""

    task: str
    instruction: str
    operator: str


@dataclass(frozen=True)
class Stop:
    """Stop the arm and keep it stopped."""


@dataclass(frozen=True)
class Release:
    """Release the latched stop."""


@dataclass(frozen=True)
class SetTorque:
    """Switch the torque of all motors on or off; the page has asked the person to support the arm."""

    on: bool


@dataclass(frozen=True)
class RebootMotors:
    """Reboot the motors that report an error; the arm sags meanwhile."""


@dataclass(frozen=True)
class SceneReady:
    """The scene of the next trial is laid out."""


@dataclass(frozen=True)
class UndoJudgment:
    """Take the judgment of the trial before back, to give another one."""


@dataclass(frozen=True)
class JudgeTrial:
    """Label the trial of an evaluation that has just ended.

    Attributes:
        outcome: success, failure, partial or invalid (the trial is made again).
        score: 0..1 with the outcome `partial`, otherwise None.
        reason: why; needed for `partial` and `invalid`.
        by: who judges.
    """

    outcome: str
    score: float | None
    reason: str
    by: str


Request = (
    Record
    | Finish
    | Relabel
    | NextScene
    | DiscardEpisode
    | RestoreEpisode
    | UndoLabel
    | UseDevice
    | UseGoal
    | ChooseTask
    | Stop
    | Release
    | SetTorque
    | RebootMotors
    | SceneReady
    | UndoJudgment
    | JudgeTrial
)
