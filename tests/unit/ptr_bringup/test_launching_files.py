# SPDX-License-Identifier: Apache-2.0
"""The launch files that ship: every argument is described, and they start what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ptr_bringup.doctor.checks import EXECUTABLES
from ptr_bringup.launching.arguments import declared_arguments
from ptr_bringup.launching.cli import find_file
from ptr_bringup.launching.documents import read_document
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.interpreter import interpret
from ptr_bringup.ros_environment import LOCAL, NETWORK, PEERS, PROFILES, RANGE
from ptr_bringup.sim.tasks import TASKS

LAUNCH = Path(__file__).resolve().parents[3] / "ptr_bringup" / "launch"
FILES = sorted(LAUNCH.glob("*.launch.xml"))


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation of the suite with empty programs."""
    index = tmp_path / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package, names in EXECUTABLES.items():
        (index / package).touch()
        (tmp_path / "lib" / package).mkdir(parents=True)
        for name in names:
            (tmp_path / "lib" / package / name).touch(0o755)
    (tmp_path / "share/ptr_bringup/launch").mkdir(parents=True)
    (tmp_path / "share/ptr_bringup/config").symlink_to(LAUNCH.parent / "config")
    for file in FILES:
        (tmp_path / "share/ptr_bringup/launch" / file.name).symlink_to(file)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))


def started(name: str, **given: str) -> list[str]:
    return [process.name for process in interpret(LAUNCH / name, given, {}).processes]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_argument_is_described(file: Path) -> None:
    for argument in declared_arguments(read_document(file), {}).values():
        assert len(argument.description) > 10, argument.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_goes_on_when_a_part_has_ended(file: Path) -> None:
    plan = interpret(file, {n: "x" for n in ("task", "checkpoint") if n in declared(file)}, {})
    assert all(process.shutdown_on_exit for process in plan.processes)


CHOICES = [
    (file, argument.name, choice)
    for file in FILES
    for argument in declared_arguments(read_document(file), {}).values()
    for choice in argument.choices
]


@pytest.mark.parametrize(("file", "name", "choice"), CHOICES, ids=lambda value: getattr(value, "name", value))
def test_every_choice_that_a_file_offers_can_be_started(file: Path, name: str, choice: str) -> None:
    """A policy server elsewhere, for example, leaves out a file that declares arguments."""
    given = {n: "x" for n in ("task", "checkpoint") if n in declared(file)}
    assert interpret(file, given | {name: choice}, {}).processes


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_compares_with_an_empty_string(file: Path) -> None:
    """`ros2 launch` 3.7.1 says that two empty strings differ."""
    assert re.search(r"equals .*''", file.read_text()) is None


@pytest.mark.parametrize(("device", "given"), [("", False), ("/dev/video2", True)])
def test_a_camera_is_that_of_its_configuration_unless_a_device_is_named(device: str, given: bool) -> None:
    (camera,) = interpret(LAUNCH / "camera.launch.xml", {"camera_device": device}, {}).processes
    assert camera.name == "camera"
    assert ("source:" in str(camera.command)) is given


def declared(file: Path) -> set[str]:
    return set(declared_arguments(read_document(file), {}))


def test_collecting_in_simulation_starts_the_whole_path() -> None:
    names = started("collect.launch.xml", task="put_carrot_on_plate")
    assert names == ["simulator", "camera_monitor", "arm", "console", "recorder", "teleop", "scripted_operator"]


def test_collecting_with_a_device_of_a_person_starts_no_scripted_operator() -> None:
    names = started("collect.launch.xml", task="x", device="joy")
    assert names == ["simulator", "camera_monitor", "arm", "console", "recorder", "teleop"]
    names = started("collect.launch.xml", task="x", device="none", console="false")
    assert names == ["simulator", "camera_monitor", "arm", "recorder", "teleop"]


def test_the_real_robot_has_a_camera_and_no_simulator() -> None:
    assert started("robot.launch.xml", robot="wx250s") == ["camera", "arm", "console"]
    assert started("robot.launch.xml", console="false") == ["simulator", "camera_monitor", "arm"]


def test_evaluating_deploys_and_records_beside_its_results() -> None:
    plan = interpret(
        LAUNCH / "evaluate.launch.xml", {"task": "t", "checkpoint": "c", "directory": "runs/a"}, {}
    )
    assert [process.name for process in plan.processes] == [
        "simulator",
        "camera_monitor",
        "arm",
        "console",
        "policy_server",
        "recorder",
        "teleop",
        "evaluator",
    ]
    files = {process.name: str(process.command) for process in plan.processes}
    assert "directory: runs/a/bags" in files["recorder"]
    assert "directory: runs/a\\n" in files["evaluator"]


def test_a_person_can_take_over_from_a_policy_with_a_device_that_the_page_chooses() -> None:
    for file in ("deploy.launch.xml", "evaluate.launch.xml"):
        plan = interpret(LAUNCH / file, {"task": "t", "checkpoint": "c"}, {})
        (teleop,) = (str(process.command) for process in plan.processes if process.name == "teleop")
        assert "device: none" in teleop and "teleop.yaml" in teleop


