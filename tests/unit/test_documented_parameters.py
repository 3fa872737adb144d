# SPDX-License-Identifier: Apache-2.0
"""The reference lists every parameter that a node declares, with the default that it has in the code."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "parameters.md"
NODES = {
    "arm": ("ptr_bringup/ptr_bringup/arm",),
    "simulator": ("ptr_bringup/ptr_bringup/sim/node.py",),
    "xs_sdk_stand_in": ("ptr_bringup/ptr_bringup/xs_sdk",),
    "scene": ("ptr_bringup/ptr_bringup/sim_ros/scene_node.py",),
    "scripted_operator": ("ptr_bringup/ptr_bringup/sim/operator_node.py",),
    "camera": ("ptr_bringup/ptr_bringup/camera/node.py", "ptr_bringup/ptr_bringup/camera/mounting.py"),
    "cameras": ("ptr_bringup/ptr_bringup/camera/cameras_node.py",),
    "camera_monitor": ("ptr_bringup/ptr_bringup/camera/monitor_node.py",),
    "robot_description": ("ptr_bringup/ptr_bringup/description",),
    "raw_camera": ("ptr_bringup/ptr_bringup/camera/raw_node.py", "ptr_bringup/ptr_bringup/camera/mounting.py"),
    "teleop": ("ptr_teleop/ptr_teleop/node.py", "ptr_teleop/ptr_teleop/device_factory.py"),
    "recorder": ("ptr_teleop/ptr_teleop/recorder",),
    "console": ("ptr_teleop/ptr_teleop/console",),
    "policy_server": ("ptr_policy/ptr_policy/server",),
    "evaluator": ("ptr_policy/ptr_policy/evaluation",),
}


def documented() -> dict[str, dict[str, str]]:
    """Parameters of each node on the page, with their defaults as they are written there."""
    found: dict[str, dict[str, str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            found[line.strip("# `")] = rows = {}
        elif line.startswith("| `"):
            name, default = (cell.strip() for cell in line.split("|")[1:3])
            rows[name.strip("`")] = default
    return found


def declared(path: Path) -> dict[str, ast.expr]:
    """Parameters whose names are written out where a file declares them, with their defaults."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    found = {}
    for call in calls:
        if getattr(call.func, "id", "") == "declare" and isinstance(call.args[1], ast.Constant):
            found[call.args[1].value] = call.args[2]
    return found


def written(value: object) -> str:
    """A default as the page writes it."""
    if value in ("", [""]):
        return "empty"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def same(page: str, value: object) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return math.isclose(float(page), value)
    return page == written(value)


@pytest.mark.parametrize("node", NODES)
def test_each_parameter_of_a_node_is_in_the_reference_with_its_default(node: str) -> None:
    page = documented()[node]
    paths = [ROOT / name for name in NODES[node]]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    found = {name: default for file in files for name, default in declared(file).items()}
    assert found
    assert not set(found) - set(page), f"{PAGE.name} lacks parameters of {node}"
    for name, default in found.items():
        try:
            value = ast.literal_eval(default)
        except ValueError:  # a constant of the module
            continue
        assert same(page[name], value), f"{node}: {name} is {value!r}, the page says {page[name]}"
