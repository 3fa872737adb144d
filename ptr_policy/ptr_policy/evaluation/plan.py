# SPDX-License-Identifier: Apache-2.0
"""Which trial comes when: every policy in every scene, interleaved, so that a change of the light, of the arm's
temperature or of the person's patience meets all of them alike.

A block holds one scene, tried once by each policy. The order within blocks follows a Williams design (Williams 1949,
Aust. J. Sci. Res. A 2:149-168): a Latin square in which each policy also follows each other one equally often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ptr_bringup.sim.staging import scene_seed
from ptr_policy.evaluation.trials import Trial, TrialsError


def plan_trials(task: str, kitchen: str, policies: Sequence[str], scenes: int, seed: int) -> tuple[Trial, ...]:
    """All trials of an evaluation, in order.

    The scenes depend on the seed alone: every policy, also one that is evaluated on another day, meets the same
    ones, and none of a demonstration's.

    Args:
        policies: their names, or the letters that stand for them.
        scenes: start positions; each policy tries each of them once.
    """
    if not policies or len(set(policies)) < len(policies):
        raise TrialsError(f"the policies {list(policies)} are none, or not all different; name each once")
    orders = block_orders(len(policies), seed)
    trials: list[Trial] = []
    for scene in range(scenes):
        for place in next(orders):
            scenery = scene_seed("trial", seed, scene)
            trials.append(Trial(len(trials), task, kitchen, policies[place], scenery, scene))
    return tuple(trials)


def block_orders(policies: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Endless orders of blocks: after any number of blocks, counts of policies per place differ by one at most."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 17]))
    while True:
        names = rng.permutation(policies)
        for square in williams_squares(policies):
            for row in rng.permutation(square):
                yield tuple(int(names[column]) for column in row)


def williams_squares(size: int) -> list[list[tuple[int, ...]]]:
    """One Latin square for an even size, two for an odd one; over all rows each symbol follows each other one equally
    often."""
    zigzag = [(step + 1) // 2 if step % 2 else -(step // 2) for step in range(size)]  # 0 1 -1 2 -2 ...
    square = [tuple((row + step) % size for step in zigzag) for row in range(size)]
    return [square] if size % 2 == 0 or size == 1 else [square, [row[::-1] for row in square]]
