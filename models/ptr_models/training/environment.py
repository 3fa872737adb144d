# SPDX-License-Identifier: Apache-2.0
"""The software and hardware of a run, recorded for later."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from typing import Any

import numpy as np
import torch

from ptr_models import __version__
from ptr_models.provenance import source_commit


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that compute."""
    return {
        "ptr_models": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def environment() -> dict[str, Any]:
    """The command, versions, machine, and the commit of the source tree (None if there is none)."""
    return {
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": software_versions(),
        "commit": source_commit(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }
