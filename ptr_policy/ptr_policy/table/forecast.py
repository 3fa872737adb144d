# SPDX-License-Identifier: Apache-2.0
"""Progress and remaining time of a table, from the durations of finished stages."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.json_input import read_object
from ptr_policy.stages import Stage
from ptr_policy.table.methods import Recipe
from ptr_policy.table.plan import DECODING, MODE, TablePlan, best_decoding

FILE = "times.json"
TRAINING = ("values", "pretrain", "train")


@dataclass(frozen=True)
class Work:
    """A kind of stage of a method: demonstrate, values, pretrain, train, validate or try; and how many units it has."""

    kind: str
    method: str
    units: int


def all_work(plan: TablePlan) -> Iterator[Work]:
    """What every stage of a table has to do; a cell that is not validated yet may need trials of a second decoding."""
    budget = plan.budget
    for (task, _), _ in itertools.product(plan.tasks, plan.seeds):
        if task not in plan.targets:
            yield Work("demonstrate", "", budget.demonstrations)
    for seed, method in itertools.product(plan.seeds, plan.methods):
        if method.recipe is Recipe.EXTERNAL:
            if seed in plan.seeds_of(method):
                yield from (Work("try", method.name, budget.trials) for _, kitchen in plan.tasks if kitchen)
            continue
        is_pretrained = method.recipe.is_pretrained
        if is_pretrained and method.name not in plan.checkpoints:
            if method.recipe is Recipe.VALUES:
                yield Work("values", method.name, budget.pretraining)
            yield Work("pretrain", method.name, budget.pretraining)
        for task, kitchen in plan.tasks:
            yield Work("train", method.name, budget.finetuning + (0 if is_pretrained else budget.pretraining))
            if not kitchen:
                continue
            if budget.validation:
                yield Work("validate", method.name, 1)
            run = plan.run(method, task, seed)
            is_open = budget.validation and not (run / DECODING).is_file()
            ways = 2 if is_open else len({MODE, best_decoding(run)})
            yield Work("try", method.name, budget.trials * ways)


class Forecast:
    """Keeps the durations of stages in the table's folder, and estimates those of the others."""

    def __init__(self, plan: TablePlan) -> None:
        self._plan, self._file = plan, plan.out / FILE
        stored = read_object(self._file, advice="delete it") if self._file.is_file() else {}
        self._spent: dict[str, tuple[str, str, int, float]] = {}
        try:
            for name, (kind, method, units, seconds) in stored.items():
                self._spent[name] = (str(kind), str(method), int(units), float(seconds))
        except (TypeError, ValueError) as error:
            raise PtrError(f"{self._file} has no valid stage times ({error}); delete it") from error

    def add(self, stage: Stage, units: int, seconds: float) -> None:
        """Record the duration of `units` of a stage, in addition to earlier, interrupted attempts."""
        *_, before, spent = self._spent.get(stage.name, ("", "", 0, 0.0))
        self._spent[stage.name] = (stage.kind, stage.method, before + units, spent + seconds)
        write_json(self._file, self._spent)

    def add_existing(self, stage: Stage) -> None:
        """Record a stage that was already done; its duration counts only if known."""
        self._spent.setdefault(stage.name, (stage.kind, stage.method, stage.total, 0.0))

    @property
    def spent(self) -> float:
        """Seconds spent on all stages so far."""
        return sum(seconds for *_, seconds in self._spent.values())

    def remaining(self) -> float | None:
        """Remaining seconds at the speeds so far; None: the speed of a remaining kind is not known yet."""
        done: dict[tuple[str, str], int] = defaultdict(int)
        for kind, method, units, _ in self._spent.values():
            done[kind, method] += units
        wanted: dict[tuple[str, str], int] = defaultdict(int)
        for work in all_work(self._plan):
            wanted[work.kind, work.method] += work.units
        total = 0.0
        for (kind, method), units in wanted.items():
            left = max(0, units - done[kind, method])
            if left:
                speed = self._seconds_per_unit(kind, method)
                if speed is None:
                    return None
                total += left * speed
        return total

    def _seconds_per_unit(self, kind: str, method: str) -> float | None:
        """Speed for this kind and method; if not known, for this kind, or for training of any kind of training."""
        kinds = TRAINING if kind in TRAINING else (kind,)
        for chosen, of in (((kind,), method), ((kind,), None), (kinds, method), (kinds, None)):
            times = [it for it in self._spent.values() if it[0] in chosen and of in (None, it[1]) and it[2] and it[3]]
            if times:
                return sum(it[3] for it in times) / sum(it[2] for it in times)
        return None

    def text(self) -> str:
        """The remaining time in words."""
        left = self.remaining()
        return "remaining time not known yet" if left is None else f"about {duration(left)} left"


def duration(seconds: float) -> str:
    """A time in words, with two units at most."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    days, hours = divmod(minutes // 60, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"
