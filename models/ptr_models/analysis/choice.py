# SPDX-License-Identifier: Apache-2.0
"""Choose a checkpoint of a run without trials, and store the choice and its reason in the run.

PTR takes the earliest checkpoint of fine-tuning whose values rise along the demonstrations of the target task. The
rule does not apply to methods without a Q-function, or while the actor only imitates; then the last checkpoint is
chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptr_models.analysis.q_range import add_q_ranges
from ptr_models.analysis.values import ACCEPT_MEAN, ACCEPT_SHARE, ACCEPT_SINGLE, Candidate, choose, score_checkpoints
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.replay import Dataset
from ptr_models.training.checkpoint import Checkpoint, has_critic, read_checkpoint
from ptr_models.training.data import Bags, bags_of_run, limited, open_folders
from ptr_models.training.runs import CHOICE, CheckpointError, checkpoints_of

DEMONSTRATIONS = 10
"""Maximum number of demonstrations to use."""
RULE = (
    f"the earliest whose values rise: mean rank correlation of Q with time at least {ACCEPT_MEAN}, and at least "
    f"{ACCEPT_SINGLE} on {100 * ACCEPT_SHARE:.0f} % of the demonstrations"
)


@dataclass(frozen=True)
class Choice:
    """The chosen checkpoint, the reason in one sentence, and what was compared (nothing without a Q-function)."""

    path: Path
    reason: str
    candidates: tuple[Candidate, ...] = ()

    def __str__(self) -> str:
        """A table of all candidates and the sentence."""
        rows = [f"{'updates':>9}  {'trend score':>11}  {'rising demos':>12}" if self.candidates else ""]
        for item in self.candidates:
            mark = "  <- chosen" if item.path == self.path else ""
            rows.append(f"{item.since:>9}  {item.trend.score:>11.3f}  {100 * item.trend.share:>10.0f} %{mark}")
        return "\n".join([*filter(None, rows), f"Chosen: {self.path}", f"because {self.reason}."])

    def to_dict(self) -> dict[str, Any]:
        """The content of choice.json."""
        return {
            "chosen": self.path.name,
            "reason": self.reason,
            "rule": RULE if self.candidates else None,
            "candidates": [
                {
                    "checkpoint": item.path.name,
                    "updates": item.since,
                    "trend_score": item.trend.score,
                    "share_of_rising_demonstrations": item.trend.share,
                    "accepted": item.trend.accepted,
                }
                for item in self.candidates
            ],
        }


def choose_of_run(
    run: Path,
    folders: Sequence[Path] = (),
    *,
    earliest: int | None = None,
    demonstrations: int = DEMONSTRATIONS,
    cache: Path | None = None,
    exclude: Sequence[str] = (),
    device: str = "cpu",
) -> Choice:
    """Choose a checkpoint of a run and write the choice into it, and the range of Q into the checkpoint.

    Args:
        run: its folder.
        folders: demonstrations of the target task; none: those that the run was fine-tuned on.
        earliest: minimum updates of fine-tuning for a choice; None: `schedule.choose_from` of the run.
        demonstrations: maximum number, chosen by the run's seed.
        cache: folder of replay caches.   exclude: see `episodes.exclusion`; without `folders`, the run's also apply.
        device: that computes the values.
    Raises:
        PtrError: the run has no checkpoints, or the demonstrations do not fit them.
    """
    paths = checkpoints_of(run)
    if not paths:
        raise CheckpointError(f"{run} holds no checkpoints; give the folder of a training run")
    last = read_checkpoint(paths[-1])
    if not has_critic(last):
        found = Choice(paths[-1], f"it is the last one; {last.config.algorithm.name} has no values to go by")
    elif _only_imitated(last):
        found = Choice(paths[-1], "it is the last one; its actor has only imitated, so values say nothing about it")
    else:
        data = _demonstrations(run, folders, last, demonstrations, cache, exclude)
        found = _by_trend(paths, data, last.config.schedule.choose_from if earliest is None else earliest, device)
        add_q_ranges(found.path, data, device=device)
    _write(run / CHOICE, found.to_dict())
    return found


def _only_imitated(checkpoint: Checkpoint) -> bool:
    """Whether the actor has only imitated so far."""
    return checkpoint.step <= checkpoint.config.algorithm.bc_steps


def _by_trend(paths: Sequence[Path], data: Dataset, earliest: int, device: str) -> Choice:
    candidates = tuple(score_checkpoints(paths, data, device=device))
    best = choose(candidates, earliest)
    if len(candidates) == 1:
        reason = "it is the only one"
    elif best.since < earliest:
        reason = f"it is the last one, and none has the {earliest} updates of fine-tuning that a choice needs"
    elif best.trend.accepted:
        reason = f"it is {RULE}" + (f"; from {earliest} updates of fine-tuning on" if earliest else "")
    else:
        reason = f"no checkpoint's values rise as they should; its trend score of {best.trend.score:.3f} is the best"
    return Choice(best.path, reason, candidates)


def _demonstrations(
    run: Path, folders: Sequence[Path], last: Checkpoint, max_episodes: int, cache: Path | None, exclude: Sequence[str]
) -> Dataset:
    config = last.config
    bags = Bags(target=folders) if folders else bags_of_run(run)
    if not bags.target:
        raise PtrError(f"{run} was trained without demonstrations of a target task; name some to choose by")
    data = open_folders(
        bags.target,
        last.contract,
        cache=cache,
        exclude=exclude,
        inherited=bags.exclude,
        max_idle_steps=config.data.max_idle_steps,
        goal_images=config.data.by_goal_image,
    )
    if not folders:
        data = limited(data, config.data.target_episodes, config.seed)
    return limited(data, max_episodes, config.seed)


def _write(file: Path, values: dict[str, Any]) -> None:
    try:
        write_json(file, values)
    except OSError as error:
        raise PtrError(f"the choice {file} cannot be written: {error}") from error
