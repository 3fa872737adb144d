# SPDX-License-Identifier: Apache-2.0
"""Initial conditions of demonstrations and trials: seeds of scenes, and varied starts of the arm."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.sim.kitchens import kitchen_named
from ptr_bringup.sim.world import START_POSITION, Variation


def scene_seed(purpose: str, seed: int, index: int) -> int:
    """The seed (uint32) of scene number `index`; different purposes have different scenes.

    Args:
        purpose: `demonstration`, `trial` or `validation`.
        seed: of the whole session.
    """
    digest = hashlib.sha256(f"{purpose}/{seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def start_position(seed: int, variation: Variation | None = None) -> NDArray[np.float64]:
    """Start of the end effector in the scene of a seed: (3,) m in base_link, gripper pointing down."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 11]))
    deviation = np.asarray((variation or Variation()).start)
    return START_POSITION + rng.uniform(-1.0, 1.0, 3) * deviation


def drop_spot(kitchen: str, seed: int) -> NDArray[np.float64]:
    """Where to put an object taken out of a receptacle: (2,) m on the counter."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 13]))
    return np.asarray(kitchen_named(kitchen).drop_spot) + rng.uniform(-0.025, 0.025, 2)
