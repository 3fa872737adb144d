# SPDX-License-Identifier: Apache-2.0
"""The environment of a process when ROS starts, however it was launched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy")

from ptr_bringup.ros import context  # noqa: E402
from ptr_bringup.ros.context import StartupError, ros_context  # noqa: E402
from ptr_bringup.ros_environment import LOCAL, NETWORK, PEERS, PROFILES, PROFILES_OF_JAZZY, RANGE  # noqa: E402

SHARE = Path(__file__).resolve().parents[3] / "ptr_bringup"
OURS = (RANGE, PEERS, PROFILES, PROFILES_OF_JAZZY, "ROS_LOG_DIR", "ROS_DISTRO")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The environment of each start; initially nothing is set, and the home folder is writable."""
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(os, "environ", {"HOME": "/"})
    monkeypatch.setattr(rclpy, "init", lambda **_: seen.append(dict(os.environ)))
    monkeypatch.setattr(rclpy, "try_shutdown", lambda: None)
    monkeypatch.setattr(context, "get_package_share_directory", lambda _: str(SHARE))
    return seen


def test_ros_begins_on_this_machine_alone(begun: list[dict[str, str]]) -> None:
    with ros_context():
        pass
    assert begun[0][RANGE] == "LOCALHOST"
    assert Path(begun[0][PROFILES]).name == LOCAL


@pytest.mark.parametrize("opened", [{RANGE: "SUBNET"}, {PEERS: "10.0.0.7"}])
def test_a_range_that_the_user_has_opened_stays_open(begun: list[dict[str, str]], opened: dict[str, str]) -> None:
    os.environ.update(opened)
    with ros_context():
        pass
    assert opened.items() <= begun[0].items()
    assert Path(begun[0][PROFILES]).name == NETWORK


@pytest.mark.parametrize("variable", [PROFILES, PROFILES_OF_JAZZY])
def test_a_profile_of_the_users_own_is_the_only_one(begun: list[dict[str, str]], variable: str) -> None:
    os.environ[variable] = "/etc/mine.xml"
    with ros_context():
        pass
    assert {begun[0].get(name, "/etc/mine.xml") for name in (PROFILES, PROFILES_OF_JAZZY)} == {"/etc/mine.xml"}


@pytest.mark.parametrize(("distro", "read"), [("jazzy", PROFILES_OF_JAZZY), ("kilted", PROFILES), ("", PROFILES)])
def test_the_profile_is_in_the_one_variable_that_this_ros_reads(
    begun: list[dict[str, str]], distro: str, read: str
) -> None:
    """Fast DDS 3 reads both, and fails to read one file twice."""
    os.environ["ROS_DISTRO"] = distro
    os.environ[PROFILES] = os.environ[PROFILES_OF_JAZZY] = str(SHARE / "config" / LOCAL)
    with ros_context():
        pass
    assert [name for name in (PROFILES, PROFILES_OF_JAZZY) if name in begun[0]] == [read]


def test_where_the_home_folder_is_read_only_logs_go_elsewhere(begun: list[dict[str, str]], tmp_path: Path) -> None:
    os.environ["HOME"] = str(tmp_path / "none")
    with ros_context():
        pass
    assert os.access(begun[0]["ROS_LOG_DIR"], os.W_OK)


def test_without_an_installed_share_folder_the_range_is_closed_all_the_same(
    begun: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise context.PackageNotFoundError(name)

    monkeypatch.setattr(context, "get_package_share_directory", missing)
    with ros_context():
        pass
    assert begun[0][RANGE] == "LOCALHOST"
    assert PROFILES not in begun[0]


def test_humble_is_refused_with_a_sentence(begun: list[dict[str, str]]) -> None:
    os.environ["ROS_DISTRO"] = "humble"
    with pytest.raises(StartupError, match="Humble is not supported"), ros_context():
        pass
    assert not begun


def test_two_arms_of_one_program_share_one_ros_until_both_are_done(
    begun: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []
    monkeypatch.setattr(rclpy, "try_shutdown", lambda: ended.append(True))
    left, right = ros_context(), ros_context()
    left.__enter__()
    right.__enter__()
    left.__exit__(None, None, None)
    assert (len(begun), ended) == (1, [])
    right.__exit__(None, None, None)
    assert ended == [True]
    with ros_context():
        assert len(begun) == 2
