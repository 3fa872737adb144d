# SPDX-License-Identifier: Apache-2.0
"""The robot computer's clock jumps, as when it is set by NTP, while a policy drives."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_drivers import PolicySource
from fault_plant import Plant

SHIM = Path(__file__).with_name("clock_shim.c")
SECOND = 10**9


@pytest.fixture(scope="module")
def robot(ros, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plant, Callable[[int], None]]:
    """The system; the clock of arm and simulator is set by the function (ns ahead)."""
    compiler = shutil.which("cc") or pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("clock")
    library, shift = folder / "clock_shim.so", folder / "shift"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SHIM], check=True)
    shift.write_bytes(struct.pack("<q", 0))
    environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}
    plant = Plant(ros, tmp_path_factory.mktemp("episodes"), environments={"arm": environment, "simulator": environment})
    with shift.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 8)
    return plant, lambda nanoseconds: struct.pack_into("<q", memory, 0, nanoseconds)


@pytest.mark.parametrize("seconds", [-20, 20], ids=["back", "ahead"])
def test_a_jump_of_the_robots_clock_holds_the_arm(robot, seconds: int) -> None:
    plant, set_clock = robot
    with plant.trial(PolicySource) as trial:
        trial.strike(lambda: set_clock(seconds * SECOND))
        set_clock(0)
        plant.wait_moving()  # by itself: commands are fresh again, and nothing has to be cleared
    trial.assert_held(by_arrival=True)
    assert "STALE_COMMAND" in trial.bag.reasons()
    assert not trial.bag.reasons() & {"MOTOR_FAULT", "STOPPED"}
