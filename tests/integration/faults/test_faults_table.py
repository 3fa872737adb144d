# SPDX-License-Identifier: Apache-2.0
"""The table of faults in the documentation and these tests are about the same faults."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[2] / "docs" / "reference" / "faults.md"
GROUPS = ("Sensors", "Commands", "Network and clock", "Processes", "Disk", "Files", "Motors", "Model", "People")
# Files with tests of faults beside this folder, and with those of files, which need no robot.
BESIDE = ("interbotix_driver", "cameras_reopened", "other_machine", "two_robots", "console_flood", "console_node")
UNIT = {
    ".": ("setup_bootstrap",),
    "ptr_bringup": ("camera_conversion", "doctor", "launching_interpreter", "launching_supervisor"),
    "ptr_models": (
        "models_bridge",
        "models_bridge_raw",
        "models_checksums",
        "models_clock",
        "models_contract_of_bags",
        "models_episode_discovery",
        "models_hostile_files",
        "models_json_input",
        "models_manifest",
        "models_mixed",
        "models_plain_text",
        "models_restricted_pickle",
        "models_training_checkpoints",
        "models_typed_values",
    ),
    "ptr_teleop": ("console_security", "teleop_recorder"),
}
TEST = re.compile(r"`(\w+::test_[^`]+)`")


def rows() -> dict[str, list[list[str]]]:
    """Per heading the cells of the rows of its tables."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("|") and not line.startswith(("|---", "| fault |")):
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def collected(*paths: Path) -> set[str]:
    """Tests as the table names them: FILE::NAME without what all files' names have in common."""
    options = ["--collect-only", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *map(str, paths)]
    output = subprocess.run(command, cwd=TABLE.parents[2], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"test_(?:faults_)?(\w+)\.py::(test_.+)", output)
    return {f"{file}::{name}" for file, name in names if file != "table"}


def test_every_fault_has_a_test_and_every_test_is_in_the_table() -> None:
    named = [name for table in rows().values() for cells in table for name in TEST.findall(cells[-1])]
    assert len(named) == len(set(named))
    beside = {name for name in named if name.startswith(BESIDE)}
    assert beside <= collected(*(HERE.parent / f"test_{file}.py" for file in BESIDE))
    of_files = {name for cells in rows()["Files"] for name in TEST.findall(cells[-1])}
    paths = [HERE.parents[1] / "unit" / folder / f"test_{file}.py" for folder, files in UNIT.items() for file in files]
    assert of_files <= {name.partition("[")[0] for name in collected(*paths)}
    assert set(named) - beside - of_files == collected(HERE)


def test_every_row_says_how_it_is_noticed_and_has_a_test() -> None:
    tables = rows()
    assert tuple(tables) == GROUPS
    assert sum(map(len, tables.values())) >= 30
    for table in tables.values():
        for cells in table:
            assert len(cells) == 5, cells
            assert all(cells[:2]) and TEST.match(cells[-1]), cells
