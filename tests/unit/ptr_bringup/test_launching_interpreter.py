# SPDX-License-Identifier: Apache-2.0
"""Launch files become the processes that `ros2 launch` would start; what isn't supported is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ptr_bringup.launching.arguments import parse_assignments
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.interpreter import Plan, interpret, join_namespaces
from ptr_bringup.launching.parameters import ParameterFile, typed

Write = Callable[..., Path]


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one package, `kitchen`, that has the executables cook and serve."""
    root = tmp_path / "prefix"
    (root / "share" / "ament_index" / "resource_index" / "packages").mkdir(parents=True)
    (root / "share" / "ament_index" / "resource_index" / "packages" / "kitchen").touch()
    (root / "lib" / "kitchen").mkdir(parents=True)
    for name in ("cook", "serve"):
        program = root / "lib" / "kitchen" / name
        program.touch()
        program.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(root))
    return root


@pytest.fixture
def write(tmp_path: Path, prefix: Path) -> Write:
    """Write a launch file's body and return the file."""

    def write_file(body: str, name: str = "a.launch.xml") -> Path:
        file = tmp_path / name
        file.write_text(f"<launch>\n{body}\n</launch>\n")
        return file

    return write_file


def plan_of(file: Path, **given: str) -> Plan:
    return interpret(file, given, {"HOME": "/home/lab"})


def words(plan: Plan, number: int = 0) -> list[str]:
    return [word for word in plan.processes[number].command if isinstance(word, str)]


def parameters(plan: Plan, number: int = 0) -> list[dict]:
    return [yaml.safe_load(w.text) for w in plan.processes[number].command if isinstance(w, ParameterFile)]


def test_a_node_gets_the_command_line_that_ros2_launch_gives_it(write: Write, prefix: Path) -> None:
    plan = plan_of(
        write(
            """<group><push_ros_namespace namespace="lab"/>
            <node pkg="kitchen" exec="cook" name="chef" namespace="left" args="--fast 'two words'" output="screen"
                  on_exit="shutdown" launch-prefix="nice -n 5">
              <param name="rate" value="50.0"/>
              <remap from="in" to="out"/>
              <env name="HAT" value="white"/>
            </node></group>"""
        )
    )
    expected = ["nice", "-n", "5", str(prefix / "lib/kitchen/cook"), "--fast", "two words", "--ros-args"]
    expected += ["-r", "__node:=chef", "-r", "__ns:=/lab/left", "--params-file", "-r", "in:=out"]
    assert words(plan) == expected
    assert parameters(plan) == [{"/lab/left/chef": {"ros__parameters": {"rate": 50.0}}}]
    process = plan.processes[0]
    assert process.environment == {"HOME": "/home/lab", "HAT": "white"}
    assert process.on_screen and process.shutdown_on_exit and not process.respawn


def test_a_parameter_of_a_node_without_a_name_is_for_any_node(write: Write) -> None:
    plan = plan_of(write('<node pkg="kitchen" exec="cook"><param name="a.b" value="5"/></node>'))
    assert parameters(plan) == [{"/**": {"ros__parameters": {"a.b": 5}}}]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", "yaml", 5),
        ("5.0", "yaml", 5.0),
        ("true", "yaml", True),
        ("carrot", "yaml", "carrot"),
        ("[1.5, 2.5]", "yaml", [1.5, 2.5]),
        ("", "yaml", ""),
        ("010", "int", 10),
        ("1e1", "float", 10.0),
        ("1", "bool", True),
        ("0", "bool", False),
        ("5", "str", "5"),
        ("5", "float", 5.0),
        ("[1.0, 2.0]", "list_of_float", [1.0, 2.0]),
        ("[a, b]", "list_of_str", ["a", "b"]),
    ],
)
def test_parameters_have_the_type_that_yaml_or_the_file_gives_them(text: str, kind: str, value: object) -> None:
    got = typed(text, kind)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("[1, a]", "yaml"), ("a: b", "yaml"), ("x", "int"), ("5.5", "int"), ("1:30", "int"), ("2", "bool"), ("5", "x")],
)
def test_parameters_of_no_or_the_wrong_type_are_refused(text: str, kind: str) -> None:
    with pytest.raises(LaunchError):
        typed(text, kind)


def test_conditions_choose(write: Write) -> None:
    file = write(
        """<arg name="robot" default="sim"/>
        <node pkg="kitchen" exec="cook" if="$(equals $(var robot) sim)"/>
        <node pkg="kitchen" exec="serve" unless="$(equals $(var robot) sim)"/>"""
    )
    assert [p.name for p in plan_of(file).processes] == ["cook"]
    assert [p.name for p in plan_of(file, robot="wx250s").processes] == ["serve"]


