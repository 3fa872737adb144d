# SPDX-License-Identifier: Apache-2.0
"""Set-up says exactly what a machine lacks."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_root_the_exact_command_is_in_the_error(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "missing_system_packages", lambda: ["g++", "libegl1"])
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap.install_system_packages()
    assert "sudo apt-get install -y --no-install-recommends g++ libegl1" in str(caught.value)


def test_root_installs_what_is_missing(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(bootstrap, "missing_system_packages", lambda: ["libegl1"])
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(bootstrap, "run", lambda command, name, **_: ran.append(" ".join(command)))
    bootstrap.install_system_packages()
    assert ran == ["apt-get update -qq", "apt-get install -y --no-install-recommends libegl1"]


def test_a_missing_compiler_and_library_are_found(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap.ctypes, "CDLL", refuse)
    assert {"g++", "libegl1", "libopengl0"} <= set(bootstrap.missing_system_packages())


def test_an_old_python_is_refused(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2))
    with pytest.raises(bootstrap.SetupError, match="3.10 to 3.13"):
        bootstrap.check_python()


def test_a_failing_command_shows_the_end_of_its_output(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    with pytest.raises(bootstrap.SetupError, match="(?s)it ended with exit code 1 .*no such thing"):
        bootstrap.run([sys.executable, "-c", "raise SystemExit('no such thing')"], "it")


def pins(name: str) -> list[tuple[str, list[str]]]:
    """The requirements of a lock file and the hashes of each."""
    found: list[tuple[str, list[str]]] = []
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if line.startswith("    --hash="):
            found[-1][1].append(line.removeprefix("    --hash=").removesuffix(" \\"))
        elif line and not line.startswith("#"):
            found.append((line.removesuffix(" \\"), []))
    return found


@pytest.mark.parametrize("name", ["lock.txt", "lock-tests.txt"])
def test_every_requirement_has_one_exact_version_for_each_python_and_hashes(name: str) -> None:
    marker = r"python_full_version (<|>=|==) '3\.1[0-3](\.\*)?'( and implementation_name != 'PyPy')?"
    form = rf"[a-z0-9-]+==[A-Za-z0-9.]+( ; {marker})?"
    assert [pin for pin, _ in pins(name) if not re.fullmatch(form, pin)] == []
    assert [pin for pin, hashes in pins(name) if not hashes] == []
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", item) for _, hashes in pins(name) for item in hashes)
    unconditional = [pin.split("==")[0] for pin, _ in pins(name) if ";" not in pin]
    assert len(set(unconditional)) == len(unconditional)


@pytest.mark.parametrize(
    ("wanted", "locked"), [("ros.in", "lock.txt"), ("python.in", "lock.txt"), ("tests.in", "lock-tests.txt")]
)
def test_what_is_wanted_is_locked(wanted: str, locked: str) -> None:
    names = {pin.split("==")[0] for pin, _ in pins(locked)}
    lines = (ROOT / "requirements" / wanted).read_text().splitlines()
    found = {re.split(r"[=<>]", line)[0] for line in lines if line and not line.startswith("#")}
    assert found - names <= {"torch"}  # which install_torch installs


def test_test_tools_are_not_among_what_users_install() -> None:
    users = {pin.split("==")[0] for pin, _ in pins("lock.txt")}
    assert not users & {"hypothesis", "playwright", "pytest-timeout", "pytest-xdist", "ruff"}
    both = {pin for pin, _ in pins("lock-tests.txt") if pin.split("==")[0] in users}  # colcon itself needs pytest
    assert both <= {pin for pin, _ in pins("lock.txt")} | {"typing-extensions==4.16.0 ; python_full_version < '3.11'"}


def test_locked_packages_are_installed_with_their_hashes_checked(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(bootstrap, "run", lambda command, name, *_, **__: ran.append(" ".join(command)))
    for name in ("check_python", "install_system_packages", "compile_all"):
        monkeypatch.setattr(bootstrap, name, lambda: None)
    monkeypatch.setattr(bootstrap, "install_environment", lambda folder: None)
    monkeypatch.setattr(bootstrap, "site_packages", lambda: tmp_path)
    monkeypatch.setattr(bootstrap, "ROS_DISTRO", "")
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    (tmp_path / "key").write_text(f"{ROOT} \n")
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    bootstrap.set_up_python()
    bootstrap.set_up_tests()
    installs = [command.partition("--no-compile ")[2] for command in ran if "install" in command]
    assert installs[0] == "--require-hashes --no-deps -r requirements/lock.txt"
    assert re.fullmatch(r"torch==[0-9.]+", installs[1])
    assert installs[2:] == ["--require-hashes --no-deps -r requirements/lock-tests.txt"]
    checks = [place for place, command in enumerate(ran) if "pip check" in command]
    assert len(checks) == 2 and checks[-1] == len(ran) - 1  # after each of the two


def test_torch_comes_from_the_index_that_is_given(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "run", lambda command, *_: ran.append(command))
    monkeypatch.setenv("TORCH_INDEX", "https://download.example/cpu")
    bootstrap.install_torch()
    assert ran[0][-3:-1] == ["--index-url", "https://download.example/cpu"]
    assert "--no-deps" not in ran[0]  # a build with CUDA needs packages that the lock does not have


def test_the_page_of_licenses_lists_what_is_locked() -> None:
    lines = (ROOT / "docs" / "reference" / "licenses.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "package"]
    assert [row for row in rows if len(row) != 4 or not all(row)] == []
    locked = {pin.partition(" ;")[0] for name in ("lock.txt", "lock-tests.txt") for pin, _ in pins(name)}
    wanted = (ROOT / "requirements" / "python.in").read_text()
    locked.add(re.search(r"^torch==\S+", wanted, re.MULTILINE).group())
    npm = json.loads((ROOT / "tests" / "browser" / "package-lock.json").read_text())["packages"]
    locked |= {f"{path.removeprefix('node_modules/')}=={entry['version']}" for path, entry in npm.items() if path}
    listed = [f"{row[0]}=={version}" for row in rows for version in row[1].split(", ")]
    assert sorted(listed) == sorted(locked)


def test_interbotix_own_messages_are_left_alone(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "colcon", lambda names, options: built.append(list(names)))
    monkeypatch.setattr(bootstrap, "ROS_DISTRO", "jazzy")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path / "suite")
    theirs, ours = tmp_path / "interbotix_ws" / "install", tmp_path / "suite" / "install"
    for prefix in (theirs, ours):
        (prefix / "share" / "interbotix_xs_msgs").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{ours}:{theirs}:/opt/ros/jazzy")
    bootstrap.messages()
    assert f"interbotix_xs_msgs is that of {theirs}" in capsys.readouterr().out
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{ours}:/opt/ros/jazzy")
    bootstrap.messages()
    assert built == [["ptr_msgs"], ["ptr_msgs", bootstrap.INTERBOTIX]]


def test_the_copy_of_interbotix_interfaces_has_their_names_fields_and_types() -> None:
    """Field by field as in interbotix_xs_msgs of the branches humble and jazzy; a difference would part the two."""
    folder = ROOT / "ptr_bringup" / "stand_in" / "interbotix_xs_msgs"
    expected = {
        "msg/JointGroupCommand.msg": "string name, float32[] cmd",
        "msg/JointSingleCommand.msg": "string name, float32 cmd",
        "srv/OperatingModes.srv": "string cmd_type, string name, string mode, string profile_type, "
        "int32 profile_velocity, int32 profile_acceleration, ---",
        "srv/Reboot.srv": "string cmd_type, string name, bool enable, bool smart_reboot, ---",
        "srv/RegisterValues.srv": "string cmd_type, string name, string reg, int32 value, ---, int32[] values",
        "srv/RobotInfo.srv": "string cmd_type, string name, ---, string mode, string profile_type, "
        "string[] joint_names, int16[] joint_ids, float32[] joint_lower_limits, float32[] joint_upper_limits, "
        "float32[] joint_velocity_limits, float32[] joint_sleep_positions, int16[] joint_state_indices, "
        "int16 num_joints, string[] name",
        "srv/TorqueEnable.srv": "string cmd_type, string name, bool enable, ---",
    }
    found = {}
    for file in sorted(folder.glob("*/*.*")):
        lines = (" ".join(line.partition("#")[0].split()) for line in file.read_text().splitlines())
        found[f"{file.parent.name}/{file.name}"] = ", ".join(line for line in lines if line)
    assert found == expected
    assert (folder.parent / "COLCON_IGNORE").is_file()
