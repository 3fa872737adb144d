# SPDX-License-Identifier: Apache-2.0
"""Two simulated cameras from recording over training to serving, with sizes that a test can afford."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ptr_msgs.msg")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from untrained import write_checkpoint  # noqa: E402

from ptr_models.contract import Contract  # noqa: E402
from ptr_models.episodes.inspection import inspect  # noqa: E402
from ptr_models.episodes.reader import find_episodes, read_episode  # noqa: E402
from ptr_models.inference.policy import Policy  # noqa: E402
from ptr_models.training.presets import preset  # noqa: E402
from ptr_models.training.run_setup import Bags, start_pretraining  # noqa: E402
from ptr_msgs.action import RunPolicy  # noqa: E402
from ptr_msgs.msg import PolicyStep  # noqa: E402
from ptr_msgs.srv import InjectFault, LoadCheckpoint  # noqa: E402

pytestmark = pytest.mark.xdist_group("policy_server")

TASK, CAMERAS = "put_carrot_on_plate", ["over_shoulder", "wrist"]
NAMES = f"[{', '.join(CAMERAS)}]"
TIMEOUT = 240.0  # s, for processes that load networks on a busy machine
TINY = ["networks.latent=16", "networks.hidden=[16, 16, 16]", "networks.precision=fp32", "batch_size=8", "threads=1"]
TINY += ["schedule.steps=3", "algorithm.bc_steps=0"]


@pytest.fixture(scope="module")
def robot(ros) -> Any:
    """The simulated arm with two cameras, and their monitor."""
    ros.start("ptr_bringup.sim.node", width=96, height=72, camera_rate=10.0, task=TASK, cameras=NAMES)
    ros.start("ptr_bringup.arm.node")
    return ros


@pytest.fixture(scope="module")
def episode(robot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration of the scripted operator, as the recorder wrote it."""
    folder = tmp_path_factory.mktemp("bags")
    recorder = robot.start("ptr_teleop.recorder.node", directory=folder, cameras=NAMES)
    teleop = robot.start("ptr_teleop.node", device="scripted", task=TASK)
    operator = robot.start("ptr_bringup.sim.operator_node", task=TASK, goal=1, seed=1, manner="machine")
    robot.wait(lambda: not operator.running, "the end of the operator's session", timeout=TIMEOUT)
    assert operator.wait() == 0, operator.output
    for process in (teleop, recorder):
        process.end()
    (path,) = find_episodes([folder])
    return path


@pytest.fixture(scope="module")
def checkpoint(episode: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that three updates on that demonstration have taught nothing."""
    folder = tmp_path_factory.mktemp("training")
    bags = Bags((episode.parent,), (), folder / "cache")
    return start_pretraining(preset("ptr_small").replaced(TINY), bags, folder / "run").run().checkpoint


@pytest.fixture(scope="module")
def server(robot, checkpoint: Path) -> Any:
    """The policy server with that checkpoint."""
    process = robot.start("ptr_policy.server.node", checkpoint=checkpoint, cameras=NAMES, max_holds=4)
    client = ActionClient(robot.node, RunPolicy, "/run_policy")
    robot.wait(client.server_is_ready, "the policy server", TIMEOUT)
    client.destroy()
    return process


def inject(robot, fault: str, target: str = "") -> None:
    answer = robot.call(
        InjectFault, "/simulator/inject", InjectFault.Request(fault=fault, target=target, value=float("nan"))
    )
    assert answer.success, answer.message


def test_a_recorded_demonstration_has_both_cameras_and_the_audit_judges_each(episode: Path) -> None:
    recorded = read_episode(episode)
    assert recorded.metadata.contract == Contract().with_cameras(CAMERAS)
    over_shoulder, wrist = (recorded.images[name] for name in CAMERAS)
    assert over_shoulder.shape == wrist.shape and (over_shoulder != wrist).any(axis=(1, 2, 3)).all()
    assert (wrist[0] != wrist[-1]).any()
    topics = {report.topic: report for report in inspect(episode).streams}
    assert all(topics[f"/camera/{name}/image/compressed"].count >= len(wrist) for name in CAMERAS)


def test_the_policy_that_sees_both_is_served(robot, server: Any, checkpoint: Path) -> None:
    assert Policy.load(checkpoint).contract.image_shape == (64, 64, 6)
    steps = robot.collect(PolicyStep, "/policy/step", 100)
    result = robot.act(RunPolicy, "/run_policy", RunPolicy.Goal(task=TASK, max_steps=4), timeout=TIMEOUT)
    assert (result.completed, result.steps) == (True, 4), result.message
    robot.wait(lambda: len(steps) == 4, "its steps")
    assert any(not step.held for step in steps)


def test_a_wrist_camera_that_is_gone_holds_the_arm_and_is_named(robot, server: Any) -> None:
    inject(robot, "image_gone", "wrist")
    result = robot.act(RunPolicy, "/run_policy", RunPolicy.Goal(task=TASK, max_steps=40), timeout=TIMEOUT)
    assert not result.completed
    assert "camera wrist" in result.message
    inject(robot, "clear")


def test_a_checkpoint_of_one_camera_is_served_by_the_same_robot(robot, server: Any, tmp_path: Path) -> None:
    one = write_checkpoint(tmp_path / "one")
    request = LoadCheckpoint.Request(checkpoint=str(one))
    answer = robot.call(LoadCheckpoint, "/policy_server/load", request, timeout=TIMEOUT)
    assert answer.success and answer.contract_hash == Contract().hash, answer.message


def test_everything_that_the_layout_for_two_cameras_shows_is_published(robot, server: Any, tmp_path: Path) -> None:
    recorder = robot.start("ptr_teleop.recorder.node", directory=tmp_path, cameras=NAMES)
    description = robot.start("ptr_bringup.description.node")
    layout = Path(__file__).resolve().parents[2] / "ptr_bringup" / "config" / "foxglove_layout_two_cameras.json"
    shown = set(re.findall(r'"(/[a-z_/]+)["./]', layout.read_text()))
    assert {f"/camera/{name}/image/compressed" for name in CAMERAS} | {"/policy/step", "/episode/status"} <= shown
    robot.wait(lambda: all(map(robot.node.count_publishers, shown)), f"publishers of {', '.join(sorted(shown))}")
    for process in (recorder, description):
        process.end()


def test_the_monitor_reports_on_each_camera(robot) -> None:
    reports: dict[str, bytes] = {}

    def keep(message: DiagnosticArray) -> None:
        reports.update({s.name: s.level for s in message.status if s.name.startswith("camera ")})

    robot.node.create_subscription(DiagnosticArray, "/diagnostics", keep, 10)
    robot.start("ptr_bringup.camera.monitor_node", rate=10.0, noisy=False, cameras=NAMES)
    robot.wait(lambda: set(reports) == {f"camera {name}" for name in CAMERAS}, "a report on each")
