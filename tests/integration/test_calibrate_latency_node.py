# SPDX-License-Identifier: Apache-2.0
"""`ptr calibrate latency` on the running system: a delay that was put in is found, and nobody is disturbed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
yaml = pytest.importorskip("yaml")

from rclpy.action import ActionClient  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from rclpy.time import Time  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

from ptr_models.contract import Contract  # noqa: E402
from ptr_models.latency_file import with_measured_latencies  # noqa: E402
from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState  # noqa: E402

LATE = 0.08  # s


@pytest.fixture(scope="module")
def robot(ros) -> list[ArmState]:
    """A simulated robot, and a second camera that shows the same with stamps that are LATE s late."""
    ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=20.0)
    ros.start("ptr_bringup.arm.node")
    late = ros.node.create_publisher(CompressedImage, "/camera/late/image/compressed", qos_profile_sensor_data)

    def pass_on(message: CompressedImage) -> None:
        message.header.stamp = (Time.from_msg(message.header.stamp) + Duration(seconds=LATE)).to_msg()
        late.publish(message)

    ros.node.create_subscription(
        CompressedImage, "/camera/over_shoulder/image/compressed", pass_on, qos_profile_sensor_data
    )
    states = ros.collect(ArmState, "/arm/state", qos_profile_sensor_data)
    ros.wait(lambda: states, "the arm")
    return states


def calibrate(ros, *words: str):
    return ros.run([sys.executable, "-m", "ptr_models.cli", "calibrate", "latency", *words], name="calibrate")


def test_the_delay_of_a_camera_is_found_and_the_contract_carries_it(ros, robot: list[ArmState], tmp_path: Path) -> None:
    out = tmp_path / "new" / "latency.yaml"
    process = calibrate(ros, "--camera", "over_shoulder", "--camera", "late", "--duration", "10", "--out", str(out))
    ros.wait(lambda: not process.running, "the measurement", timeout=120.0)
    assert process.wait() == 0, process.output
    measured = yaml.safe_load(out.read_text())
    assert measured["cameras"]["over_shoulder"] == pytest.approx(0.0, abs=0.015)
    assert measured["cameras"]["late"] - measured["cameras"]["over_shoulder"] == pytest.approx(LATE, abs=0.01)
    assert 0.0 < measured["command"] < 0.2
    assert out.with_suffix(".png").stat().st_size > 10_000
    contract = with_measured_latencies(Contract(), str(out))
    assert contract.observation_delay == measured["cameras"]["over_shoulder"]
    assert contract.command_latency == measured["command"]
    ros.wait(lambda: robot[-1].mode == ArmState.IDLE and not robot[-1].source, "the arm, free again")


def test_an_end_on_the_way_to_the_start_ends_the_way(ros, robot: list[ArmState], tmp_path: Path) -> None:
    away = ActionClient(ros.node, MoveTo, "/arm/move_to")
    ros.wait(away.server_is_ready, "the arm's moves")
    handle = ros.result(away.send_goal_async(MoveTo.Goal(named_pose="sleep", gripper_position=1.0)), "a move")
    assert ros.result(handle.get_result_async(), "the arm asleep", 60.0).result.success
    del robot[:]
    process = calibrate(ros, "--out", str(tmp_path / "latency.yaml"))
    ros.wait(lambda: robot and robot[-1].mode == ArmState.MOVING, "the way to the start", timeout=60.0)
    process.signal(signal.SIGINT)
    ros.wait(lambda: not process.running, "the end", timeout=30.0)
    ros.wait(lambda: robot[-1].mode == ArmState.IDLE, "the arm, at rest")
    assert process.wait() == 130, process.output
    asleep, here = robot[0].measured_pose.position, robot[-1].measured_pose.position
    again = ros.result(
        away.send_goal_async(MoveTo.Goal(named_pose="start", gripper_position=1.0)), "the rest of the way"
    )
    assert ros.result(again.get_result_async(), "the arm at its start", 60.0).result.success
    start = robot[-1].measured_pose.position
    assert abs(start.x - here.x) > 0.1 * abs(start.x - asleep.x), "it did not go all the way"


def test_an_arm_that_somebody_commands_is_left_alone(ros, robot: list[ArmState], tmp_path: Path) -> None:
    commands = ros.node.create_publisher(ArmCommand, "/teleop/command", 10)

    def drive() -> None:
        command = ArmCommand(source="joy", deadman=True, gripper_position=1.0)
        command.header.stamp, command.header.frame_id = ros.node.get_clock().now().to_msg(), "base_link"
        command.valid_for.nanosec = 200_000_000
        commands.publish(command)

    timer = ros.node.create_timer(0.05, drive)
    ros.wait(lambda: robot[-1].source == "joy", "somebody in command")
    process = calibrate(ros, "--out", str(tmp_path / "latency.yaml"))
    ros.wait(lambda: not process.running, "a refusal", timeout=60.0)
    ros.node.destroy_timer(timer)
    assert process.wait() == 2
    assert "the arm is not free: a human controls it" in process.output
    assert not (tmp_path / "latency.yaml").exists()
    assert {state.source for state in robot} <= {"", "joy", "calibration"}
