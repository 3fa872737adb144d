# SPDX-License-Identifier: Apache-2.0
"""`ptr launch` and `ros2 launch` start the same processes.

What is expected here are results of ROS 2's launch 3.4.3 (Jazzy) and 3.7.1. Where `launch_ros` can be imported, they
are made again and compared, also for the commands of the page about launch files.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ptr_bringup.doctor.checks import EXECUTABLES
from ptr_bringup.launching.arguments import parse_assignments
from ptr_bringup.launching.cli import find_file
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.interpreter import interpret
from ptr_bringup.launching.parameters import ParameterFile

ROOT = Path(__file__).resolve().parents[3]
COMMAND = re.compile(r"(?:ros2|ptr) launch (ptr_bringup (?:.*\\\n)*.*)")

needs_launch = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="ROS 2's launch is not installed: `ros2 launch` not compared"
)


@pytest.fixture(autouse=True)
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation of the suite, and of a package `kitchen`, with empty programs."""
    root = tmp_path / "prefix"
    index = root / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package, names in {**EXECUTABLES, "kitchen": ["cook", "serve"]}.items():
        (index / package).touch()
        (root / "lib" / package).mkdir(parents=True)
        for name in names:
            (root / "lib" / package / name).touch(0o755)
    (root / "share/ptr_bringup").symlink_to(ROOT / "ptr_bringup")
    before = dict(os.environ)
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join([str(root), os.environ.get("AMENT_PREFIX_PATH", "")]))
    yield root
    os.environ.clear()  # which ROS 2's launch changes
    os.environ.update(before)


def own(file: Path, words: list[str]) -> list[dict[str, Any]]:
    """What `ptr launch` starts."""
    processes = interpret(file, parse_assignments(words), dict(os.environ)).processes
    return [
        {
            "command": [yaml.safe_load(w.text) if isinstance(w, ParameterFile) else w for w in process.command],
            "name": process.name,
            "environment": {k: v for k, v in process.environment.items() if os.environ.get(k) != v},
            "folder": process.folder,
            "flags": (process.on_screen, process.shutdown_on_exit, process.respawn, process.respawn_delay),
        }
        for process in processes
    ]


