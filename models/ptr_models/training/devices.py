# SPDX-License-Identifier: Apache-2.0
"""Devices for tensors."""

from __future__ import annotations

import torch

from ptr_models.common.errors import PtrError


class DeviceError(PtrError):
    """The device does not exist on this machine."""


def resolve_device(name: str) -> str:
    """Replace `auto` by `cuda` if PyTorch sees a GPU, otherwise by `cpu`. Other names stay.

    Raises:
        DeviceError: PyTorch does not know the device, or this machine does not have it.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"unknown device {name!r}; known: auto, cpu, cuda, cuda:NUMBER") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"there is no device {name!r}: PyTorch sees {torch.cuda.device_count()} GPUs; use --device cpu, or install "
            "the driver and a CUDA build of PyTorch"
        )
    return name
