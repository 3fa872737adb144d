# SPDX-License-Identifier: Apache-2.0
"""Actions in physical units and as the networks know them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_models.contract import Contract

MARGIN = 0.99
"""Bound of scaled actions: atanh stays finite (PTR's `generate_npy`)."""


def scale(actions: ArrayLike, contract: Contract) -> NDArray[np.float32]:
    """Map raw actions (..., A) in m, rad and gripper opening to [-0.99, 0.99], clipping what lies outside."""
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    scaled = 2.0 * (np.asarray(actions, dtype=np.float64) - low) / (high - low) - 1.0
    return np.clip(scaled, -MARGIN, MARGIN).astype(np.float32)


def unscale(actions: ArrayLike, contract: Contract) -> NDArray[np.float32]:
    """Map network actions (..., A) in [-1, 1] to raw actions in m, rad and gripper opening."""
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    return ((np.asarray(actions, dtype=np.float64) + 1.0) / 2.0 * (high - low) + low).astype(np.float32)