def test_the_page_is_for_this_machine_only_unless_asked_and_chooses_the_task() -> None:
    plan = interpret(LAUNCH / "collect.launch.xml", {"task": "put_carrot_on_plate", "operator_name": "Ada"}, {})
    (console,) = (str(process.command) for process in plan.processes if process.name == "console")
    assert "remote: false" in console
    assert "task: put_carrot_on_plate" in console and "operator_name: Ada" in console


def test_the_page_offers_every_task_of_the_kitchens() -> None:
    parameters = yaml.safe_load((LAUNCH.parent / "config/console.yaml").read_text())["console"]["ros__parameters"]
    assert parameters["tasks"] == sorted(TASKS)


def test_a_launch_file_is_found_by_package_and_name_or_by_path() -> None:
    file, rest = find_file("ptr_bringup", ["collect.launch.xml", "task:=x"])
    assert (file.resolve(), rest) == (LAUNCH / "collect.launch.xml", ["task:=x"])
    assert find_file(str(LAUNCH / "robot.launch.xml"), []) == (LAUNCH / "robot.launch.xml", [])


@pytest.mark.parametrize(
    ("first", "rest", "part"),
    [
        ("ptr_bringp", ["collect.launch.xml"], "did you mean 'ptr_bringup'?"),
        ("ptr_bringup", ["colect.launch.xml"], "did you mean 'collect.launch.xml'?"),
        ("ptr_bringup", [], "which launch file of ptr_bringup?"),
        ("ptr_bringup", ["task:=x"], "which launch file of ptr_bringup?"),
        ("missing/a.launch.xml", [], "there is no launch file missing/a.launch.xml"),
    ],
)
def test_a_launch_file_that_is_not_there_is_refused(first: str, rest: list[str], part: str) -> None:
    with pytest.raises(LaunchError) as caught:
        find_file(first, rest)
    assert part in str(caught.value)


def test_a_camera_is_the_entry_of_its_name_or_a_given_device() -> None:
    (plain,) = interpret(LAUNCH / "camera.launch.xml", {"camera": "wrist"}, {}).processes
    assert "name: wrist" in str(plain.command)
    assert "source:" not in str(plain.command)
    given, *_ = interpret(LAUNCH / "robot.launch.xml", {"robot": "wx250s", "camera_device": "film.avi"}, {}).processes
    assert "source: film.avi" in str(given.command)
    assert "name: over_shoulder" in str(given.command)


def test_the_real_arm_and_the_simulated_one_differ_in_one_argument() -> None:
    real = started("collect.launch.xml", task="x", device="joy", robot="wx250s")
    simulated = started("collect.launch.xml", task="x", device="joy", robot="sim")
    assert set(simulated) - set(real) <= {"simulator", "camera_monitor"}
    assert set(real) - set(simulated) <= {"camera", "camera_monitor"}


def commands(name: str, **given: str) -> dict[str, list[str]]:
    """The words of each process that are the same in each run."""
    plan = interpret(LAUNCH / name, given, {})
    return {process.name: [str(word) for word in process.command] for process in plan.processes}


def test_behind_the_stand_in_the_simulator_leaves_the_robots_topics_to_the_driver() -> None:
    nodes = commands("robot.launch.xml", robot="wx250s", xs_sdk="stand_in")
    assert "camera" not in nodes
    for name in ("simulator", "xs_sdk_stand_in"):
        assert "/joint_states:=/simulator/joint_states" in nodes[name]
        assert "/joint_commands:=/simulator/joint_commands" in nodes[name]
    assert not any("/simulator/" in word for word in nodes["arm"])


def test_without_the_stand_in_there_is_none() -> None:
    assert "xs_sdk_stand_in" not in commands("robot.launch.xml", robot="wx250s")
    plain = commands("robot.launch.xml", robot="sim", xs_sdk="stand_in")
    assert "xs_sdk_stand_in" not in plain
    assert "/joint_states:=/joint_states" in plain["simulator"]


NODES = {
    "robot.launch.xml": {},
    "camera.launch.xml": {},
    "console.launch.xml": {},
    "collect.launch.xml": {"task": "x"},
    "policy.launch.xml": {"checkpoint": "x"},
    "deploy.launch.xml": {"checkpoint": "x"},
    "evaluate.launch.xml": {"task": "x", "checkpoint": "x"},
}


def surroundings(name: str, **environment: str) -> set[tuple[str, str]]:
    """Discovery range, and name of the Fast DDS profile, of all processes of a launch."""
    given = {key: value for key, value in NODES[name].items() if key in declared(LAUNCH / name)}
    plan = interpret(LAUNCH / name, given, environment)
    assert plan.processes
    return {(p.environment[RANGE], Path(p.environment[PROFILES]).name) for p in plan.processes}


@pytest.mark.parametrize("name", NODES)
def test_what_any_launcher_starts_listens_on_this_machine_alone(name: str) -> None:
    assert surroundings(name) == {("LOCALHOST", LOCAL)}


def test_a_launched_robot_is_reached_when_the_user_has_opened_the_range() -> None:
    assert surroundings("robot.launch.xml", **{RANGE: "SUBNET"}) == {("SUBNET", NETWORK)}
    assert surroundings("robot.launch.xml", **{PEERS: "10.0.0.7"}) == {("LOCALHOST", NETWORK)}
    assert surroundings("robot.launch.xml", **{PROFILES: "/etc/mine.xml"}) == {("LOCALHOST", "mine.xml")}
