# SPDX-License-Identifier: Apache-2.0
"""Where tensors live."""

from __future__ import annotations

import torch

from ptr_models.common.errors import PtrError


class DeviceError(PtrError):
    """There is no such device here."""


def resolve_device(name: str) -> str:
    """`auto` as `cuda` where PyTorch sees a GPU and `cpu` elsewhere; other names as they are.

    Raises:
        DeviceError: PyTorch knows no such device, or this machine has none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"unknown device {name!r}; known: auto, cpu, cuda, cuda:NUMBER") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"there is no device {name!r}: PyTorch sees {torch.cuda.device_count()} GPUs here; use --device cpu, or "
            "install the driver and PyTorch's CUDA build"
        )
    return name
