# SPDX-License-Identifier: Apache-2.0
"""Set up an online run and train it on trials that appear in a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import locked
from ptr_models.reward.classifier import SuccessClassifier
from ptr_models.training.checkpoint import Checkpoint
from ptr_models.training.data import Bags
from ptr_models.training.loop import Trainer
from ptr_models.training.online import OnlineLearner
from ptr_models.training.online_bags import ByClassifier, ByLabel, TrialDataset, TrialJudge
from ptr_models.training.online_log import OnlineLog
from ptr_models.training.run_setup import resume, start_finetuning
from ptr_models.training.runs import remove_leftovers
from ptr_models.training.signals import stop_signals
from ptr_models.training.tasks import ONE_HOT

POLL = 1.0
"""Poll period of the folder of trials, s; a bag arrives about every half minute."""


@dataclass(frozen=True)
class Trials:
    """Where trials appear and how they are judged.

    Attributes:
        folder: of their bags.   classifier: folder of a success classifier; None: use their labels.
    """

    folder: Path
    classifier: Path | None = None


def start_online(
    path: Path, bags: Bags, trials: Trials, folder: Path, adjust: Sequence[str] = (), **overrides: Any
) -> OnlineLearner:
    """Start an online run from a fine-tuned checkpoint. Nothing is re-initialized.

    Args:
        path: checkpoint folder, or the folder of a run.
        bags: target demonstrations and prior data to mix with them, as in fine-tuning.
        folder: of the run; must not hold checkpoints yet.
        adjust, overrides: changes of the configuration, as in fine-tuning.
    """
    learner = _learner(start_finetuning(path, bags, folder, adjust, **overrides), trials, bags.cache)
    learner.save()  # the program that collects trials starts with it
    return learner


def resume_online(
    trials: Trials, folder: Path, adjust: Sequence[str] = (), cache: Path | None = None, **overrides: Any
) -> OnlineLearner:
    """Continue a run from its newest checkpoint, on its data. Later trials are added again."""
    trainer = resume(None, folder, adjust, cache=cache, **overrides)
    return _learner(trainer, trials, cache)


def watch(learner: OnlineLearner, trials: int | None = None) -> int:
    """Learn from trials as they appear, with a checkpoint after each group of trials, until SIGINT or SIGTERM.

    Args:
        trials: stop when this many are judged; None: never.
    Returns:
        number of the signal that stopped it, or 0.
    """
    config = learner.start.config
    with (
        stop_signals() as stop,
        locked(learner.folder),
        OnlineLog(learner.folder, config, learner, trials) as log,
    ):
        remove_leftovers(learner.folder)
        while not stop:
            busy = learner.learn(lambda: bool(stop))
            log.warn(learner)
            if busy:
                log.write(learner)
            if trials is not None and learner.progress.trials >= trials:
                break
            if not busy and not stop:
                time.sleep(POLL)
    return stop.signal


def _learner(trainer: Trainer, trials: Trials, cache: Path | None) -> OnlineLearner:
    start = trainer.start
    if trainer.algorithm.batches != "transitions":
        raise PtrError(f"online improvement needs single transitions; {start.config.algorithm.name} learns from others")
    if start.tasks.conditioning != ONE_HOT:
        raise PtrError(
            f"online improvement identifies tasks by number, but the run has task_conditioning "
            f"{start.tasks.conditioning}; train with data.task_conditioning={ONE_HOT}"
        )
    judge = _judge(start, trials.classifier)
    capacity = start.config.online.capacity
    data = TrialDataset(trials.folder, start.contract, start.tasks, judge, capacity, cache)
    return OnlineLearner(trainer.algorithm, start, trainer.source, data, trainer.folder)


def _judge(start: Checkpoint, classifier: Path | None) -> TrialJudge:
    if classifier is None:
        return ByLabel()
    loaded = SuccessClassifier.load(classifier)
    start.contract.require(loaded.contract, f"the success classifier {classifier}")
    return ByClassifier(loaded)
