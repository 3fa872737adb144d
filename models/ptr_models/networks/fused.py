# SPDX-License-Identifier: Apache-2.0
"""Fused operations of the image encoders, with their gradients: fewer passes over the feature maps.

Maps are (B, C, H, W) in PyTorch's channels-last layout. Each function equals the plain composition that its docstring
names, up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook


# --------------------------------------------------------------------------- GroupNorm, sum, ReLU
class GroupNorm(nn.GroupNorm):
    """GroupNorm that can add a shortcut and apply a ReLU in the same step."""

    def forward(self, x: Tensor, shortcut: Tensor | None = None, relu: bool = False) -> Tensor:
        """relu(norm(x) + shortcut), without the parts that are not requested."""
        return _NormRelu.apply(x, self.weight, self.bias, shortcut, self.num_groups, self.eps, relu)


class _NormRelu(torch.autograd.Function):
    """Sum and ReLU work in place on the normalized map; the backward pass keeps that map as the ReLU's mask."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, shortcut: Tensor | None, groups: int, eps: float, relu: bool
    ) -> Tensor:
        x = _dense(x)
        y, mean, rstd = (_decomposed_norm if _decomposes(x) else _native_norm)(x, weight, bias, groups, eps)
        if shortcut is not None:
            y.add_(shortcut)
        if relu:
            y.relu_()
        ctx.save_for_backward(x, weight, mean, rstd, y if relu else None)
        ctx.groups, ctx.has_shortcut = groups, shortcut is not None
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd, y = ctx.saved_tensors
        gradient = _like(gradient, x)
        if y is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        norm_gradient = _decomposed_norm_gradient if _decomposes(x) else _native_norm_gradient
        to_x, to_weight, to_bias = norm_gradient(gradient, x, weight, mean, rstd, ctx.groups)
        return to_x, to_weight, to_bias, gradient if ctx.has_shortcut else None, None, None, None


def _decomposes(x: Tensor) -> bool:
    """Whether PyTorch's own kernel would copy the map into another layout first: it does on CUDA."""
    return x.is_cuda and not x.is_contiguous()


def _native_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    batch, channels, height, width = x.shape
    return torch.native_group_norm(x, weight, bias, batch, channels, height * width, groups, eps)


def _native_norm_gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    batch, channels, height, width = x.shape
    return torch.ops.aten.native_group_norm_backward(
        gradient, x, mean, rstd, weight, batch, channels, height * width, groups, [True, True, True]
    )


def _decomposed_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """GroupNorm from sums and products that keep the layout, with statistics in float32.

    The variance is E[x^2] - E[x]^2, as flax computes it.

    Returns:
        y like x, and float32 mean and 1 / standard deviation (B, groups).
    """
    grouped = _rows(x).unflatten(2, (groups, -1))
    count = grouped.shape[1] * grouped.shape[3]
    mean = grouped.sum(dim=(1, 3), dtype=torch.float32) / count
    square = torch.linalg.vector_norm(grouped, dim=(1, 3), dtype=torch.float32).square() / count
    rstd = torch.rsqrt((square - mean.square()).clamp_min(0.0) + eps)
    scale = weight.view(groups, -1) * rstd.unsqueeze(-1)
    shift = bias.view(groups, -1) - mean.unsqueeze(-1) * scale
    return torch.addcmul(_per_channel(shift, x), x, _per_channel(scale, x)), mean, rstd


