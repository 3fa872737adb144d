# SPDX-License-Identifier: Apache-2.0
"""Actions: scaling for the networks, and conversion to and from displacements of the commanded pose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_models.common.rotations import Array, matrix_from_rpy, rpy_from_matrix
from ptr_models.contract import Contract

MARGIN = 0.99
"""Bound of scaled actions: atanh stays finite (PTR's `generate_npy`)."""


def scale(actions: ArrayLike, contract: Contract) -> NDArray[np.float32]:
    """Map raw actions (..., A) in m, rad and gripper opening to [-0.99, 0.99]; values outside are clipped."""
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    scaled = 2.0 * (np.asarray(actions, dtype=np.float64) - low) / (high - low) - 1.0
    return np.clip(scaled, -MARGIN, MARGIN).astype(np.float32)


def scale_chunks(actions: ArrayLike, contract: Contract, steps: int) -> NDArray[np.float32]:
    """The chunk of scaled actions that starts at each step of an episode.

    After the end of the episode the arm stands still and the gripper does not change.

    Args:
        actions: (T, A) raw.   steps: h.
    Returns:
        (T, h * A), one action after the other.
    """
    raw = np.asarray(actions)
    last = len(raw) - 1
    places = np.arange(len(raw))[:, None] + np.arange(steps)
    return scale(standing_still(raw[np.minimum(places, last)], places <= last), contract).reshape(len(raw), -1)


def standing_still(chunks: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Raw chunks (..., h, A) with zero motion where valid (..., h) is False; the gripper, the last number, is kept."""
    moves = valid[..., None] | (np.arange(chunks.shape[-1]) == chunks.shape[-1] - 1)
    return np.where(moves, chunks, np.zeros((), chunks.dtype))


def unscale(actions: ArrayLike, contract: Contract) -> NDArray[np.float32]:
    """Map network actions (..., A) in [-1, 1] to raw actions in m, rad and gripper opening."""
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    return ((np.asarray(actions, dtype=np.float64) + 1.0) / 2.0 * (high - low) + low).astype(np.float32)


def integrate(position: Array, rotation: Array, deltas: Array) -> tuple[Array, Array]:
    """Commanded poses from an initial pose and per-step displacements.

    Args:
        position, rotation: (3,) m and (3, 3), the first commanded pose in base_link.
        deltas: (T, 6) m and rad: translation along, and rotation about, the axes of base_link, per step.
    Returns:
        Positions (T+1, 3) and rotations (T+1, 3, 3); row 0 is the first pose.
    """
    positions = np.concatenate([position[None], position + np.cumsum(deltas[:, :3], axis=0)])
    rotations = np.empty((len(deltas) + 1, 3, 3))
    rotations[0] = rotation
    for k, turn in enumerate(matrix_from_rpy(deltas[:, 3:6])):
        rotations[k + 1] = turn @ rotations[k]
    return positions, rotations


def displacements(positions: Array, rotations: Array) -> Array:
    """The inverse of `integrate`: (T, 6) m and rad from poses (T+1, 3), (T+1, 3, 3)."""
    turns = rotations[1:] @ np.swapaxes(rotations[:-1], -1, -2)
    return np.concatenate([np.diff(positions, axis=0), rpy_from_matrix(turns)], axis=-1)