def genuine(file: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `ros2 launch` starts; nothing is started."""
    from launch import LaunchContext
    from launch.actions import ExecuteLocal, IncludeLaunchDescription
    from launch.launch_description_sources import AnyLaunchDescriptionSource
    from launch.utilities import perform_substitutions, visit_all_entities_and_collect_futures

    processes = []

    def prepare(action: Any, context: Any) -> None:
        action.prepare(context)
        process = action.process_description
        output = perform_substitutions(context, action.output)
        respawn, delay = (getattr(action, f"_ExecuteLocal__{name}") for name in ("respawn", "respawn_delay"))
        on_exit = action._ExecuteLocal__on_exit is not None
        processes.append(
            {
                "command": [_contents(word) for word in process.final_cmd],
                "name": process.final_name.rpartition("-")[0],
                "environment": {k: v for k, v in process.final_env.items() if before.get(k) != v},
                "folder": process.final_cwd,
                "flags": (output in ("screen", "both", "full"), on_exit, respawn, delay or 0.0),
            }
        )

    before = dict(os.environ)
    monkeypatch.setattr(ExecuteLocal, "execute", prepare)
    given = [tuple(word.split(":=", maxsplit=1)) for word in words]
    include = IncludeLaunchDescription(AnyLaunchDescriptionSource(str(file)), launch_arguments=given)
    visit_all_entities_and_collect_futures(include, LaunchContext(argv=words))
    return processes


def _contents(word: str) -> Any:
    """The parameters of a file that ROS 2's launch has written; any other word as it is."""
    return yaml.safe_load(Path(word).read_text()) if Path(word).name.startswith("launch_params_") else word


def node(attributes: str = "", body: str = "") -> str:
    return f'<node pkg="kitchen" exec="cook" {attributes}>{body}</node>'


def param(value: str, kind: str = "") -> str:
    written_kind = f'type="{kind}"' if kind else ""
    return node(body=f"<param name='a.b' value='{value}' {written_kind}/>")


def executable(cmd: str, attributes: str = "") -> str:
    return f'<executable cmd="{cmd}" {attributes}/>'


A = '<arg name="a" default="1"/>'
ARGS = "--ros-args"
LEFT, RIGHT = node('namespace="left"'), node('namespace="/right"')
COMMANDS: list[tuple[str, list[str], list[list[str]]]] = [
    (A + executable("echo --x=$(var a) b"), ["a:=two words"], [["echo", "--x=two words", "b"]]),
    (A + executable("echo 'q w' $(var a)$(var a)"), ["a:=x"], [["echo", "q w", "xx"]]),
    (A + executable("echo $(var a) $(var a)"), ["a:= x"], [["echo", " x", " x"]]),
    (executable("echo", 'launch-prefix="nice -n 5"'), [], [["nice", "-n", "5", "echo"]]),
    (executable("echo $(var z none)"), ["z:=undeclared"], [["echo", "undeclared"]]),
    (executable("echo $(if yes 1 2) $(not off) $(or 0 on)"), [], [["echo", "1", "true", "true"]]),
    (executable("echo $(equals 010 10.0) $(equals True 1) $(equals 1e1 10)"), [], [["echo", "true", "true", "true"]]),
    (executable(r"echo $(eval '(1, 2)') \\$(dirname)"), [], [["echo", "(1, 2)", "$(dirname)"]]),
    (A + executable("echo $(var a $(var missing))"), [], [["echo", "1"]]),
    (node('ros_args="--log-level debug" args="x"'), [], [["COOK", "x", ARGS, "--log-level", "debug", ARGS]]),
    (node('args=""'), [], [["COOK", "", ARGS]]),
    (node('namespace="/"'), [], [["COOK", ARGS, "-r", "__ns:=/"]]),
    (node('namespace=""'), [], [["COOK", ARGS, "-r", "__ns:=/"]]),
    (node('namespace="a/" name="n"'), [], [["COOK", ARGS, "-r", "__node:=n", "-r", "__ns:=/a"]]),
    (
        f'<push_ros_namespace namespace="lab"/>{node()}{LEFT}{RIGHT}' + executable("echo $(var ros_namespace)"),
        [],
        [
            ["COOK", ARGS, "-r", "__ns:=/lab"],
            ["COOK", ARGS, "-r", "__ns:=/lab/left"],
            ["COOK", ARGS, "-r", "__ns:=/right"],
            ["echo", "/lab"],
        ],
    ),
    (
        node('name="n"', '<remap from="a" to="b"/><param name="p" value="5"/>'),
        [],
        [["COOK", ARGS, "-r", "__node:=n", "--params-file", {"/**": {"ros__parameters": {"p": 5}}}, "-r", "a:=b"]],
    ),
    (
        node('name="n" namespace="x"', '<param name="p.q" value="5"/>'),
        [],
        [
            ["COOK", ARGS, "-r", "__node:=n", "-r", "__ns:=/x", "--params-file"]
            + [{"/x/n": {"ros__parameters": {"p.q": 5}}}]
        ],
    ),
]
PARAMETERS: list[tuple[str, str, list[str], object]] = [
    ("$(var a)", "int", ["a:=010"], 10),
    ("$(var a)", "", ["a:=010"], 8),
    ("$(var a)", "float", ["a:=1e1"], 10.0),
    ("$(var a)", "", ["a:=1e1"], "1e1"),
    ("$(var a)", "bool", ["a:=1"], True),
    ("$(var a)", "bool", ["a:=off"], False),
    ("$(var a)", "", ["a:=1:30"], 90),
    ("$(var a)", "str", ["a:=1:30"], "1:30"),
    ("$(var a)", "", ["a:=[1, 2]"], [1, 2]),
    ("[$(var a), 2]", "", ["a:=1"], [1, 2]),
    ("[a, $(var a)]", "list_of_str", ["a:=1"], ["a", "1"]),
    ("$(var a) # not this", "str", ["a:=1"], "1 # not this"),
    ("$(var a) # not this", "", ["a:=1"], 1),
    ('"5"', "", [], "5"),
    ("5", "yaml", [], 5),
    ("5", "float", [], 5.0),
    ("", "", [], ""),
]
FLAGS: list[tuple[str, tuple[bool, bool, bool, float]]] = [
    ("", (False, False, False, 0.0)),
    ('output="$(if 1 screen)" respawn="yes" on_exit="shutdown" respawn_delay="1"', (True, True, True, 1.0)),
    ('output="own_log" respawn="0"', (False, False, False, 0.0)),
]
REFUSED: list[tuple[str, list[str]]] = [
    (A + param("$(var a)", "int"), ["a:=1:30"]),
    (A + param("$(var a)", "int"), ["a:=5.0"]),
    (A + param("$(var a)"), ["a:=x: y"]),
    (A + param("$(var a)", "list_of_int"), ["a:=[1, 2]"]),
    (param("[1, 2]", "list_of_float"), []),
    (param("[yes]", "list_of_int"), []),
    (param("2020-01-01"), []),
    (node('name="a-b"'), []),
    (node('name=""'), []),
    (node('namespace="a b"'), []),
    ('<push_ros_namespace namespace="1a"/>', []),
    (node('on_exit=""'), []),
    (node('if="yes"'), []),
    (node('respawn_delay="$(eval 1)"'), []),
    (A + executable("echo '$(var a)'"), []),
    ('<group if="false">' + executable("echo $(nothing)") + "</group>", []),
    ('<group if="false">' + param("x", "int") + "</group>", []),
    ('<group if="false">' + param("[]", "list_of_int") + "</group>", []),
    ('<let name="b" value="1"/><include file="$(dirname)/b.launch.xml"/>', []),
    ('<group if="false"><group><arg name="a"/></group></group>', []),
    (executable("echo $(not tRue)"), []),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "b.launch.xml").write_text('<launch><arg name="b"/></launch>')
    return tmp_path / "a.launch.xml"


def written(file: Path, body: str) -> Path:
    file.write_text(f"<launch>{body}</launch>")
    return file


def expected(commands: list[list[Any]], prefix: Path) -> list[list[Any]]:
    return [[str(prefix / "lib/kitchen/cook") if w == "COOK" else w for w in words] for words in commands]


@pytest.mark.parametrize(("body", "words", "commands"), COMMANDS)
def test_commands_are_those_of_ros2_launch(
    file: Path, body: str, words: list[str], commands: Any, prefix: Path
) -> None:
    assert [p["command"] for p in own(written(file, body), words)] == expected(commands, prefix)


@pytest.mark.parametrize(("value", "kind", "words", "result"), PARAMETERS)
def test_parameters_are_those_of_ros2_launch(file: Path, value: str, kind: str, words: list[str], result: Any) -> None:
    (process,) = own(written(file, A + param(value, kind)), words)
    got = process["command"][-1]["/**"]["ros__parameters"]["a.b"]
    assert got == result and type(got) is type(result)


@pytest.mark.parametrize(("attributes", "flags"), FLAGS)
def test_output_and_end_of_a_process_are_those_of_ros2_launch(file: Path, attributes: str, flags: object) -> None:
    (process,) = own(written(file, node(attributes)), [])
    assert process["flags"] == flags


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_what_ros2_launch_refuses_is_refused(file: Path, body: str, words: list[str]) -> None:
    with pytest.raises(LaunchError):
        own(written(file, body), words)


@needs_launch
@pytest.mark.parametrize(("body", "words", "commands"), COMMANDS)
def test_ros2_launch_starts_these_commands(
    file: Path, body: str, words: list[str], commands: Any, prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = genuine(written(file, body), words, monkeypatch)
    assert [p["command"] for p in got] == expected(commands, prefix)


@needs_launch
@pytest.mark.parametrize(
    ("body", "words"),
    [(A + param(value, kind), words) for value, kind, words, _ in PARAMETERS] + [(node(a), []) for a, _ in FLAGS],
)
def test_ros2_launch_gives_these_parameters_and_flags(
    file: Path, body: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own(written(file, body), words) == genuine(file, words, monkeypatch)


@needs_launch
@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_ros2_launch_refuses_this(file: Path, body: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="."):
        genuine(written(file, body), words, monkeypatch)


def documented() -> list[list[str]]:
    """The commands of the page about launch files, and each with the real arm."""
    page = (ROOT / "docs/how-to/launch.md").read_text()
    commands = [shlex.split(command.replace("\\\n", " ")) for command in COMMAND.findall(page)]
    files = sorted({command[1] for command in commands} | {p.name for p in (ROOT / "ptr_bringup/launch").glob("*.xml")})
    required = {"collect.launch.xml": ["task:=t"], "evaluate.launch.xml": ["task:=t", "checkpoint:=c"]}
    for real in (
        *(["robot:=wx250s"], ["robot:=wx250s", "xs_sdk:=stand_in"], ["console:=false"], ["description:=false"]),
        *(["namespace:=left"], ["namespace:=/lab/left", "robot:=wx250s", "xs_sdk:=stand_in", "robot_name:=l"]),
    ):
        commands += [["ptr_bringup", name, *required.get(name, []), *real] for name in files if name in ROBOTS]
    return commands + [["ptr_bringup", name, *required.get(name, [])] for name in files]


ROBOTS = ("robot.launch.xml", "collect.launch.xml", "deploy.launch.xml", "evaluate.launch.xml")


@pytest.mark.parametrize("command", documented(), ids=" ".join)
def test_the_commands_of_the_page_start_something(command: list[str]) -> None:
    assert own(*find_file(command[0], command[1:]))


@needs_launch
@pytest.mark.parametrize("command", documented(), ids=" ".join)
def test_the_commands_of_the_page_are_those_of_ros2_launch(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    file, words = find_file(command[0], command[1:])
    assert own(file, words) == genuine(file, words, monkeypatch)


TWO_ARMS = "".join(
    f'''<include file="$(find-pkg-share ptr_bringup)/launch/robot.launch.xml"><arg name="namespace" value="{side}"/>
    <arg name="seed" value="{seed}"/></include>'''
    for seed, side in enumerate(("left", "right"))
)


@needs_launch
def test_two_arms_of_one_file_are_those_of_ros2_launch(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own(written(file, TWO_ARMS), []) == genuine(file, [], monkeypatch)
