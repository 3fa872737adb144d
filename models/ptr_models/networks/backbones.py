# SPDX-License-Identifier: Apache-2.0
"""Image to feature map: the ResNets of PTR (v1, GroupNorm, stride 8) and `tiny` for CPUs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks.layers import Conv, group_norm, max_pool_same

STAGE_SIZES = {
    "resnet_small": (1, 1, 1, 1),
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
}
STAGE_STRIDES = (1, 2, 1, 1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, normalized after each convolution."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv(inputs, width, 3, stride), group_norm(width)
        self.conv2, self.norm2 = Conv(width, width, 3), group_norm(width)
        self.shortcut = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x), relu=True)
        return self.norm2(self.conv2(y), self.shortcut(x), relu=True)


class BottleneckBlock(nn.Module):
    """1x1, 3x3 (stride), 1x1 (times 4) and a shortcut; the last norm starts at zero."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.norm1 = Conv(inputs, width, 1), group_norm(width)
        self.conv2, self.norm2 = Conv(width, width, 3, stride), group_norm(width)
        self.conv3, self.norm3 = Conv(width, outputs, 1), group_norm(outputs, scale=0.0)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x), relu=True)
        y = self.norm2(self.conv2(y), relu=True)
        return self.norm3(self.conv3(y), self.shortcut(x), relu=True)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(Conv(inputs, outputs, 1, stride), group_norm(outputs))


class ResNet(nn.Module):
    """ResNet v1 with total stride 8: (B, 3, 128, 128) in [0, 1] to (B, 512 or 2048, 16, 16)."""

    ratio = 8

    def __init__(self, name: str) -> None:
        super().__init__()
        block = BottleneckBlock if name == "resnet50" else BasicBlock
        self.stem, self.norm = Conv(3, 64, 7, 2, padding=3), group_norm(64)
        blocks: list[nn.Module] = []
        channels = 64
        for stage, (size, stride) in enumerate(zip(STAGE_SIZES[name], STAGE_STRIDES, strict=True)):
            for index in range(size):
                blocks.append(block(channels, 64 * 2**stage, stride if index == 0 else 1))
                channels = 64 * 2**stage * block.expansion
        self.blocks = nn.Sequential(*blocks)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(max_pool_same(self.norm(self.stem(x), relu=True)))


class LightBlock(nn.Module):
    """A basic block with one norm, before the sum: on a CPU a norm costs as much as a small convolution."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(inputs, width, 3, stride), Conv(width, width, 3)
        self.norm = group_norm(width)
        self.shortcut = Conv(inputs, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.conv1(x), inplace=True)
        return self.norm(self.conv2(y), self.shortcut(x), relu=True)


class Tiny(nn.Module):
    """Three stages of 16, 32 and 64 channels for CPUs: (B, 3, 64, 64) in [0, 1] to (B, 64, 16, 16), 20 MMAC.

    The map is as fine as that of the ResNets at 128x128, so that learned spatial embeddings can localize objects.
    """

    ratio = 4
    channels = 64

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 16, 5, 2)
        self.blocks = nn.Sequential(LightBlock(16, 32, 2), LightBlock(32, 64, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(functional.relu(self.stem(x), inplace=True))


def make_backbone(name: str) -> ResNet | Tiny:
    """The backbone of that name (see `networks.config.ENCODERS`) for RGB images."""
    return Tiny() if name == "tiny" else ResNet(name)
