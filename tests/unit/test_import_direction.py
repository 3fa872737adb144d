# SPDX-License-Identifier: Apache-2.0
"""Which package imports which, as docs/architecture.md says: read from the sources, imports inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "ptr_models": ROOT / "models" / "ptr_models",
    "ptr_bringup": ROOT / "ptr_bringup" / "ptr_bringup",
    "ptr_teleop": ROOT / "ptr_teleop" / "ptr_teleop",
    "ptr_policy": ROOT / "ptr_policy" / "ptr_policy",
}
WITHOUT_TORCH = (
    "ptr_models.contract",
    "ptr_models.contract_cli",
    "ptr_models.episodes",
    "ptr_models.common",
    "ptr_models.json_input",
    "ptr_models.latency_file",
    "ptr_models.input_limits",
    "ptr_models.provenance",
    "ptr_models.typed_values",
    "ptr_models.yaml_input",
)
ALLOWED = {
    "ptr_models": (),
    "ptr_bringup": ("ptr_msgs", "ptr_models.common"),
    "ptr_teleop": ("ptr_msgs", "ptr_bringup.ros", *WITHOUT_TORCH),
    "ptr_policy": (
        "ptr_msgs",
        "ptr_models",
        "ptr_bringup.ros",
        "ptr_bringup.sim",
        "ptr_bringup.sim_ros",
        "ptr_bringup.arm.model.kinematics",  # poses and limits, in which the simulated robot is spoken to
        "ptr_bringup.arm.gate.limits",
    ),
}
ROS = ("rclpy", "rcl_interfaces", "ptr_msgs", "sensor_msgs", "std_msgs", "geometry_msgs", "cv_bridge")


def sources(package: str) -> dict[str, Path]:
    """Files of a package by the names of their modules."""
    folder = FOLDERS[package]
    places = {path.relative_to(folder).with_suffix("").parts: path for path in folder.rglob("*.py")}
    return {".".join((package, *parts)).removesuffix(".__init__"): path for parts, path in places.items()}


def imported(path: Path) -> set[str]:
    """Full names of all that a file imports; of `from a import b` both a and a.b, which may be a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports would go unseen here"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            found |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    return found


def below(name: str, tops: tuple[str, ...]) -> bool:
    return any(name == top or name.startswith(f"{top}.") for top in tops)


def of_the_suite(package: str) -> Iterator[tuple[str, str]]:
    """(module, what it imports of the suite's other packages)."""
    others = tuple({*FOLDERS, "ptr_msgs"} - {package})
    for module, path in sources(package).items():
        yield from ((module, name) for name in imported(path) if below(name, others))


def needed(start: str) -> dict[str, set[str]]:
    """What is imported by a module and by all modules of the suite that it needs, by module."""
    known = {name: path for package in FOLDERS for name, path in sources(package).items()}
    found: dict[str, set[str]] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in known and module not in found:
            found[module] = imported(known[module])
            waiting += [*found[module], module.rpartition(".")[0]]
    return found


@pytest.mark.parametrize("package", FOLDERS)
def test_no_package_imports_upwards(package: str) -> None:
    """A bare `from ptr_models import episodes` names the package too: what counts is the longer name."""
    found = list(of_the_suite(package))
    parents = {name.rpartition(".")[0] for _, name in found if below(name, ALLOWED[package])}
    wrong = {(module, name) for module, name in found if not below(name, ALLOWED[package]) and name not in parents}
    assert not wrong
    assert found or package == "ptr_models"  # else the search has found nothing, rather than nothing wrong


def test_the_learner_is_free_of_ros() -> None:
    ours = {module: imported(path) for module, path in sources("ptr_models").items()}
    assert len(ours) > 50
    assert not [(module, name) for module, names in ours.items() for name in names if below(name, ROS)]


@pytest.mark.parametrize("top", WITHOUT_TORCH)
def test_what_the_recorder_shares_with_the_learner_needs_no_torch(top: str) -> None:
    starts = [name for name in sources("ptr_models") if below(name, (top,))]
    assert starts
    for start in starts:
        assert not [module for module, names in needed(start).items() if any(below(n, ("torch",)) for n in names)]


@pytest.mark.parametrize("start", ["ptr_bringup.arm.gate.gate", "ptr_bringup.sim.robot", "ptr_bringup.sim.operator"])
def test_gate_and_simulated_robot_need_no_ros(start: str) -> None:
    modules = needed(start)
    assert len(modules) > 5
    assert not [(module, name) for module, names in modules.items() for name in names if below(name, ROS)]
