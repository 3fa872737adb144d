# SPDX-License-Identifier: Apache-2.0
"""The package of docs/how-to/extend.md, written to a folder as the page has it, with the nodes that it extends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

from ptr_bringup.sim.kitchens import pretraining_kitchens  # noqa: E402
from ptr_bringup.sim.operator import MANNERS  # noqa: E402
from ptr_bringup.sim.robot import SimulatedRobot  # noqa: E402
from ptr_bringup.sim.tasks import TASKS, Task, task_named  # noqa: E402
from ptr_bringup.sim.world import World  # noqa: E402
from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState  # noqa: E402
from ptr_policy.bulk.collect import demonstrate  # noqa: E402

pytestmark = pytest.mark.xdist_group("extend")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "extend.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The folder that the page's `pip install` without a network makes of its files."""
    folder, site = tmp_path_factory.mktemp("lab_ptr"), tmp_path_factory.mktemp("site")
    blocks = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    files = dict(blocks)
    assert set(files) == {"pyproject.toml", *(f"lab_ptr/{name}.py" for name in ("pedal", "colors", "echo", "cloning"))}
    (folder / "lab_ptr").mkdir()
    (folder / "lab_ptr" / "__init__.py").touch()
    for name, text in files.items():
        (folder / name).write_text(text)
    options = ["--no-deps", "--no-build-isolation"]
    assert f"pip install {' '.join(options)} -e lab_ptr" in PAGE.read_text(encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-index", "--quiet"]
    subprocess.run([*pip, *options, "--target", str(site), str(folder)], check=True)
    return site


@pytest.fixture
def nodes(ros, package: Path):
    ros.environment["PYTHONPATH"] = f"{package}:{ros.environment['PYTHONPATH']}"
    return ros


def test_the_pages_device_drives(nodes) -> None:
    commands = nodes.collect(ArmCommand, "/teleop/command", 100)
    node = nodes.start("ptr_teleop.node", device="pedal", max_linear_velocity=0.1)
    others = [nodes.start("ptr_bringup.sim.node", width=64, height=64), nodes.start("ptr_bringup.arm.node")]
    nodes.wait(lambda: any(c.deadman and c.twist.linear.z for c in commands), "the pedal's commands", 60.0)
    command = next(c for c in commands if c.deadman and c.twist.linear.z)
    assert (command.source, command.twist.linear.z) == ("pedal", pytest.approx(-0.05))
    assert "the pedal is ready" in node.output
    for process in (node, *others):  # the next test has an arm of its own in this domain
        process.signal()
        assert process.wait() == 0


def test_the_pages_camera_gives_images(nodes) -> None:
    images = nodes.collect(CompressedImage, "/camera/over_shoulder/image/compressed", qos_profile_sensor_data)
    nodes.start("ptr_bringup.camera.node", source="colors:128", width=64, height=48)
    nodes.wait(lambda: len(images) > 3, "images of the page's camera", 60.0)
    seen = cv2.imdecode(np.frombuffer(bytes(images[0].data), np.uint8), cv2.IMREAD_COLOR)
    assert seen.shape == (48, 64, 3) and abs(seen.mean() - 128.0) < 5.0


def test_the_pages_driver_moves_its_arm(nodes) -> None:
    states = nodes.collect(ArmState, "/arm/state")
    nodes.start("ptr_bringup.arm.node", robot="wx250s", driver="echo")
    nodes.wait(lambda: states, "a state of the page's arm", 60.0)
    assert nodes.act(MoveTo, "/arm/move_to", MoveTo.Goal(named_pose="home", gripper_position=1.0)).success
    assert states[-1].joint_positions == pytest.approx([0.0] * 6, abs=0.01)


def test_the_pages_task_is_done_by_the_scripted_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    line = re.search(r"^OTHER_TASKS: .* = \((Task\(.*?\)),\)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    task = eval(line[1], {"Task": Task})
    monkeypatch.setitem(TASKS, task.name, task)
    assert f"ptr sim collect --task {task.name} " in PAGE.read_text(encoding="utf-8")
    with World(pretraining_kitchens()[0], task_named("put_lime_in_pot")) as world:
        assert demonstrate(SimulatedRobot(world), 0, MANNERS["machine"], cameras=()) is not None


def test_the_pages_algorithm_learns(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package)
    sys.path_importer_cache.clear()
    import torch

    from ptr_models.algorithms import Transitions, make_algorithm
    from ptr_models.training.presets import preset
    from ptr_models.training.progress_metrics import progress_metrics

    config = preset("bc_low_dim").replaced(["algorithm.name=lab_cloning", "algorithm.options.weight=0.5"])
    algorithm = make_algorithm(config.algorithm, config.networks, tasks=2)
    size = len(config.networks.state_center)
    state, zeros = torch.randn(32, size), torch.zeros(32)
    batch = Transitions(
        zeros, zeros, state, state, 0.5 * state[:, :7].tanh(), zeros, zeros, zeros, torch.eye(2)[torch.arange(32) % 2]
    )
    losses = [algorithm.update(batch, step)["actor_loss"].item() for step in range(60)]
    assert losses[-1] < 0.8 * losses[0]
    assert [item.label for item in progress_metrics("lab_cloning", {"actor_loss": 1.0})] == ["L1"]
