# SPDX-License-Identifier: Apache-2.0
"""What training and inference need of a machine: this package's part of `ptr doctor`.

The doctor belongs to the robot's package, which this package does not know. It asks each installed package for rows of
plain values, through the entry-point group `ptr.checks`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from ptr_models.common.assets import checkpoint_directories

SETUP = "run `make setup` in the suite's folder"
Answer = tuple[str, str]
"""What was found, in a few words, and how to get it; one of them is empty."""
Row = tuple[str, str, bool, Callable[[], Answer]]
"""Name, what it is for, whether the suite can't do its main work without it, and the probe."""


def checks() -> list[Row]:
    """The rows, in the order in which things are needed."""
    return [
        ("PyTorch", "training and inference", True, lambda: _library("torch")),
        ("OpenCV", "images", True, lambda: _library("cv2", "opencv-python-headless")),
        ("rosbags", "recording and reading bags", True, lambda: _library("rosbags.rosbag2", "rosbags")),
        ("PyAV", "videos of bags, and data sets of LeRobot", False, lambda: _library("av")),
        ("pre-trained checkpoint", "what fine-tuning starts from", False, checkpoint),
        ("GPU", "training larger networks", False, gpu),
    ]


def _library(module: str, distribution: str = "") -> Answer:
    try:
        loaded = importlib.import_module(module)
        return getattr(loaded, "__version__", "") or version(distribution), ""
    except ImportError as error:  # also a distribution without its metadata (PackageNotFoundError)
        return "", f"{module} can't be imported ({error}): {SETUP}"


def checkpoint() -> Answer:
    """The checkpoints that ship with the suite."""
    found = [path.parent for folder in checkpoint_directories() for path in folder.glob("*/checkpoint.json")]
    if not found:
        return "", "none is in this copy of the suite: `make pretrain` makes it (hours on 2 cores)"
    return ", ".join(sorted({path.name for path in found})), ""


def gpu(driver: Path = Path("/dev/nvidiactl")) -> Answer:
    """A GPU that PyTorch can use; `driver` exists if one is built in."""
    found, advice = _library("torch")
    if not found:
        return found, advice
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), ""
    if driver.exists():
        return "", "a GPU without CUDA in PyTorch: make clean, make setup TORCH=default"
    return "", "none; small networks train on the processor"
