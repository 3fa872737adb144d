# SPDX-License-Identifier: Apache-2.0
"""The protocol of an evaluation, stored as `evaluation.json` next to its trials to continue and report it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_models.json_input import read_object
from ptr_policy.evaluation.summary import write_json
from ptr_policy.evaluation.trials import Trial, TrialFile, TrialsError

FILE = "evaluation.json"
MAY_CHANGE = ("scenes", "started", "versions")
"""Fields that may change when an evaluation is continued."""


def plan_trials(task: str, kitchen: str, policies: Sequence[str], scenes: int, seed: int) -> tuple[Trial, ...]:
    """All trials of an evaluation, in order.

    The scenes depend on the seed only: every policy, even if evaluated on another day, gets the same ones. They differ
    from the scenes of demonstrations.

    Args:
        policies: names, or letters in a blind evaluation.
        scenes: number of start positions; each policy tries each once.
    """
    if not policies or len(set(policies)) < len(policies):
        raise TrialsError(f"the policies {list(policies)} must be at least one, and all different; name each once")
    orders = block_orders(len(policies), seed)
    trials: list[Trial] = []
    for scene in range(scenes):
        for place in next(orders):
            scenery = scene_seed("trial", seed, scene)
            trials.append(Trial(len(trials), task, kitchen, policies[place], scenery, scene))
    return tuple(trials)


def block_orders(policies: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Endless block orders: after any number of blocks, the counts of policies per position differ by at most one.

    A block is one scene, tried once by each policy, so that changes in light, motor temperature or the judge's patience
    affect all policies alike. The order within blocks follows a Williams design (Williams 1949, Aust. J. Sci. Res. A
    2:149-168): a Latin square in which each policy also follows every other one equally often.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 17]))
    while True:
        names = rng.permutation(policies)
        for square in williams_squares(policies):
            for row in rng.permutation(square):
                yield tuple(int(names[column]) for column in row)


def williams_squares(size: int) -> list[list[tuple[int, ...]]]:
    """One Latin square for an even size, two for an odd one; over all rows, each symbol follows every other one equally
    often."""
    zigzag = [(step + 1) // 2 if step % 2 else -(step // 2) for step in range(size)]  # 0 1 -1 2 -2 ...
    square = [tuple((row + step) % size for step in zigzag) for row in range(size)]
    return [square] if size % 2 == 0 or size == 1 else [square, [row[::-1] for row in square]]


@dataclass(frozen=True)
class Protocol:
    """Settings of an evaluation.

    Attributes:
        policies: names, or letters while names are hidden; the plan depends on their order.
        scenes: number of start positions; each policy tries each once.
        blind: names are hidden, see `checkpoints.py`.
        paths: folder of each policy's checkpoint, by name; empty while names are hidden, or if the policy server had
            its checkpoint already.
        max_steps: of a trial; 0: the policy server's.   action_choice: empty: the policy server's.
        new_task: a task that got a spare slot in each checkpoint.
        goal: bag or image file that showed the desired end; empty: none, or the policy server's.
        started: ISO 8601, UTC.   versions: of what the trials were made with.
    """

    task: str
    kitchen: str
    policies: tuple[str, ...]
    scenes: int
    seed: int
    blind: bool = False
    paths: dict[str, str] = field(default_factory=dict)
    max_steps: int = 0
    action_choice: str = ""
    new_task: str = ""
    goal: str = ""
    started: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def trials(self) -> tuple[Trial, ...]:
        """The plan."""
        return plan_trials(self.task, self.kitchen, self.policies, self.scenes, self.seed)

    def save(self, directory: Path) -> Protocol:
        """Write the protocol; if the evaluation is continued, check that it is the same, and keep its start time.

        Raises:
            TrialsError: the folder holds another evaluation, or a trial that is not in this plan.
        """
        saved = self
        if (directory / FILE).exists():
            before = read_protocol(directory)
            for item in dataclasses.fields(self):
                old, new = getattr(before, item.name), getattr(self, item.name)
                if item.name not in MAY_CHANGE and old != new:
                    raise TrialsError(
                        f"{directory} holds another evaluation (its {item.name} is {old!r}, not {new!r}); "
                        "give another directory"
                    )
            TrialFile(directory / "trials.jsonl").remaining(self.trials())
            saved = dataclasses.replace(self, started=before.started)
        write_json(directory / FILE, dataclasses.asdict(saved))
        return saved


def read_protocol(directory: Path) -> Protocol:
    """The protocol of a folder.

    Raises:
        TrialsError: missing or damaged.
    """
    path = directory / FILE
    try:
        if not path.exists():
            raise FileNotFoundError(path)
        values = read_object(path, TrialsError)
        return Protocol(**{**values, "policies": tuple(values["policies"])})
    except FileNotFoundError:
        raise TrialsError(f"{path} does not exist; give the folder of an evaluation") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrialsError(f"{path} cannot be read: {error!r}") from error
