# SPDX-License-Identifier: Apache-2.0
"""Fused operations equal the plain ones that they replace, values and gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks import NetworkConfig, fused
from ptr_models.networks.encoder import Encoder
from ptr_models.networks.fused import GroupNorm, LowPrecision, embed
from ptr_models.networks.layers import Conv, max_pool_same


def maps(*shape: int, seed: int = 0, offset: float = 0.7) -> Tensor:
    """A channels-last feature map whose mean is not zero."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return (noise + offset).to(memory_format=torch.channels_last)


def gradients(call: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The value, and the gradients of its product with fixed noise."""
    leaves = [item.detach().clone(memory_format=torch.preserve_format).requires_grad_() for item in inputs]
    value = call(*leaves)
    noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(9))
    (value.float() * noise).sum().backward()
    return value.detach(), [leaf.grad for leaf in leaves if leaf.grad is not None]


def random_norm(channels: int) -> GroupNorm:
    norm = GroupNorm(4, channels, eps=1e-5)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-0.5, 1.5, channels))
        norm.bias.copy_(torch.linspace(0.4, -0.6, channels))
    return norm


def plain_norm(norm: nn.GroupNorm, x: Tensor, shortcut: Tensor | None, relu: bool) -> Tensor:
    y = functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    y = y if shortcut is None else y + shortcut
    return functional.relu(y) if relu else y


@pytest.mark.parametrize("path", ["native", "decomposed"])
@pytest.mark.parametrize(("shortcut", "relu"), [(False, False), (False, True), (True, False), (True, True)])
def test_norm_sum_and_relu_in_one_step_equal_three(
    path: str, shortcut: bool, relu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "_decomposes", lambda _: path == "decomposed")
    norm, plain = random_norm(8), random_norm(8)
    inputs = [maps(3, 8, 5, 6)] + ([maps(3, 8, 5, 6, seed=1)] if shortcut else [])
    value, found = gradients(lambda x, s=None: norm(x, s, relu=relu), *inputs)
    expected, wanted = gradients(lambda x, s=None: plain_norm(plain, x, s, relu), *inputs)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    for name in ("weight", "bias"):
        torch.testing.assert_close(getattr(norm, name).grad, getattr(plain, name).grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("path", ["native", "decomposed"])
def test_a_norm_in_bfloat16_keeps_its_statistics_in_float32(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_decomposes", lambda _: path == "decomposed")
    norm = random_norm(8)
    low = maps(4, 8, 16, 16, offset=1.0).to(torch.bfloat16)
    value, (found,) = gradients(lambda x: norm(x, relu=True), low)
    expected, (wanted,) = gradients(lambda x: plain_norm(norm, x, None, relu=True), low.float())
    assert value.dtype == found.dtype == torch.bfloat16
    torch.testing.assert_close(value.float(), expected, atol=0.03, rtol=0.02)
    cosine = functional.cosine_similarity(found.float().flatten(), wanted.flatten(), dim=0)
    assert cosine > 0.999  # where rounding moves a value across zero, the ReLU's mask differs


def test_a_norm_leaves_its_inputs_and_their_layout_alone() -> None:
    x, shortcut = maps(2, 8, 4, 4), maps(2, 8, 4, 4, seed=1)
    before = x.clone(), shortcut.clone()
    y = random_norm(8)(x, shortcut, relu=True)
    assert torch.equal(x, before[0]) and torch.equal(shortcut, before[1])
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_embeddings_equal_the_sum_over_places(layout: torch.memory_format) -> None:
    x = maps(3, 6, 4, 5).to(memory_format=layout)
    kernel = torch.randn(6, 20, 2, generator=torch.Generator().manual_seed(3))
    value, found = gradients(embed, x, kernel)
    expected, wanted = gradients(lambda m, k: torch.einsum("bcp,cpf->bcf", m.flatten(2), k).flatten(1), x, kernel)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("size", [7, 8, 9, 64])
def test_pooling_without_a_padded_copy_equals_padding_by_minus_infinity(size: int) -> None:
    x = maps(2, 3, size, size, offset=-5.0)
    before, after = (1, 1) if size % 2 else (0, 1)
    padded = functional.pad(x, (before, after, before, after), value=-torch.inf)
    assert torch.equal(max_pool_same(x), functional.max_pool2d(padded, 3, 2))


def test_a_weight_is_narrowed_once_until_it_changes() -> None:
    weight, low = nn.Parameter(torch.randn(4, 3)), LowPrecision()
    first, again = low.of(weight, torch.bfloat16), low.of(weight, torch.bfloat16)
    assert first.data_ptr() == again.data_ptr()
    assert torch.equal(first, weight.to(torch.bfloat16))
    first.float().square().sum().backward()
    assert weight.grad is not None and weight.grad.dtype == torch.float32
    torch.testing.assert_close(weight.grad, 2 * first.detach().float())
    torch.optim.Adam([weight], lr=0.5, fused=True).step()
    assert torch.equal(low.of(weight, torch.bfloat16), weight.to(torch.bfloat16))
    with torch.no_grad():
        torch._foreach_lerp_([weight], [torch.zeros(4, 3)], 0.5)
    assert torch.equal(low.of(weight, torch.bfloat16), weight.to(torch.bfloat16))
    weight.data = torch.ones(4, 3)
    assert torch.equal(low.of(weight, torch.bfloat16), torch.ones(4, 3, dtype=torch.bfloat16))


def test_a_copied_convolution_follows_its_own_weight() -> None:
    conv, x = Conv(3, 4, 3), maps(1, 3, 5, 5).to(torch.bfloat16)
    with torch.inference_mode():
        before = conv(x)
    other = copy.deepcopy(conv)
    with torch.no_grad():
        other.weight.zero_()
    assert other(x).abs().max() == 0
    conv(x).float().sum().backward()  # what inference narrowed serves training as well
    assert conv.weight.grad is not None
    torch.testing.assert_close(conv(x).detach(), before.clone())


def test_the_tiny_encoder_computes_what_its_checkpoints_were_trained_with() -> None:
    torch.manual_seed(4)
    encoder = Encoder(NetworkConfig(encoder="tiny", image_size=64))
    w = {name: value.detach() for name, value in encoder.state_dict().items()}
    image = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    x = functional.pad(image.permute(0, 3, 1, 2).float() / 255, (1, 2, 1, 2))
    x = functional.relu(functional.conv2d(x, w["backbone.stem.weight"], stride=2))
    for index, stride in ((0, 2), (1, 1)):
        name = f"backbone.blocks.{index}."
        padded = functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        y = functional.relu(functional.conv2d(padded, w[name + "conv1.weight"], stride=stride))
        y = functional.conv2d(y, w[name + "conv2.weight"], padding=1)
        y = functional.group_norm(y, 4, w[name + "norm.weight"], w[name + "norm.bias"])
        x = functional.relu(y + functional.conv2d(x, w[name + "shortcut.weight"], stride=stride))
    z = torch.einsum("bcp,cpf->bcf", x.flatten(2), w["pooling.kernel"]).flatten(1)
    z = functional.linear(z, w["dense.weight"], w["dense.bias"])
    z = torch.tanh(functional.layer_norm(z, (256,), w["norm.weight"], w["norm.bias"], 1e-6))
    torch.testing.assert_close(encoder(image).detach(), z, atol=1e-5, rtol=1e-5)
