# SPDX-License-Identifier: Apache-2.0
"""The requests of a page; `request_reader` parses them."""

from __future__ import annotations

from dataclasses import dataclass

DEVICES = ("webxr", "page_keyboard")


@dataclass(frozen=True)
class Record:
    """Start an episode.

    Attributes:
        task: name of the task.   instruction: the task in the person's words; empty: they entered its name.
    """

    task: str
    instruction: str
    operator: str


@dataclass(frozen=True)
class Finish:
    """End the current episode.

    Attributes:
        score: 0..1 for the outcome `partial`, otherwise None.
    """

    save: bool
    outcome: str
    score: float | None
    note: str


@dataclass(frozen=True)
class Relabel:
    """Change the label of a finished episode; an empty `episode` means the last one."""

    episode: str
    outcome: str
    score: float | None
    note: str


@dataclass(frozen=True)
class NextScene:
    """Move the arm to its start and, in simulation, set up the next scene."""


@dataclass(frozen=True)
class DiscardEpisode:
    """Move a saved episode to `discarded`."""

    episode: str


@dataclass(frozen=True)
class RestoreEpisode:
    """Restore a discarded episode."""

    episode: str


@dataclass(frozen=True)
class UndoLabel:
    """Undo the newest judgment of an episode."""

    episode: str


@dataclass(frozen=True)
class UseDevice:
    """Let another device drive the arm."""

    device: str


@dataclass(frozen=True)
class UseGoal:
    """Make the last image of a saved episode the goal of the served policy."""

    episode: str


@dataclass(frozen=True)
class ChooseTask:
    """Set the task of the next episode, even if a device's button starts it; fields as in `Record`."""

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
    """Switch the torque of all motors on or off. The page has asked the person to support the arm."""

    on: bool


@dataclass(frozen=True)
class RebootMotors:
    """Reboot motors that report an error; the arm sags during the reboot."""


@dataclass(frozen=True)
class SceneReady:
    """Report that the scene of the next trial is set up."""


@dataclass(frozen=True)
class UndoJudgment:
    """Undo the judgment of the previous trial, to give another one."""


@dataclass(frozen=True)
class JudgeTrial:
    """Judge the evaluation trial that has just ended.

    Attributes:
        outcome: success, failure, partial or invalid (the trial is repeated).
        score: 0..1 for the outcome `partial`, otherwise None.
        reason: required for `partial` and `invalid`.
        annotator: who judges.
    """

    outcome: str
    score: float | None
    reason: str
    annotator: str


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
