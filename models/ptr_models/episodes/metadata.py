# SPDX-License-Identifier: Apache-2.0
"""Metadata of an episode: stored in the bag on /episode/metadata and in episode.json."""

from __future__ import annotations

import dataclasses
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.input_limits import MAX_CONTROL_STEPS, MAX_TEXT
from ptr_models.json_input import parse_object
from ptr_models.typed_values import require_range, require_type, require_types

Entry = TypeVar("Entry")
KINDS = ("demonstration", "trial", "practice")
OUTCOMES = ("success", "failure", "partial", "unlabelled")
PROCESSOR_USE = "processor_use"
"""Key in `extra`: the share of the computer's processors in use during the recording."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def placeholder_start(episode_id: str) -> int:
    """Start time (ns) for a bag of unknown time. It depends only on the name, not on what else is imported."""
    return (1_600_000_000 + (zlib.crc32(episode_id.encode()) % 500_000) * 1000) * 10**9


@dataclass(frozen=True)
class Label:
    """A judgment of an episode: what, by whom, and when (ns since the epoch)."""

    outcome: str
    stamp_ns: int
    annotator: str = ""
    score: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        require_types(self, EpisodeError, "a label's ")
        if self.outcome not in OUTCOMES:
            raise EpisodeError(f"outcome {self.outcome!r} is unknown; known: {', '.join(OUTCOMES)}")


@dataclass(frozen=True)
class TaskEdit:
    """A correction of task and instruction: the new ones, by whom, and when (ns since the epoch)."""

    task: str
    instruction: str
    stamp_ns: int
    annotator: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        require_types(self, EpisodeError, "a task edit's ")
        check_name(self.task, "task name")


@dataclass(frozen=True)
class EpisodeMetadata:
    """Everything about an episode that is not a stream.

    Attributes:
        episode_id: its folder's name.
        task: name of the task, e.g. put_carrot_in_pot.   instruction: the same in free words, may be empty.
        kind: demonstration, trial or practice.
        outcome: success, failure, partial or unlabelled; the newest label's.
        score: optional grade of the newest label, in [0, 1].
        operator, device: who or what commanded the arm, and with which device or policy.
        robot: sim, wx250s, ...   kitchen: the scene's name.   seed: of a simulated scene.
        contract: the observations and actions of a policy for this bag.
        start_ns, end_ns: ns since the epoch (0: not known).
        commit: of the software that recorded it, `-dirty` when it was modified.   versions: of packages.
        calibration: per camera its width, height, distortion_model, d and k as in sensor_msgs/CameraInfo, if it
            publishes them with a focal length.
        action_shift: control steps by which images and states lag behind actions: a_k leads from observation
            k + action_shift to the next one (raw Bridge data until 2021-07-22: 1).
        lost: number of messages that were published but never arrived, for topics that lost any.
        labels: all judgments, oldest first.   task_edits: all corrections of task and instruction, oldest first;
            the recorded ones stay in the bag.
        extra: anything else, JSON values.
    """

    episode_id: str
    task: str
    instruction: str = ""
    kind: str = "demonstration"
    outcome: str = "unlabelled"
    score: float | None = None
    operator: str = ""
    device: str = ""
    robot: str = "sim"
    kitchen: str = ""
    seed: int | None = None
    contract: Contract = field(default_factory=Contract)
    start_ns: int = 0
    end_ns: int = 0
    commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    calibration: dict[str, dict[str, Any]] = field(default_factory=dict)
    action_shift: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    task_edits: tuple[TaskEdit, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The task in free words; may be empty. Bags of earlier imports store it in `extra`."""
        return (self.instruction or str(self.extra.get("instruction") or "")).strip()

    @property
    def begun_ns(self) -> int:
        """Start of the recording, ns since the epoch; 0: not known."""
        return 0 if self.start_ns == placeholder_start(self.episode_id) else self.start_ns

    def __post_init__(self) -> None:
        require_types(self, EpisodeError)
        for name in ("instruction", "operator", "device", "robot", "kitchen", "commit"):
            if len(getattr(self, name)) > MAX_TEXT:
                raise EpisodeError(f"{name} has {len(getattr(self, name))} characters; at most {MAX_TEXT} are kept")
        check_name(self.episode_id, "episode id")
        check_name(self.task, "task name")
        if self.kind not in KINDS:
            raise EpisodeError(f"episode kind {self.kind!r} is unknown; known: {', '.join(KINDS)}")
        if self.outcome not in OUTCOMES:
            raise EpisodeError(f"outcome {self.outcome!r} is unknown; known: {', '.join(OUTCOMES)}")
        if type(self.action_shift) is not int or not 0 <= self.action_shift <= MAX_CONTROL_STEPS:
            raise EpisodeError(
                f"action_shift is {self.action_shift!r}; it must be a whole number from 0 to {MAX_CONTROL_STEPS}"
            )
        for name in ("start_ns", "end_ns"):
            require_range(name, getattr(self, name), -(2**63), 2**63 - 1, EpisodeError)

    def labelled(self, label: Label) -> EpisodeMetadata:
        """The same episode with one more judgment, which becomes its outcome."""
        return dataclasses.replace(self, outcome=label.outcome, score=label.score, labels=(*self.labels, label))

    def edited(self, edit: TaskEdit) -> EpisodeMetadata:
        """The same episode with another task or instruction; the recorded ones stay in `extra`."""
        recorded = {"recorded_task": self.task, "recorded_instruction": self.instruction}
        return dataclasses.replace(
            self,
            task=edit.task,
            instruction=edit.instruction,
            task_edits=(*self.task_edits, edit),
            extra=recorded | self.extra,
        )

    def to_json(self) -> str:
        """JSON with sorted keys, indented by two spaces."""
        fields = dataclasses.asdict(self) | {"contract": self.contract.to_dict()}
        return json.dumps(fields, sort_keys=True, indent=2)

    @classmethod
    def from_json(cls, text: str) -> EpisodeMetadata:
        """Parse the output of `to_json`; keys of newer versions go to `extra`.

        Raises:
            EpisodeError: it is not a JSON object, or has invalid values.
            ContractError: its contract is malformed.
        """
        values = parse_object(text, "episode metadata", EpisodeError)
        if not isinstance(values.get("contract"), dict):
            raise EpisodeError("episode metadata has no contract")
        for name in ("labels", "task_edits"):
            require_type(tuple[dict[str, Any], ...], values.get(name, ()), name, EpisodeError)
        require_type(dict[str, Any], values.get("extra", {}), "extra", EpisodeError)
        known = {item.name for item in dataclasses.fields(cls)}
        newer = {key: values.pop(key) for key in sorted(set(values) - known)}
        contract = Contract.from_dict(values["contract"])
        try:
            values["contract"] = contract
            values["labels"] = _entries(Label, values.get("labels", ()), "label")
            values["task_edits"] = _entries(TaskEdit, values.get("task_edits", ()), "task edit")
            values["extra"] = {**values.get("extra", {}), **newer}
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise EpisodeError(f"episode metadata is malformed: {error}") from error


def processor_use_of(metadata: EpisodeMetadata) -> float | None:
    """Share of the recording computer's processors in use during the episode; None: not known."""
    use = metadata.extra.get(PROCESSOR_USE)
    return float(use) if isinstance(use, int | float) and 0.0 <= use <= 1.0 else None


def _entries(kind: type[Entry], rows: Sequence[dict[str, Any]], what: str) -> tuple[Entry, ...]:
    """The entries of a history; unknown keys are refused. The annotator's key used to be `by`."""
    rows = [{"annotator" if name == "by" else name: value for name, value in values.items()} for values in rows]
    known = [item.name for item in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for index, values in enumerate(rows):
        for name in values:
            if name not in known:
                raise EpisodeError(f"{what} {index} has the unknown key {name!r}; known: {', '.join(known)}")
    return tuple(kind(**values) for values in rows)


def check_name(name: str, what: str) -> None:
    """Refuse names that are unsafe for a folder: empty, or with slashes, spaces or a leading dot."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        similar = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(name)).strip("_.-")[:100]
        hint = f", for example {similar}" if similar else ""
        raise EpisodeError(
            f"{what} {name!r} is not usable; use letters, digits, '_', '-' and '.', "
            f"starting with a letter, a digit or '_'{hint}"
        )