def test_a_group_restores_what_it_set_and_an_unscoped_one_does_not(write: Write) -> None:
    plan = plan_of(
        write(
            """<let name="x" value="outside"/>
            <group><let name="x" value="inside"/><set_env name="E" value="1"/><log message="$(var x)"/></group>
            <log message="$(var x)"/>
            <group scoped="false"><let name="x" value="leaked"/></group>
            <log message="$(var x)"/>
            <executable cmd="env" name="last"/>"""
        )
    )
    assert plan.messages == ["inside", "outside", "leaked"]
    assert "E" not in plan.processes[0].environment


def test_an_include_shares_the_variables_of_its_includer(write: Write) -> None:
    """As in ROS 2: arguments given to an include, and those it declares, hold afterwards too."""
    write('<arg name="a" default="1"/><arg name="b" default="2"/><log message="$(var a) $(var b)"/>', "b.launch.xml")
    plan = plan_of(
        write(
            """<arg name="b" default="given"/>
            <include file="$(dirname)/b.launch.xml"><arg name="a" value="x"/></include>
            <log message="after: $(var a)"/>"""
        )
    )
    assert plan.messages == ["x given", "after: x"]


def test_an_include_gives_the_arguments_that_its_file_requires(write: Write) -> None:
    """As in ROS 2: a variable of that name does not do."""
    write('<arg name="a" description="what"/><log message="$(var a)"/>', "b.launch.xml")
    given = '<include file="$(dirname)/b.launch.xml"><arg name="a" value="x"/></include>'
    assert plan_of(write(given)).messages == ["x"]
    with pytest.raises(LaunchError, match=r"a.launch.xml:3: 'file' of <include>: launch argument 'a' is required"):
        plan_of(write('<let name="a" value="x"/>\n<include file="$(dirname)/b.launch.xml"/>'))


def test_a_parameter_file_that_is_not_there_is_refused(write: Write) -> None:
    with pytest.raises(LaunchError, match="parameter file /missing.yaml does not exist"):
        plan_of(write('<node pkg="kitchen" exec="cook"><param from="/missing.yaml"/></node>'))


@pytest.mark.parametrize("name", ["emulate_tty", "sigterm_timeout", "global_params"])
def test_variables_that_change_how_ros2_launch_runs_processes_are_refused(write: Write, name: str) -> None:
    with pytest.raises(LaunchError, match=f"{name!r} has a special meaning in ROS 2's launch"):
        plan_of(write(f'<let name="{name}" value="1"/>'))


def test_an_argument_that_no_file_declares_is_one_where_it_is_used(write: Write) -> None:
    file = write('<log message="$(var z none)"/>')
    assert plan_of(file, z="1").messages == ["1"]
    with pytest.raises(LaunchError, match="no launch argument 'y'"):
        plan_of(file, y="1")


def test_arguments_of_includes_can_be_given(write: Write) -> None:
    write('<arg name="inner" default="1"/><log message="$(var inner)"/>', "b.launch.xml")
    file = write('<include file="$(dirname)/b.launch.xml"/>')
    assert plan_of(file, inner="7").messages == ["7"]


ARGUMENTS = """<arg name="task" description="what to do"/>
<arg name="robot" default="sim"><choice value="sim"/><choice value="wx250s"/></arg>"""


def test_an_argument_that_does_not_exist_is_refused_with_the_nearest_known(write: Write) -> None:
    with pytest.raises(LaunchError, match=r"no launch argument 'tsk'; did you mean 'task'\?.*robot, task"):
        plan_of(write(ARGUMENTS), tsk="x")


def test_a_required_argument_that_is_missing_is_named_with_its_description(write: Write) -> None:
    with pytest.raises(LaunchError, match=r"'task' is required: task:=… \(what to do\)"):
        plan_of(write(ARGUMENTS))


