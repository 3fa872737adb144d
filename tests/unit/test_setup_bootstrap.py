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


def test_without_root_the_exact_command_is_in_the_error(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_missing_compiler_and_library_are_found(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_fails_as_a_matter_of_course_does_not_end_set_up(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    bootstrap.run([sys.executable, "-c", "raise SystemExit(1)"], "it", may_fail=True)


COLCON = """\
Starting >>> ptr_msgs
Starting >>> tf2_msgs
-- The C compiler identification is GNU 12.2.0
[3/66] Building C object CMakeFiles/tf2_msgs.c.o
[20/236] Building C object CMakeFiles/ptr_msgs.c.o
Finished <<< tf2_msgs [15.0s]
[200/236] Linking C shared library libptr_msgs.so
Failed   <<< ptr_msgs [1min 2s, exited with code 1]
Starting >>> ptr_models
"""


def test_building_shows_the_packages_and_how_far_they_are(bootstrap: ModuleType) -> None:
    progress = bootstrap.colcon_progress()
    assert [progress(line) for line in COLCON.splitlines()] == [
        "building ptr_msgs",
        *["building ptr_msgs, tf2_msgs"] * 2,
        "building ptr_msgs, tf2_msgs: step 3 of 66",
        "building ptr_msgs, tf2_msgs: step 23 of 302",
        "building ptr_msgs: step 23 of 302",
        "building ptr_msgs: step 203 of 302",
        "",
        "building ptr_models: step 203 of 302",
    ]
    progress = bootstrap.colcon_progress()
    progress("Starting >>> ptr_msgs")
    assert progress("[ 12%] Building C object CMakeFiles/ptr_msgs.c.o") == "building ptr_msgs: 12 %"


def test_compiling_python_files_shows_how_many_are_done(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    for number in range(3):
        (folder / f"module_{number}.py").write_text("a = 1\n")
    (folder / "of_another_python.py").write_text("print 1\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "PYTHON", (sys.executable,))
    monkeypatch.setattr(bootstrap, "PLAIN_EVERY", 0.0)
    monkeypatch.setattr(bootstrap, "site_packages", lambda: folder)
    bootstrap.compile_all()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("    compiling Python files: 4 of 4 (")
    assert len(list((folder / "__pycache__").glob("module_*.pyc"))) == 3


def test_files_whose_names_come_in_one_line_are_counted(bootstrap: ModuleType) -> None:
    progress = bootstrap.compile_progress(4)
    assert progress("Compiling 'a.py'...Compiling 'b.py'...") == "compiling Python files: 2 of 4"


def test_where_no_terminal_is_progress_is_a_line_now_and_then(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 5.0, 21.0, 22.0, 50.0])
    monkeypatch.setattr(bootstrap.time, "monotonic", lambda: next(now))
    shown = bootstrap.Shown()
    for number in range(4):
        shown.update(f"file {number}")
    shown.clear()
    assert capsys.readouterr().out == "    file 1 (21 s)\n    file 3 (50 s)\n"


def test_on_a_terminal_progress_is_one_line_that_changes_and_goes(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 5.0, 21.0])
    monkeypatch.setattr(bootstrap.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(bootstrap.sys.stdout, "isatty", lambda: True, raising=False)
    shown = bootstrap.Shown()
    for number in range(2):
        shown.update(f"file {number}")
    shown.clear()
    assert capsys.readouterr().out.split("\r\033[K") == ["", "    file 0 (5 s)", "    file 1 (21 s)", ""]


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


def test_torch_comes_from_the_index_that_is_given(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_humble_is_refused_before_anything_is_installed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("something was begun")

    monkeypatch.setattr(bootstrap, "ROS_DISTRO", "humble")
    monkeypatch.setattr(bootstrap, "run", forbidden)
    monkeypatch.setattr(bootstrap, "install_system_packages", forbidden)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "python"])
    assert bootstrap.main() == 1
    assert "Humble is not supported" in capsys.readouterr().err


def test_messages_that_are_installed_are_left_alone(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "colcon", lambda names, options: built.append(list(names)))
    monkeypatch.setattr(bootstrap, "ROS_DISTRO", "jazzy")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path / "suite")
    theirs, ours = tmp_path / "interbotix_ws" / "install", tmp_path / "suite" / "install"
    ros = tmp_path / "ros"
    for prefix in (theirs, ours):
        (prefix / "share" / "interbotix_xs_msgs").mkdir(parents=True)
    for prefix in (ros, ours):
        (prefix / "share" / "tf2_msgs").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{ours}:{theirs}:{ros}")
    bootstrap.messages()
    said = capsys.readouterr().out
    assert f"interbotix_xs_msgs is that of {theirs}" in said and f"tf2_msgs is that of {ros}" in said
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{ours}")
    bootstrap.messages()
    copies = [f"{bootstrap.STAND_INS}/{name}" for name in ("interbotix_xs_msgs", "tf2_msgs")]
    assert built == [["ptr_msgs"], ["ptr_msgs", *copies]]
    assert all((ROOT / copy / "package.xml").is_file() for copy in copies)


def test_the_copy_of_interbotix_interfaces_has_their_names_fields_and_types() -> None:
    """Field by field as in interbotix_xs_msgs of the branches humble and jazzy; a difference would part the two."""
    folder = ROOT / "ptr_bringup" / "stand_in" / "interbotix_xs_msgs"
    expected = {
        "msg/JointGroupCommand.msg": "string name, float32[] cmd",
        "msg/JointSingleCommand.msg": "string name, float32 cmd",
        "msg/JointTemps.msg": "string[] names, int32[] temps",
        "msg/JointTrajectoryCommand.msg": "string cmd_type, string name, trajectory_msgs/JointTrajectory traj",
        "srv/MotorGains.srv": "string cmd_type, string name, int32 kp_pos, int32 ki_pos, int32 kd_pos, int32 k1, "
        "int32 k2, int32 kp_vel, int32 ki_vel, ---",
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
    for file in sorted(set(folder.glob("*/*.*")) - set(folder.glob("msg/*Joy.msg"))):
        found[f"{file.parent.name}/{file.name}"] = ", ".join(_declarations(file))
    assert found == expected
    assert (folder.parent / "COLCON_IGNORE").is_file()


@pytest.mark.parametrize(
    ("name", "constants", "fields"),
    [
        (
            "ArmJoy",
            "EE_X_INC EE_X_DEC EE_Y_INC EE_Y_DEC EE_Z_INC EE_Z_DEC EE_ROLL_CCW EE_ROLL_CW EE_PITCH_UP EE_PITCH_DOWN "
            "WAIST_CCW WAIST_CW GRIPPER_RELEASE GRIPPER_GRASP HOME_POSE SLEEP_POSE SPEED_INC SPEED_DEC SPEED_COARSE "
            "SPEED_FINE GRIPPER_PWM_INC GRIPPER_PWM_DEC TORQUE_ON TORQUE_OFF",
            "ee_x ee_y ee_z ee_roll ee_pitch waist gripper pose speed speed_toggle gripper_pwm torque",
        ),
        (
            "HexJoy",
            "WORLD_X_INC WORLD_X_DEC WORLD_Y_INC WORLD_Y_DEC WORLD_YAW_CCW WORLD_YAW_CW PLACE_X_INC PLACE_X_DEC "
            "PLACE_Y_INC PLACE_Y_DEC PLACE_Z_INC PLACE_Z_DEC PLACE_ROLL_CCW PLACE_ROLL_CW PLACE_PITCH_UP "
            "PLACE_PITCH_DOWN MOVE_HEXAPOD MOVE_LEG HOME_POSE SLEEP_POSE GAIT_NEXT GAIT_PREVIOUS LEG_NEXT "
            "LEG_PREVIOUS WIDEN_STANCE NARROW_STANCE REBOOT_MOTORS SET_HOME_POSE SPEED_INC SPEED_DEC SPEED_COARSE "
            "SPEED_FINE",
            "world_x world_y world_yaw place_x place_y place_z place_roll place_pitch pose move_type gait_toggle "
            "leg_toggle stance reboot set_home_pose speed speed_toggle",
        ),
        (
            "LocobotJoy",
            "RESET_ODOM PAN_CCW PAN_CW TILT_UP TILT_DOWN PAN_TILT_HOME EE_X_INC EE_X_DEC EE_Y_INC EE_Y_DEC EE_Z_INC "
            "EE_Z_DEC EE_ROLL_CCW EE_ROLL_CW EE_PITCH_UP EE_PITCH_DOWN WAIST_CCW WAIST_CW GRIPPER_RELEASE "
            "GRIPPER_GRASP HOME_POSE SLEEP_POSE SPEED_INC SPEED_DEC SPEED_COARSE SPEED_FINE GRIPPER_PWM_INC "
            "GRIPPER_PWM_DEC",
            "base_x base_theta base_reset_odom pan tilt ee_x ee_y ee_z ee_roll ee_pitch waist gripper pose speed "
            "speed_toggle gripper_pwm",
        ),
        (
            "TurretJoy",
            "PAN_CCW PAN_CW TILT_UP TILT_DOWN PAN_TILT_HOME SPEED_INC SPEED_DEC SPEED_COARSE SPEED_FINE",
            "pan tilt speed speed_toggle",
        ),
    ],
)
def test_the_copy_of_interbotix_joystick_messages_has_their_constants_and_fields(
    name: str, constants: str, fields: str
) -> None:
    """Constants count from 1 in each of them; only the base of a LoCoBot takes speeds."""
    file = ROOT / "ptr_bringup" / "stand_in" / "interbotix_xs_msgs" / "msg" / f"{name}.msg"
    types = {"base_x": "float64", "base_theta": "float64"}
    expected = [f"int8 {constant} = {k}" for k, constant in enumerate(constants.split(), 1)]
    expected += [f"{types.get(field, 'int8')} {field}_cmd" for field in fields.split()]
    assert _declarations(file) == expected


def test_the_copy_of_tf2_messages_has_the_type_hashes_of_ros() -> None:
    """Hashes of the genuine messages, as bags have them; a difference would part the two."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    genuine, copied = get_typestore(Stores.ROS2_KILTED), get_typestore(Stores.EMPTY)
    copied.register({name: one for name, one in genuine.fielddefs.items() if not name.startswith("tf2_msgs/")})
    folder = ROOT / "ptr_bringup" / "stand_in" / "tf2_msgs"
    for name in ("TFMessage", "TF2Error"):
        kind = f"tf2_msgs/msg/{name}"
        copied.register(get_types_from_msg((folder / "msg" / f"{name}.msg").read_text(), kind))
        assert copied.hash_rihs01(kind) == genuine.hash_rihs01(kind)


def test_the_copy_of_tf2_services_has_their_fields_and_types() -> None:
    folder = ROOT / "ptr_bringup" / "stand_in" / "tf2_msgs"
    assert _declarations(folder / "srv" / "FrameGraph.srv") == ["---", "string frame_yaml"]
    assert ", ".join(_declarations(folder / "action" / "LookupTransform.action")) == (
        "string target_frame, string source_frame, builtin_interfaces/Time source_time, "
        "builtin_interfaces/Duration timeout, builtin_interfaces/Time target_time, string fixed_frame, bool advanced, "
        "---, geometry_msgs/TransformStamped transform, tf2_msgs/TF2Error error, ---"
    )


def _declarations(file: Path) -> list[str]:
    """The lines of an interface without comments and surplus space."""
    lines = (" ".join(line.partition("#")[0].split()) for line in file.read_text().splitlines())
    return [line for line in lines if line]
