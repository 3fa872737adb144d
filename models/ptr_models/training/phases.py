# SPDX-License-Identifier: Apache-2.0
"""PTR's two phases: prior data alone, then prior and target data mixed."""

from __future__ import annotations

from typing import Any

from ptr_models.algorithms import batches_of
from ptr_models.common.errors import PtrError
from ptr_models.replay import Batch, Dataset, MixingSampler, Sampler
from ptr_models.replay.batch import ALL_ROWS
from ptr_models.replay.intents import IntentSampler
from ptr_models.replay.mixing import AnySampler
from ptr_models.replay.windows import ClipSampler, WindowSampler
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import limited
from ptr_models.training.tasks import TaskTable


class PhasedSource:
    """PTR's two phases: prior data alone, then the mixture. The step determines the phase."""

    def __init__(self, prior: AnySampler | None, target: AnySampler | None, target_from: int, mix: float) -> None:
        """Args: target_from: updates before the target data enter. Without target data there is one phase."""
        if prior is None:
            target_from, mix = 0, 0.0
        first = MixingSampler(prior, target, 1.0) if prior is not None else None
        self._phases = (first, first if target is None else MixingSampler(prior, target, mix))
        self._target_from = target_from

    def phase(self, step: int) -> int:
        """Phase (0 or 1) of the update after `step` updates."""
        return int(step >= self._target_from)

    def sample(self, size: int, step: int, rows: slice = ALL_ROWS) -> Batch:
        """A batch, or some of its rows, for the update after `step` updates."""
        source = self._phases[self.phase(step)]
        assert source is not None  # without prior data phase 0 is empty
        return source.sample(size, rows)

    def state_dict(self) -> dict[str, Any]:
        """State of the draws; the phases share their samplers."""
        assert self._phases[1] is not None
        return self._phases[1].state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        assert self._phases[1] is not None
        self._phases[1].load_state_dict(state)


def make_source(
    config: TrainingConfig, table: TaskTable, prior: Dataset | None, target: Dataset | None
) -> PhasedSource:
    """Samplers of both data sets with the run's labels and seeds; the target's seed is the prior's plus 1."""
    kind = batches_of(config.algorithm.name)
    if kind != "transitions" and config.data.task_balance:
        name = config.algorithm.name
        raise PtrError(f"data.task_balance is for single transitions; {name} learns from {kind}, set 0")

    if kind == "intents" and config.data.by_goal_image:
        raise PtrError(
            "data.task_conditioning is goal_image, but values of videos are learned without goals; omit it here, and "
            "set it when you pre-train a policy from them"
        )

    def sampler(data: Dataset | None, seed: int) -> AnySampler | None:
        if data is None:
            return None
        if kind == "clips":
            return ClipSampler(data, seed)
        if kind == "intents":
            icvf = config.algorithm.icvf
            return IntentSampler(data, seed, icvf.future_goal, icvf.current_goal, icvf.same_goal)
        ids = table.ids(data.task_names)
        if kind == "windows":
            return WindowSampler(data, ids, seed, config.networks.transformer.window, config.data.goal_future)
        options = {"task_balance": config.data.task_balance, "goal_future": config.data.goal_future}
        return Sampler(data, ids, seed, config.labelling, chunk=config.algorithm.chunk, **options)

    if target is not None:
        target = limited(target, config.data.target_episodes, config.seed)
    schedule = config.schedule
    return PhasedSource(
        sampler(prior, config.seed), sampler(target, config.seed + 1), schedule.target_from, schedule.mix
    )
