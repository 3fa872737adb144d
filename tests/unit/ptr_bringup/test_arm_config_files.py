# SPDX-License-Identifier: Apache-2.0
"""The arm node's parameter files, and what happens if they are missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from ptr_bringup.arm.parameters import check_config_files  # noqa: E402
from ptr_bringup.ros.context import StartupError  # noqa: E402

CONFIG = Path(__file__).resolve().parents[3] / "ptr_bringup" / "config"


class GivenNode:
    """A node `arm` with these parameters."""

    def __init__(self, name: str = "/arm", **given: object) -> None:
        self._name = name
        self._given = {name: str(value) for name, value in given.items()}

    def get_fully_qualified_name(self) -> str:
        return self._name

    def declare_parameter(self, name: str, default: Any, _: Any) -> SimpleNamespace:
        return SimpleNamespace(value=self._given.get(name, default))


def test_the_shipped_files_and_none_at_all_are_taken() -> None:
    for name in ("/arm", "/left/arm"):
        check_config_files(GivenNode(name, arm_config=CONFIG / "arm.yaml", driver_config=CONFIG / "wx250s.yaml"))
    check_config_files(GivenNode())


@pytest.mark.parametrize("name", ["arm_config", "driver_config"])
def test_a_path_that_leads_nowhere_is_an_error_with_the_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=rf"{name} .*typo\.yaml does not exist"):
        check_config_files(GivenNode(**{name: tmp_path / "typo.yaml"}))


@pytest.mark.parametrize("text", ["", "camera:\n  ros__parameters: {rate: 5.0}\n", "arm: {rate: 5.0}\n", "- arm\n"])
def test_a_file_for_other_nodes_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(StartupError, match="has no parameters of the node arm"):
        check_config_files(GivenNode(arm_config=tmp_path / "mine.yaml"))


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StartupError, match="can't be read"):
        check_config_files(GivenNode(arm_config=tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *(("arm", "/arm"), ("/arm", "/arm"), ("/**", "/arm"), ("/**", "/left/arm"), ("/left/arm", "/left/arm")),
        *(("/**/arm", "/arm"), ("/**/arm", "/left/arm"), ("/**/arm", "/lab/left/arm"), ("/*/arm", "/left/arm")),
    ],
)
def test_every_way_to_name_the_node_is_known(key: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "flat.yaml").write_text(f"{key}:\n  ros__parameters: {{rate: 5.0}}\n")
    (tmp_path / "nested.yaml").write_text(f"room:\n  {key}:\n    ros__parameters: {{rate: 5.0}}\n")
    check_config_files(GivenNode(name, arm_config=tmp_path / "flat.yaml"))
    check_config_files(GivenNode(f"/room{name}", driver_config=tmp_path / "nested.yaml"))


@pytest.mark.parametrize("key", ["arm", "/arm", "right/arm", "/*/*/arm"])
def test_a_file_for_the_arm_of_another_namespace_is_an_error_that_says_what_to_write(key: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"{key}:\n  ros__parameters: {{rate: 5.0}}\n")
    with pytest.raises(StartupError, match=r"no parameters of the node left/arm; put them under '/\*\*/arm:'"):
        check_config_files(GivenNode("/left/arm", arm_config=tmp_path / "mine.yaml"))
