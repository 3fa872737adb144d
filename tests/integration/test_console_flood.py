# SPDX-License-Identifier: Apache-2.0
"""Whoever floods the console's door to other machines keeps nobody from pressing stop here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "attacks" / "console_flood.py"


@pytest.mark.timeout(300)
def test_a_flood_at_the_door_to_other_machines_leaves_the_stop_button_alone() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert {name: status for name, status in figures.items() if name.startswith("stop_")} == {
        "stop_before": 200,
        "stop_during_silent_connections": 200,
        "stop_during_finished_handshakes": 200,
        "stop_during_malformed_requests": 200,
    }
    assert figures["files_of_the_console"] < 300
    assert figures["handshakes_finished"] > 0, "the door itself has to be open"
    assert figures["silent_connections_left"] == 0
    assert figures["log_kb"] < 100
