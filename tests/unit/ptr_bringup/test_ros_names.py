# SPDX-License-Identifier: Apache-2.0
"""Names of a robot in a namespace: what ROS resolves, what is prefixed, and what all robots of a domain share."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from ptr_bringup.ros.names import SHARED, prefix, prefixed, relative  # noqa: E402
from ptr_bringup.ros.parameter_files import (  # noqa: E402
    ParameterFileError,
    given_files,
    is_for,
    require_reachable,
    sections,
)

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    file for name in ("ptr_bringup", "ptr_teleop", "ptr_policy") for file in sorted((ROOT / name / name).rglob("*.py"))
]
ENTITY = re.compile(
    r"""(?:create_(?:publisher|subscription|service|client)|GoalClient|ActionClient|ActionServer|Newest|Topic|listen)
    \([^()]*?f?"(?P<name>/[^"]*)\"""",
    re.VERBOSE,
)


@pytest.mark.parametrize(
    ("topic", "name"),
    [("/arm/state", "arm/state"), ("/joint_states", "joint_states"), ("/tf", "/tf"), ("/diagnostics", "/diagnostics")],
)
def test_all_but_the_shared_topics_are_relative(topic: str, name: str) -> None:
    assert relative(topic) == name


@pytest.mark.parametrize(("namespace", "name"), [("/", "base_link"), ("", "base_link"), ("/left", "left/base_link")])
def test_frames_begin_with_the_namespace_if_there_is_one(namespace: str, name: str) -> None:
    assert prefixed(SimpleNamespace(get_namespace=lambda: namespace), "base_link") == name


def test_a_namespace_in_another_is_one_prefix() -> None:
    assert prefix("/lab/left") == "lab/left/"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_node_has_an_absolute_name_but_those_that_robots_share(file: Path) -> None:
    found = {match["name"] for match in ENTITY.finditer(file.read_text(encoding="utf-8"))}
    assert found <= SHARED


@pytest.mark.parametrize(
    ("section", "node", "meant"),
    [
        ("/arm", "/arm", True),
        ("/arm", "/left/arm", False),
        ("/**/arm", "/arm", True),
        ("/**/arm", "/lab/left/arm", True),
        ("/**/arm", "/left/forearm", False),
        ("/*/arm", "/left/arm", True),
        ("/*/arm", "/arm", False),
        ("/**", "/left/arm", True),
        ("/left/*", "/left/arm", True),
    ],
)
def test_wildcards_stand_for_what_they_do_in_ros(section: str, node: str, meant: bool) -> None:
    assert is_for(section, node) is meant


def test_sections_may_be_nested() -> None:
    content = {"left": {"arm": {"ros__parameters": {}}, "/lab": {"**": {"ros__parameters": {}}}}, "x": 5}
    assert list(sections(content)) == ["/left/arm", "/left/lab/**"]


def test_a_file_of_nodes_without_a_namespace_is_refused_in_one(tmp_path: Path) -> None:
    file = tmp_path / "teleop.yaml"
    arguments = ["teleop", "--ros-args", "-r", "__ns:=/left", "--params-file", str(file)]
    assert given_files(arguments) == [file]
    file.write_text("teleop:\n  ros__parameters: {max_linear_velocity: 0.05}\n")
    require_reachable([file], "/")
    with pytest.raises(ParameterFileError, match=r"/teleop, not of /left/teleop; write '/\*\*/teleop:' instead"):
        require_reachable([file], "/left")
    for key in ("/**/teleop", "/**", "left/teleop"):
        file.write_text(f"{key}:\n  ros__parameters: {{max_linear_velocity: 0.05}}\n")
        require_reachable([file], "/left")
    file.write_text("/**/teleop:\n  ros__parameters: {}\nspare:\n  ros__parameters: {}\n")
    with pytest.raises(ParameterFileError, match="of the node /spare"):
        require_reachable([file], "/left")


@pytest.mark.parametrize("file", sorted((ROOT / "ptr_bringup/config").glob("*.yaml")), ids=lambda file: file.name)
def test_the_shipped_parameter_files_are_for_nodes_in_every_namespace(file: Path) -> None:
    require_reachable([file], "/left")
