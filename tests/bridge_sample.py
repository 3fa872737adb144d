# SPDX-License-Identifier: Apache-2.0
"""25 real episodes of BridgeData V2 as RLDS, for the tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "bridge_sample"
SAMPLE = Path(os.environ.get("PTR_BRIDGE_SAMPLE", _BESIDE))
"""Folder of the sample: PTR_BRIDGE_SAMPLE, or `shared/data/bridge_sample` beside this checkout."""
needs_sample = pytest.mark.skipif(
    not SAMPLE.is_dir(), reason=f"the Bridge sample is not at {SAMPLE}; PTR_BRIDGE_SAMPLE names its folder"
)
