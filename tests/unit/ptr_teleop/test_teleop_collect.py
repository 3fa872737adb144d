# SPDX-License-Identifier: Apache-2.0
"""`ptr collect`: what counts as saved, and what it says about it afterwards."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptr_bringup.sim.names import teach_names
from ptr_models.contract import Contract
from ptr_models.episodes.messages import STRING, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.writer import BagWriter
from ptr_teleop import cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved episode without any stream, a partial and a discarded one."""
    with BagWriter(tmp_path, EpisodeMetadata("saved", "t")) as writer:
        writer.write_message("/note", typestore().types[STRING](data="x"), 1)
    BagWriter(tmp_path, EpisodeMetadata("broken", "t")).abandon()
    with BagWriter(tmp_path / "discarded", EpisodeMetadata("gone", "t")):
        pass
    return tmp_path


def test_partial_and_discarded_episodes_are_not_saved_ones(folder: Path) -> None:
    assert cli.saved_episodes(folder) == {folder / "saved"}


def test_an_episode_that_training_cannot_use_is_named_with_its_reason(folder: Path) -> None:
    (line,) = cli.doubtful(cli.saved_episodes(folder))
    assert line.startswith("saved: better discarded, or recorded again: training cannot use it: stream camera")


def test_the_session_is_the_launch_file_with_what_was_asked_for() -> None:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    options = parser.parse_args(["collect", "put_knife_in_pot", "--out", "data/x", "--operator", "Ada", "--seed", "3"])
    command = cli.launch_command(options)
    assert command[3:6] == ["launch", "ptr_bringup", "collect.launch.xml"]
    assert {"task:=put_knife_in_pot", "operator_name:=Ada", "seed:=3", "directory:=data/x"} <= set(command)
    assert "cameras:=over_shoulder" in command


def session(*words: str) -> argparse.Namespace:
    """The options of `ptr collect` for a task and these words."""
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    return parser.parse_args(["collect", "put_knife_in_pot", "--out", "data/x", *words])


def test_a_session_with_a_namespace_is_started_in_it_and_without_one_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "namespace:=left" in cli.launch_command(session("--namespace", "/left/"))
    assert not any(word.startswith("namespace:=") for word in cli.launch_command(session()))
    monkeypatch.setenv("PTR_NAMESPACE", "right")
    assert "namespace:=right" in cli.launch_command(session())
    assert "namespace:=left" in cli.launch_command(session("--namespace", "left"))


def test_keys_drive_the_robot_of_the_session_s_namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driven = []
    monkeypatch.setattr(cli, "require_terminal", lambda: None)
    monkeypatch.setattr(cli, "drive", lambda *words: driven.append(words))
    monkeypatch.setattr(cli, "launch_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60.0)"])
    cli.run(session("--device", "keyboard", "--namespace", "left", "--operator", "Ada", "--out", str(tmp_path)))
    ((task, operator, robot, namespace),) = driven
    assert (task, operator, namespace) == ("put_knife_in_pot", "Ada", "left")
    assert robot.poll() is not None  # the robot ends with the driving


def test_the_cameras_of_a_session_are_named_or_those_of_its_contract(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    words = ["collect", "put_knife_in_pot", "--out", str(tmp_path)]
    named = parser.parse_args([*words, "--camera", "over_shoulder", "wrist", "--image-size", "32"])
    file = cli.contract_file(named)
    assert "cameras:=over_shoulder,wrist" in cli.launch_command(named, file)
    assert Contract.from_json(file.read_text()).image_shape == (32, 32, 6)
    followed = parser.parse_args([*words, "--contract", str(file)])
    assert "cameras:=over_shoulder,wrist" in cli.launch_command(followed, file)


def test_a_camera_that_the_simulator_lacks_is_refused_before_the_session_starts(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    words = ["collect", "put_knife_in_pot", "--out", str(tmp_path / "out"), "--camera", "front"]
    teach_names()
    with pytest.raises(cli.CollectError, match="there is no camera 'front'"):
        cli.run(parser.parse_args(words))
    assert not (tmp_path / "out").exists()


def test_the_session_says_where_the_page_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "[console-3] [INFO] [1.5] [console]: the console is at http://127.0.0.1:8765/"
    program = f"import time; print({said!r}, flush=True); time.sleep(1.0)"
    monkeypatch.setattr(cli, "launch_command", lambda *_: [sys.executable, "-c", program])
    monkeypatch.setattr(cli, "POLL_PERIOD", 0.02)
    cli.run(argparse.Namespace(out=tmp_path / "data", task="t", episodes=1))
    assert capsys.readouterr().out.count("the console is at http://127.0.0.1:8765/\n") == 1


@pytest.mark.parametrize(
    ("robot", "device", "namespace", "own"),
    [
        ("sim", "scripted", "", True),
        ("sim", "keyboard", "", True),
        ("sim", "joy", "", False),
        ("wx250s", "spacemouse", "", False),
        ("sim", "scripted", "left", False),
    ],
)
def test_a_simulated_session_has_a_domain_of_its_own_unless_something_else_is_in_the_users(
    robot: str,
    device: str,
    namespace: str,
    own: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "take_own_domain", lambda: 5)
    cli.take_domain(argparse.Namespace(robot=robot, device=device, namespace=namespace))
    said = "ROS domain 5; in another terminal: export ROS_DOMAIN_ID=5\n"
    assert capsys.readouterr().out == (said if own else "")


def test_a_killed_session_leaves_no_robot_running(tmp_path: Path) -> None:
    said = tmp_path / "said"
    child = (
        "import pathlib, signal, sys, time\n"
        f"said = pathlib.Path({str(said)!r})\n"
        "signal.signal(signal.SIGINT, lambda *_: (said.write_text('interrupted'), sys.exit()))\n"
        "said.write_text('runs')\n"
        "time.sleep(60.0)"
    )
    session = (
        "import argparse, pathlib, sys\n"
        "from ptr_teleop import cli\n"
        f"cli.launch_command = lambda *_: [sys.executable, '-c', {child!r}]\n"
        f"cli.run(argparse.Namespace(out=pathlib.Path({str(tmp_path / 'data')!r}), task='t', episodes=1))"
    )
    process = subprocess.Popen([sys.executable, "-c", session], stdout=subprocess.DEVNULL)
    wait_for(said, "runs")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(said, "interrupted")


def wait_for(file: Path, text: str) -> None:
    """Wait until a file says this."""
    deadline = time.monotonic() + 30.0
    while not file.is_file() or file.read_text() != text:
        assert time.monotonic() < deadline, f"{file} never said {text!r}"
        time.sleep(0.02)


def test_the_size_that_policies_see_goes_into_the_contract_of_the_session(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    words = ["collect", "put_knife_in_pot", "--out", str(tmp_path)]
    assert cli.contract_file(parser.parse_args(words)) is None
    options = parser.parse_args([*words, "--image-size", "128"])
    file = cli.contract_file(options)
    assert Contract.from_json(file.read_text()).image_shape == (128, 128, 3)
    assert f"contract_file:={tmp_path / 'contract.json'}" in cli.launch_command(options, file)
