# SPDX-License-Identifier: Apache-2.0
"""Trials that appear in a folder during training: found when complete, judged once, added to a data set."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_atomically
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import OUTCOMES
from ptr_models.episodes.reader import find_episodes
from ptr_models.json_input import parse_object
from ptr_models.replay import Dataset, LeftOut, open_episodes
from ptr_models.reward.classifier import SuccessClassifier
from ptr_models.training.tasks import TaskTable

LABELLED = tuple(name for name in OUTCOMES if name != "unlabelled")


@dataclass(frozen=True)
class TrialVerdict:
    """How training uses a trial.

    Attributes:
        episode: name of its folder.
        task: its task.
        success: whether its last steps are rewarded. Otherwise it ran out of time, which is not terminal: its masks are
            all 1, and its values bootstrap.
        steps: number of steps to use; a success ends where it was recognized.
        by: classifier or label.
    """

    episode: str
    task: str
    success: bool
    steps: int
    by: str


class TrialJudge(Protocol):
    """Decides whether a trial succeeded."""

    @property
    def outcomes(self) -> Sequence[str]:
        """Labels of the episodes that can be judged."""

    def refusal(self, task: str) -> str:
        """Why trials of this task cannot be judged; empty if they can."""

    def judge(self, name: str, task: str, images: NDArray[np.uint8], labelled: bool) -> TrialVerdict:
        """A verdict, given the images (T+1, H, W, 3 * cameras) and whether the label says success."""


class ByLabel:
    """Judges by the label from the operator (or the simulator). Unlabelled trials wait."""

    outcomes = LABELLED

    def refusal(self, task: str) -> str:
        """See `TrialJudge`; labels work for every task."""
        return ""

    def judge(self, name: str, task: str, images: NDArray[np.uint8], labelled: bool) -> TrialVerdict:
        """See `TrialJudge`."""
        return TrialVerdict(name, task, labelled, len(images) - 1, "label")


class ByClassifier:
    """Judges by the success classifier and ignores the label. A success ends with the frame that completes it."""

    outcomes = OUTCOMES

    def __init__(self, classifier: SuccessClassifier) -> None:
        self.classifier = classifier

    def refusal(self, task: str) -> str:
        """See `TrialJudge`."""
        known = self.classifier.thresholds
        if self.classifier.tasks.canonical(task) in known:
            return ""
        return f"the classifier was not trained for {task!r}; it knows: {', '.join(sorted(known)) or 'none'}"

    def judge(self, name: str, task: str, images: NDArray[np.uint8], labelled: bool) -> TrialVerdict:
        """See `TrialJudge`; if the first frame already counts as success, one step remains."""
        at = self.classifier.first_success(images, task)
        steps = len(images) - 1 if at is None else max(at, 1)
        return TrialVerdict(name, task, at is not None, steps, "classifier")


class TrialDataset:
    """The complete, readable and judged bags in a folder: the online data set.

    It follows the bags: a deleted bag leaves the data set, and a changed label takes effect.
    """

    def __init__(
        self,
        folder: Path,
        contract: Contract,
        tasks: TaskTable,
        judge: TrialJudge,
        capacity: int,
        cache: Path | None = None,
    ) -> None:
        """Args:
        folder: where bags appear, at any depth.
        contract: that they must follow.
        tasks: tasks of the policy. Trials of other tasks, or of tasks that the judge does not know, are left out.
        capacity: transitions; the oldest trials beyond it are no longer sampled.
        cache: folder of replay caches, None: the user's.
        """
        self._folder, self._contract, self._tasks, self._judge = folder, contract, tasks, judge
        self._capacity, self._cache = capacity, cache
        self._verdicts: dict[str, TrialVerdict] = {}
        self._signature: tuple = ()
        self.data: Dataset | None = None
        self.left_out: tuple[LeftOut, ...] = ()

    @property
    def verdicts(self) -> list[TrialVerdict]:
        """The verdicts of all trials so far, in the order of judgment."""
        return list(self._verdicts.values())

    def restore(self, verdicts: Iterable[TrialVerdict]) -> None:
        """Continue from trials that an earlier run has judged."""
        self._verdicts = {item.episode: item for item in verdicts}
        self._signature = ()

    def refresh(self) -> list[TrialVerdict]:
        """Check for changes; returns the verdicts of new trials, oldest first."""
        signature = self._snapshot()
        if signature == self._signature:
            return []
        self._signature = signature
        new: list[TrialVerdict] = []
        self.data = None
        if not signature:
            return new
        try:
            data = open_episodes(
                [self._folder], self._contract, root=self._cache, outcomes=self._judge.outcomes, progress=False
            )
        except PtrError as error:  # none is usable, one just vanished, or the cache is full: try again
            self._signature = ()
            self.left_out = (LeftOut(str(self._folder), str(error)),)
            return new
        reasons = [self._refusal(task) for task in data.tasks]
        known = np.array([not reason for reason in reasons])
        strangers = [LeftOut(data.paths[i], reasons[i]) for i in np.flatnonzero(~known)]
        self.left_out = (*data.left_out, *strangers)
        if not known.any():
            return new
        data = data.select(known)
        order = by_recording(data)
        for index in order:
            name = Path(data.paths[index]).name
            if name not in self._verdicts:
                images = data.episode(index)[0]
                self._verdicts[name] = self._judge.judge(name, data.tasks[index], images, bool(data.successes[index]))
                new.append(self._verdicts[name])
        self.data = self._newest(self._judged(data), order)
        return new

    def _refusal(self, task: str) -> str:
        """Why trials of a task are left out; empty if they are not."""
        if self._tasks.canonical(task) not in self._tasks.names:
            return f"the policy has no task {task!r}"
        return self._judge.refusal(task)

    def _judged(self, data: Dataset) -> Dataset:
        """The data with lengths and outcomes from the verdicts. Labels count as they are now."""
        verdicts = [self._verdicts[Path(path).name] for path in data.paths]
        if isinstance(self._judge, ByLabel):
            return data
        return dataclasses.replace(
            data,
            lengths=np.array([item.steps for item in verdicts], dtype=np.int64),
            successes=np.array([item.success for item in verdicts], dtype=bool),
        )

    def _newest(self, data: Dataset, order: Sequence[int]) -> Dataset:
        """The newest trials that fit into the capacity; at least one."""
        backwards = np.array(order[::-1])
        fits = np.cumsum(data.lengths[backwards]) <= self._capacity
        fits[0] = True
        keep = np.zeros(len(data), dtype=bool)
        keep[backwards[fits]] = True
        return data if keep.all() else data.select(keep)

    def _snapshot(self) -> tuple:
        """Complete bags and the times at which they or their labels changed."""
        if not self._folder.is_dir():
            return ()
        try:
            found = find_episodes([self._folder])
        except EpisodeError:
            return ()
        return tuple((str(path), _changed(path)) for path in found)


def by_recording(data: Dataset) -> list[int]:
    """Indices of the episodes, sorted by the time at which their bag was completed, then by name."""
    return sorted(range(len(data)), key=lambda index: (_completed(Path(data.paths[index])), data.paths[index]))


def write_verdicts(path: Path, verdicts: Sequence[TrialVerdict]) -> None:
    """Write one JSON line per verdict; the file is replaced atomically."""
    text = "".join(json.dumps(dataclasses.asdict(item)) + "\n" for item in verdicts)
    write_atomically(path, text)


def read_verdicts(path: Path, count: int) -> list[TrialVerdict]:
    """The first `count` verdicts of a file.

    Raises:
        PtrError: it has fewer, or is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[:count]
        found = [TrialVerdict(**parse_object(line, str(path))) for line in lines]
    except (OSError, PtrError, ValueError, TypeError) as error:
        raise PtrError(f"the verdicts {path} cannot be read ({error}); start a new run") from error
    if len(found) < count:
        raise PtrError(f"{path} has {len(found)} verdicts, the checkpoint was trained with {count}; start a new run")
    return found


def _changed(path: Path) -> int:
    """Latest modification time (ns) of a bag's files; 0 if it is gone."""
    try:
        return max((file.stat().st_mtime_ns for file in path.iterdir()), default=0)
    except OSError:
        return 0


def _completed(path: Path) -> int:
    """Modification time (ns) of the bag itself, which labels don't change; 0 if it is gone."""
    return max((_changed_file(file) for file in path.glob("*.mcap")), default=0)


def _changed_file(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
