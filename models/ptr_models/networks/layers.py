# SPDX-License-Identifier: Apache-2.0
"""Convolution, pooling and initializers with the conventions of flax, in which PTR was written.

Two differences from PyTorch matter. `SAME` padding with stride 2 on an even size pads right and bottom only,
and "kaiming", "xavier" and "lecun normal" are normal distributions truncated at two standard deviations.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks.fused import GroupNorm, LowPrecision

TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal truncated at +-2


def truncated_normal_(weight: Tensor, std: float) -> Tensor:
    """Fill with a normal truncated at two standard deviations whose standard deviation is `std`."""
    scale = std / TRUNCATED_STD
    with torch.no_grad():
        return nn.init.trunc_normal_(weight, std=scale, a=-2 * scale, b=2 * scale)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding (before, after) that makes the output ceil(size / stride) long; the odd one goes after."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad (B, C, H, W) as `SAME` does."""
    top, bottom = same_padding(x.shape[-2], kernel, stride)
    left, right = same_padding(x.shape[-1], kernel, stride)
    if top == bottom == left == right == 0:
        return x
    return functional.pad(x, (left, right, top, bottom), value=value)


def max_pool_same(x: Tensor, kernel: int = 3, stride: int = 2) -> Tensor:
    """Max-pool (B, C, H, W) with `SAME` padding of minus infinity."""
    sides = {same_padding(size, kernel, stride) for size in x.shape[-2:]}
    if sides == {(0, 1)}:  # the last window reaches beyond the edge: no padded copy is needed
        return functional.max_pool2d(x, kernel, stride, ceil_mode=True)
    return functional.max_pool2d(pad_same(x, kernel, stride, -math.inf), kernel, stride)


class Conv(nn.Conv2d):
    """Convolution with `SAME` padding (or a fixed one), kaiming-normal weights and no bias.

    Args:
        padding: None for `SAME`, else zeros on all four sides.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None) -> None:
        symmetric = kernel // 2 if stride == 1 and kernel % 2 == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, symmetric if padding is None else padding, bias=False)
        self.same = padding is None and symmetric == 0 and kernel > 1
        truncated_normal_(self.weight, math.sqrt(2.0 / (inputs * kernel * kernel)))
        self._low = LowPrecision()

    def forward(self, x: Tensor) -> Tensor:
        padded = pad_same(x, self.kernel_size[0], self.stride[0]) if self.same else x
        return functional.conv2d(padded, self._low.of(self.weight, x.dtype), None, self.stride, self.padding)


def group_norm(channels: int, scale: float = 1.0) -> GroupNorm:
    """GroupNorm of PTR: 4 groups, eps 1e-5; `scale` is the initial gain."""
    norm = GroupNorm(4, channels, eps=1e-5)
    nn.init.constant_(norm.weight, scale)
    return norm


def dense(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """Fully connected layer with orthogonal weights of the given gain and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
