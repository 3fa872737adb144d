# SPDX-License-Identifier: Apache-2.0
"""The system that faults are injected into, shared by the tests of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ptr_msgs.msg")

from fault_plant import Plant, quiet  # noqa: E402
from fault_policy import write_checkpoint  # noqa: E402

quiet()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that circles."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "circling")


@pytest.fixture(scope="module")
def plant(ros, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """The whole system, with a policy server."""
    return Plant(ros, tmp_path_factory.mktemp("episodes"), checkpoint)


@pytest.fixture(scope="module")
def bench(ros, tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """The system without a policy server: the test's process commands the arm."""
    return Plant(ros, tmp_path_factory.mktemp("episodes"))
