# SPDX-License-Identifier: Apache-2.0
"""The shipped launch files: every argument is described, and they start the described nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ptr_bringup.launching.arguments import declared_arguments
from ptr_bringup.launching.cli import default_environment, find_file
from ptr_bringup.launching.documents import read_document
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.interpreter import Process, interpret
from ptr_bringup.launching.known_values import require_known
from ptr_bringup.launching.parameters import ParameterFile
from ptr_bringup.sim.tasks import TASKS

LAUNCH = Path(__file__).resolve().parents[3] / "ptr_bringup" / "launch"
FILES = sorted(LAUNCH.glob("*.launch.xml"))
ROBOT = ["simulator", "camera_monitor", "arm", "robot_description"]


pytestmark = pytest.mark.usefixtures("installed")


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
    assert names == [*ROBOT, "console", "recorder", "teleop", "scripted_operator"]


def test_collecting_with_a_device_of_a_person_starts_no_scripted_operator() -> None:
    names = started("collect.launch.xml", task="x", device="joy")
    assert names == [*ROBOT, "console", "recorder", "teleop", "scene"]
    names = started("collect.launch.xml", task="x", device="none", console="false")
    assert names == [*ROBOT, "recorder", "teleop", "scene"]


@pytest.mark.parametrize(
    ("given", "simulated"),
    [({}, True), ({"robot": "wx250s"}, False), ({"robot": "wx250s", "xs_sdk": "stand_in"}, True)],
)
def test_scenes_are_laid_by_themselves_where_a_simulator_lays_them(given: dict[str, str], simulated: bool) -> None:
    values = {"task": "x", "device": "joy", "directory": "d"} | given
    plan = interpret(LAUNCH / "collect.launch.xml", values, {})
    (scene,) = [process for process in plan.processes if process.name == "scene"]
    assert f"simulated: {str(simulated).lower()}" in str(scene.command)


def test_the_real_robot_has_a_camera_and_no_simulator() -> None:
    assert started("robot.launch.xml", robot="wx250s") == ["cameras", "arm", "robot_description", "console"]
    assert started("robot.launch.xml", console="false") == ROBOT


def test_the_description_can_be_left_to_another_node() -> None:
    nodes = commands("robot.launch.xml")
    assert "wx250s.urdf" in str(interpret(LAUNCH / "robot.launch.xml", {}, {}).processes)
    assert set(nodes) - set(commands("robot.launch.xml", description="false")) == {"robot_description"}


def test_evaluating_deploys_and_records_beside_its_results() -> None:
    plan = interpret(LAUNCH / "evaluate.launch.xml", {"task": "t", "checkpoint": "c", "directory": "runs/a"}, {})
    assert [process.name for process in plan.processes] == [
        "simulator",
        "camera_monitor",
        "arm",
        "robot_description",
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
    parameters = yaml.safe_load((LAUNCH.parent / "config/console.yaml").read_text())["/**/console"]["ros__parameters"]
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
        ("ptr_bringup", [], "name a launch file of ptr_bringup;"),
        ("ptr_bringup", ["task:=x"], "name a launch file of ptr_bringup;"),
        ("missing/a.launch.xml", [], "launch file missing/a.launch.xml does not exist"),
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
    assert "device: film.avi" in str(given.command)
    assert "cameras:\n    - over_shoulder\n" in parameters_of(given)


def test_the_real_arm_and_the_simulated_one_differ_in_one_argument() -> None:
    real = started("collect.launch.xml", task="x", device="joy", robot="wx250s")
    simulated = started("collect.launch.xml", task="x", device="joy", robot="sim")
    assert set(simulated) - set(real) <= {"simulator", "camera_monitor"}
    assert set(real) - set(simulated) <= {"cameras", "camera_monitor"}


def commands(name: str, **given: str) -> dict[str, list[str]]:
    """The words of each process that are the same in each run."""
    plan = interpret(LAUNCH / name, given, {})
    return {process.name: [str(word) for word in process.command] for process in plan.processes}


def parameters_of(process: Process) -> str:
    """All parameters that a process is given in the launch file, as YAML."""
    return "\n".join(word.text for word in process.command if isinstance(word, ParameterFile))


@pytest.mark.parametrize("robot", ["sim", "wx250s"])
@pytest.mark.parametrize("file", ["collect", "deploy", "evaluate"])
def test_cameras_are_named_once_for_all_nodes(file: str, robot: str) -> None:
    values = {"task": "t", "checkpoint": "c", "robot": robot, "cameras": "wrist,over_shoulder"}
    given = {name: value for name, value in values.items() if name in declared(LAUNCH / f"{file}.launch.xml")}
    plan = interpret(LAUNCH / f"{file}.launch.xml", given, {})
    told = {p.name for p in plan.processes if "cameras:\n    - wrist\n    - over_shoulder\n" in parameters_of(p)}
    robots = {"simulator", "camera_monitor"} if robot == "sim" else {"cameras"}
    policy = {"policy_server"} if file != "collect" else set()
    assert told == {*robots, *policy, "recorder", "console"}


def test_behind_the_stand_in_the_simulator_leaves_the_robots_topics_to_the_driver() -> None:
    nodes = commands("robot.launch.xml", robot="wx250s", xs_sdk="stand_in")
    assert "cameras" not in nodes
    for name in ("simulator", "xs_sdk_stand_in"):
        assert "joint_states:=simulator/joint_states" in nodes[name]
        assert "joint_commands:=simulator/joint_commands" in nodes[name]
    assert not any("simulator/" in word for word in nodes["arm"])


def test_without_the_stand_in_there_is_none() -> None:
    assert "xs_sdk_stand_in" not in commands("robot.launch.xml", robot="wx250s")
    plain = commands("robot.launch.xml", robot="sim", xs_sdk="stand_in")
    assert "xs_sdk_stand_in" not in plain
    assert "joint_states:=joint_states" in plain["simulator"]


REQUIRED = {"task": "t", "checkpoint": "c"}


@pytest.mark.parametrize("robot", ["sim", "wx250s"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_namespace_is_that_of_every_node_once(file: Path, robot: str) -> None:
    given = {n: v for n, v in (REQUIRED | {"robot": robot}).items() if n in declared(file)}
    plain, left = interpret(file, given, {}), interpret(file, given | {"namespace": "left"}, {})
    assert not any("__ns" in str(word) for process in plain.processes for word in process.command)
    assert [process.name for process in left.processes] == [process.name for process in plain.processes]
    for process in left.processes:
        assert [word for word in process.command if "__ns" in str(word)] == ["__ns:=/left"]
        assert process.namespace == "/left"


def test_two_robots_of_one_launch_file_have_their_own_namespaces(tmp_path: Path) -> None:
    sides = "".join(
        f'<include file="{LAUNCH}/robot.launch.xml"><arg name="namespace" value="{side}"/></include>'
        for side in ("left", "right")
    )
    (tmp_path / "both.launch.xml").write_text(f"<launch>{sides}</launch>")
    arms = [p.namespace for p in interpret(tmp_path / "both.launch.xml", {}, {}).processes if p.name == "arm"]
    assert arms == ["/left", "/right"]


def test_a_name_of_xs_sdk_reaches_the_arm_and_the_stand_in() -> None:
    plan = interpret(
        LAUNCH / "robot.launch.xml", {"robot": "wx250s", "xs_sdk": "stand_in", "robot_name": "left_arm"}, {}
    )
    told = {process.name for process in plan.processes if "xs_sdk_name: left_arm" in parameters_of(process)}
    assert told == {"arm", "xs_sdk_stand_in"}


def test_on_humble_nothing_is_launched() -> None:
    with pytest.raises(LaunchError, match="Humble is not supported"):
        default_environment({"ROS_DISTRO": "humble"})


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("task", "put_carot_on_plate", "the nearest is put_carrot_on_plate"),
        ("kitchen", "toykitchen", "the nearest is toykitchen"),
        ("level", "heavy", "there is no level 'heavy'"),
        ("checkpoint", "no_such_run", "no_such_run does not exist"),
    ],
)
@pytest.mark.parametrize("file", ["deploy.launch.xml", "evaluate.launch.xml"])
def test_unknown_names_and_folders_are_refused_before_anything_starts(
    file: str, name: str, value: str, part: str, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.json").touch()
    given = {"task": "put_carrot_on_plate", "checkpoint": str(tmp_path / "run")}
    require_known(interpret(LAUNCH / file, given, {}))
    with pytest.raises(LaunchError, match=f"invalid {name}:={value}: .*{part}"):
        require_known(interpret(LAUNCH / file, given | {name: value}, {}))


def test_a_real_table_may_have_tasks_of_its_own() -> None:
    require_known(interpret(LAUNCH / "collect.launch.xml", {"task": "fold_the_towel", "robot": "wx250s"}, {}))


def test_one_of_several_checkpoints_that_is_not_there_is_refused_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").touch()
    given = {"task": "put_carrot_on_plate", "checkpoint": f"a={tmp_path}, b=no_such_run"}
    with pytest.raises(LaunchError, match="no_such_run does not exist"):
        require_known(interpret(LAUNCH / "evaluate.launch.xml", given, {}))


def test_an_external_policy_is_no_folder() -> None:
    given = {"task": "put_carrot_on_plate", "checkpoint": "openpi:pi0.yaml"}
    require_known(interpret(LAUNCH / "deploy.launch.xml", given, {}))