def _decomposed_norm_gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `_decomposed_norm` with respect to x, weight and bias."""
    rows = _rows(gradient).float()
    count = rows.shape[1] * rows.shape[2] // groups
    sums = rows.sum(dim=1).unflatten(1, (groups, -1))
    products = (rows * _rows(x)).sum(dim=1).unflatten(1, (groups, -1))
    mean, rstd, gain = mean.unsqueeze(-1), rstd.unsqueeze(-1), weight.view(groups, -1)
    to_weight = ((products - mean * sums) * rstd).sum(dim=0).flatten()
    to_bias = sums.sum(dim=0).flatten()
    of_sum = (gain * sums).sum(dim=-1, keepdim=True) / count
    of_product = (gain * (products - mean * sums)).sum(dim=-1, keepdim=True) * rstd / count
    on_gradient, on_x = gain * rstd, (-rstd.square() * of_product).expand(-1, -1, gain.shape[1])
    constant = (-rstd * of_sum - mean * on_x).expand_as(on_x)
    to_x = torch.addcmul(_per_channel(constant, x), x, _per_channel(on_x, x))
    return torch.addcmul(to_x, gradient, _per_channel(on_gradient, x)), to_weight, to_bias


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) channels-last as (B, H*W, C), a view."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """(B, groups, C / groups) as (B, C, 1, 1) in the type of x."""
    return values.flatten(1)[:, :, None, None].to(x.dtype)


# --------------------------------------------------------------------------- spatial embeddings
def embed(x: Tensor, kernel: Tensor) -> Tensor:
    """z[b, c, f] = sum over places p of x[b, c, p] kernel[c, p, f]: (B, C, H, W), (C, H*W, F) to (B, C*F)."""
    return _Embed.apply(x, kernel)


class _Embed(torch.autograd.Function):
    """A product per channel of matrices stored in the order in which the product reads them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        masks = kernel.transpose(1, 2).contiguous()
        maps = _channel_major(x)
        ctx.save_for_backward(maps, masks)
        ctx.shape = x.shape
        return torch.bmm(maps, masks.transpose(1, 2)).transpose(0, 1).flatten(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        maps, masks = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        of_channels = gradient.unflatten(1, (channels, -1)).transpose(0, 1).to(maps.dtype)
        to_x = to_kernel = None
        if ctx.needs_input_grad[0]:
            by_place = torch.bmm(of_channels, masks).view(channels, -1).t().contiguous()
            to_x = by_place.view(batch, height, width, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            to_kernel = torch.bmm(of_channels.transpose(1, 2), maps).transpose(1, 2)
        return to_x, to_kernel


def _channel_major(x: Tensor) -> Tensor:
    """(B, C, H, W) as (C, B, H*W), contiguous; of a channels-last map it is one transposed matrix."""
    batch, channels = x.shape[:2]
    if x.is_contiguous():
        return x.flatten(2).transpose(0, 1).contiguous()
    return x.permute(0, 2, 3, 1).reshape(-1, channels).t().contiguous().view(channels, batch, -1)


# --------------------------------------------------------------------------- layouts and precision
def _dense(x: Tensor) -> Tensor:
    """A map without gaps in either of the two layouts."""
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous(memory_format=torch.channels_last)


def _like(gradient: Tensor, x: Tensor) -> Tensor:
    """A gradient in the layout of its map."""
    return gradient.contiguous(memory_format=torch.contiguous_format if x.is_contiguous() else torch.channels_last)


class LowPrecision:
    """A weight in a narrower type, converted again only when the weight has changed."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._copy: Tensor | None = None

    def of(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """The weight in this type; gradients reach the weight itself."""
        if weight.dtype == dtype:
            return weight
        if torch.compiler.is_compiling() or weight.is_inference():
            return weight.to(dtype)
        key = (weight._version, weight.data_ptr(), dtype)
        if self._copy is None or key != self._key:
            with torch.inference_mode(False), torch.no_grad():
                self._copy, self._key = weight.detach().to(dtype), key
        return _Cast.apply(weight, self._copy)

    def __deepcopy__(self, _: object) -> LowPrecision:
        return LowPrecision()

    def __reduce__(self) -> tuple[type[LowPrecision], tuple[()]]:
        return LowPrecision, ()


def _mark_changed(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """PyTorch's fused optimizers change weights without a new version number, which `LowPrecision` relies on."""
    for group in optimizer.param_groups:
        if group.get("fused"):
            torch.autograd.graph.increment_version(group["params"])


register_optimizer_step_post_hook(_mark_changed)


class _Cast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, copy: Tensor) -> Tensor:
        ctx.dtype = weight.dtype
        return copy.view_as(copy)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.to(ctx.dtype), None
