# SPDX-License-Identifier: Apache-2.0
"""A machine on the same network can't command the arm, unless the user has opened the range."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ptr_msgs.msg")

SCRIPT = Path(__file__).resolve().parents[1] / "attacks" / "other_machine.py"
NO_NAMESPACES = 77


def attack(*options: str) -> dict[str, Any]:
    """The figures of the script."""
    command = [sys.executable, str(SCRIPT), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode == NO_NAMESPACES:
        pytest.skip(last)
    assert done.returncode == 0, done.stderr
    return json.loads(last)


@pytest.mark.timeout(200)
def test_another_machine_neither_moves_nor_hears_a_robot_with_the_default_settings() -> None:
    figures = attack()
    assert figures["rosout_heard"] == figures["arm_state_heard"] == 0
    assert figures["moved_by_the_other_m"] < 1e-3
    assert figures["moved_by_its_own_m"] > 0.02, "the robot itself has to work"


@pytest.mark.timeout(200)
def test_the_same_attack_gets_through_where_the_user_has_opened_the_range() -> None:
    figures = attack("--open")
    assert figures["arm_state_heard"] > 0, "otherwise the test above shows nothing"
    assert figures["moved_by_the_other_m"] > 0.02
