# SPDX-License-Identifier: Apache-2.0
"""Chunks of actions as flat vectors: h steps of A numbers each, one step after the other, the gripper last in each.

A single action is a chunk of one step.
"""

from __future__ import annotations

import torch
from torch import Tensor

GRIPPER = -1
"""Index of the gripper in one action."""


def split_gripper(chunk: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """(..., h * A) to the motion (..., h * (A - 1)) and the gripper (..., h)."""
    each = chunk.unflatten(-1, (steps, -1))
    return each[..., :GRIPPER].flatten(-2), each[..., GRIPPER]


def with_gripper(motion: Tensor, gripper: Tensor) -> Tensor:
    """The inverse: (..., h * (A - 1)) and (..., h) to (..., h * A)."""
    each = motion.unflatten(-1, (gripper.shape[-1], -1))
    return torch.cat([each, gripper.to(motion.dtype).unsqueeze(-1)], dim=-1).flatten(-2)


def sum_over_steps(values: Tensor, valid: Tensor | None) -> Tensor:
    """Sum of values (..., h * W), W per step, over valid steps: (...).

    Args:
        valid: (..., h) 1 for valid steps, 0 for padding; None: all are valid.
    """
    if valid is None:
        return values.sum(dim=-1)
    return (values.unflatten(-1, (valid.shape[-1], -1)).sum(dim=-1) * valid).sum(dim=-1)