def test_a_value_that_is_not_a_choice_is_refused_with_the_choices(write: Write) -> None:
    with pytest.raises(LaunchError, match=r"invalid launch argument robot:=real; .*sim, wx250s"):
        plan_of(write(ARGUMENTS), task="x", robot="real")


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ('<nod pkg="kitchen" exec="cook"/>', "<nod> inside <launch> is not supported; did you mean 'node'?"),
        ('<lifecycle_node pkg="kitchen" exec="cook"/>', "<lifecycle_node>"),
        ('<timer period="1"/>', "<timer>"),
        ('<node pkg="kitchen" exec="cook" machine="x"/>', "attribute 'machine' of <node> is not supported"),
        ('<node pkg="kitchen"/>', "<node> needs the attribute 'exec'"),
        ('<node pkg="kitchn" exec="cook"/>', "package 'kitchn' is not installed; did you mean 'kitchen'?"),
        ('<node pkg="kitchen" exec="cok"/>', "no executable 'cok'; did you mean 'cook'?"),
        ('<log message="x" if="1" unless="0"/>', "both 'if' and 'unless'"),
        ('<log message="x" if="perhaps"/>', "true, false, 1 or 0, not 'perhaps'"),
        ('<log message="$(var nothing)"/>', "'nothing' is not set"),
        ('<include file="missing.launch.xml"/>', "can't read launch file missing.launch.xml: No such file"),
        ('<include file="$(dirname)/a.launch.xml"/>', "does"),
        ('<include file="robot.launch.py"/>', "only launch files in XML"),
        ('<executable cmd="sh -c \'"/>', "No closing quotation"),
        ('<node pkg="kitchen" exec="cook" on_exit="restart"/>', "'on_exit' may only be 'shutdown'"),
        ("text", "text 'text' is not supported"),
        ("<log message='x'>", "not well-formed XML"),
        ("<group>" * 5000 + "</group>" * 5000, "elements or substitutions are nested too deeply"),
        ('<log message="' + "$(var " * 5000 + '"/>', "elements or substitutions are nested too deeply"),
        ('<executable cmd="true" respawn_delay="nan"/>', "'respawn_delay' must be seconds, not 'nan'"),
        ('<executable cmd="true" respawn_delay="-1"/>', "'respawn_delay' must be seconds, not '-1'"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(write: Write, body: str, part: str) -> None:
    with pytest.raises(LaunchError) as caught:
        plan_of(write(body))
    assert part in str(caught.value)
    assert "a.launch.xml:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_entities_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.launch.xml"
    file.write_text('<!DOCTYPE launch [<!ENTITY a "aaaa">]><launch><log message="&a;"/></launch>')
    with pytest.raises(LaunchError, match="document type"):
        plan_of(file)


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"\xff\xfe\x00", "is not in UTF-8: invalid start byte at byte 0"),
        (b'<?xml version="1.0" encoding="utf-8"?>\xc3\x28', "is not in UTF-8"),
        (b'<?xml version="1.0" encoding="iso-8859-1"?><!-- \xc4 -->', "is not in UTF-8"),
        (b" " * 2**20, "characters; the maximum is 1048576"),
    ],
)
def test_a_file_in_another_encoding_or_too_large_is_refused(tmp_path: Path, head: bytes, part: str) -> None:
    file = tmp_path / "a.launch.xml"
    file.write_bytes(head + b"<launch/>")
    with pytest.raises(LaunchError) as caught:
        plan_of(file)
    assert part in str(caught.value)
    assert "a.launch.xml" in str(caught.value)


def test_includes_and_groups_that_nest_each_other_are_refused(write: Write) -> None:
    file = write("<group>" * 49 + '<include file="$(filename)"/>' + "</group>" * 49)
    with pytest.raises(LaunchError, match="nested"):
        plan_of(file)


def test_files_that_include_the_next_one_many_times_are_refused(write: Write) -> None:
    file = write("", "0.launch.xml")
    for level in range(1, 12):
        file = write(f'<include file="{file}"/>\n' * 8, f"{level}.launch.xml")
    with pytest.raises(LaunchError, match="more than 1000 includes in total"):
        plan_of(file)


def test_assignments_of_the_command_line() -> None:
    assert parse_assignments(["a:=1", "c:=x:=y"]) == {"a": "1", "c": "x:=y"}
    for word in ("a=1", "b:=", ":=1"):
        with pytest.raises(LaunchError, match="write name:=value"):
            parse_assignments([word])


@pytest.mark.parametrize(
    ("outer", "inner", "joined"),
    [
        (None, "a", "/a"),
        ("/a", "b/", "/a/b"),
        ("/a", "/b", "/b"),
        ("/a", "", "/a"),
        ("/a", "/", "/"),
        ("/a", None, "/a"),
        (None, "", "/"),
        (None, None, None),
    ],
)
def test_namespaces_join(outer: str | None, inner: str | None, joined: str | None) -> None:
    assert join_namespaces(outer, inner) == joined
