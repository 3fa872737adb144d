# SPDX-License-Identifier: Apache-2.0
"""What published backbones expect of images: one size, and the mean and deviation of ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PublishedInput(nn.Module):
    """Resize to the size of the publication and normalize with the statistics of ImageNet."""

    def __init__(self, size: int) -> None:
        """Args: size: height and width in pixels."""
        super().__init__()
        self.size = size
        self.mean: Tensor
        self.std: Tensor
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            column = torch.tensor(values).view(1, 3, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, 3, size, size)."""
        if x.shape[-2:] != (self.size, self.size):
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False)
        return (x - self.mean.to(x.dtype)) / self.std.to(x.dtype)
