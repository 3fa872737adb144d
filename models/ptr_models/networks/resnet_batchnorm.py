# SPDX-License-Identifier: Apache-2.0
"""The ResNet-50 that R3M and most published weights use: BatchNorm, strides 2-2-2-2, symmetric padding.

PTR's own ResNets (`backbones`) differ: GroupNorm, total stride 8, flax's padding. Names and shapes of the
weights are those of torchvision (He et al. 2016, with the stride in the 3x3 convolution).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks.pixels import PublishedInput

STAGES = (3, 4, 6, 3)
IMAGE = 224


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class Bottleneck(nn.Module):
    """1x1, 3x3 (stride), 1x1 (times 4), and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module
        if inputs != 4 * width or stride != 1:
            self.downsample = nn.Sequential(_conv(inputs, 4 * width, 1, stride), nn.BatchNorm2d(4 * width))
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class BatchNormResNet50(nn.Module):
    """(B, C, H, W) in [0, 1], resized to 224x224 and normalized, to (B, 2048, 7, 7)."""

    channels = 2048
    side = 7

    def __init__(self) -> None:
        super().__init__()
        self.prepare = PublishedInput(IMAGE)
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.layer1: nn.Sequential
        self.layer2: nn.Sequential
        self.layer3: nn.Sequential
        self.layer4: nn.Sequential
        channels = 64
        for stage, blocks in enumerate(STAGES):
            width = 64 * 2**stage
            layers = [Bottleneck(channels, width, 1 if stage == 0 else 2)]
            channels = 4 * width
            layers += [Bottleneck(channels, width, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(self.prepare(x))))
        x = functional.max_pool2d(x, 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))
