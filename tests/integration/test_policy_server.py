# SPDX-License-Identifier: Apache-2.0
"""The policy server and the evaluator against the simulated robot, with a policy that has learned nothing."""

from __future__ import annotations

import json
import math
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from rclpy.action import ActionClient  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from untrained import TASK, write_checkpoint  # noqa: E402

from ptr_models.contract import Camera, Contract  # noqa: E402
from ptr_models.episodes.reader import decode, messages, open_bag, read_episode, read_streams  # noqa: E402
from ptr_models.episodes.sampling import RecordedStream, choose, observation_of  # noqa: E402
from ptr_models.inference.policy import Policy  # noqa: E402
from ptr_msgs.action import RunPolicy  # noqa: E402
from ptr_msgs.msg import ArmCommand, EvaluationSummary, PolicyStep  # noqa: E402
from ptr_msgs.srv import InjectFault  # noqa: E402

pytestmark = pytest.mark.xdist_group("policy_server")

KITCHEN = "toykitchen3"
TIMEOUT = 240.0  # s, for processes that load networks on a busy machine
LONGEST_SILENCE = Camera().max_age  # s of a camera; less while its period is known: docs/reference/faults.md


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "untrained")


@pytest.fixture(scope="module")
def robot(ros, checkpoint: Path):
    """The simulated robot and the policy server; `robot.simulator` and `robot.server` are their processes."""
    ros.simulator = ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=15.0, task=TASK)
    ros.start("ptr_bringup.arm.node")
    ros.server = ros.start("ptr_policy.server.node", checkpoint=checkpoint, max_holds=4)
    ros.steps = ros.collect(PolicyStep, "/policy/step", 100)
    ros.commands = ros.collect(ArmCommand, "/policy/command", 100)
    client = ActionClient(ros.node, RunPolicy, "/run_policy")
    ros.wait(client.server_is_ready, "the policy server", TIMEOUT)
    ros.wait(lambda: ros.node.count_publishers("/policy/command") > 0, "its commands")
    client.destroy()
    return ros


def test_a_run_sends_each_action_as_a_twist_of_one_period(robot) -> None:
    robot.steps.clear()
    robot.commands.clear()
    result = robot.act(RunPolicy, "/run_policy", RunPolicy.Goal(task=TASK, max_steps=8))
    assert result.completed, result.message
    assert (result.steps, result.message) == (8, "8 steps are done")
    robot.wait(lambda: len(robot.steps) == 8 and not robot.commands[-1].deadman, "all messages of the run")
    acted = [step for step in robot.steps if not step.held]
    sent = [command for command in robot.commands if command.deadman]
    assert [command.header.stamp for command in sent] == [step.header.stamp for step in acted]
    assert len(sent) == len(acted) == 8 - result.held_steps
    assert [step.step for step in robot.steps] == list(range(8))
    for step, command in zip(acted, sent, strict=True):
        twist = [command.twist.linear.x, command.twist.linear.y, command.twist.linear.z]
        assert np.allclose(np.array(twist) * 0.2, step.action[:3], atol=1e-9)
        assert command.gripper_position == pytest.approx(step.action[6])
        assert (command.valid_for.nanosec, command.header.frame_id) == (200_000_000, "base_link")
        assert step.image_age <= 0.3
        assert np.isfinite([step.q, step.q_spread, step.q_mode]).all()


def test_an_unknown_task_is_refused_with_the_known_ones(robot) -> None:
    result = robot.act(RunPolicy, "/run_policy", RunPolicy.Goal(task="fold_towel"))
    assert not result.completed
    assert "'fold_towel'" in result.message
    assert f"put_corn_in_pot, {TASK}" in result.message or f"{TASK}, put_corn_in_pot" in result.message


def test_an_unknown_choice_is_refused(robot) -> None:
    result = robot.act(RunPolicy, "/run_policy", RunPolicy.Goal(task=TASK, action_choice="best"))
    assert not result.completed
    assert "known: mode, sample, sample_gripper, argmax_q, softmax_q" in result.message


def test_a_cancelled_run_ends_as_complete_and_releases_the_arm(robot) -> None:
    robot.steps.clear()
    client = ActionClient(robot.node, RunPolicy, "/run_policy")
    robot.wait(client.server_is_ready, "the policy server")
    goal = RunPolicy.Goal(task=TASK, max_steps=1000, action_choice="argmax_q")
    handle = robot.result(client.send_goal_async(goal), "acceptance")
    robot.wait(lambda: robot.steps, "the first step")
    second = robot.act(RunPolicy, "/run_policy", RunPolicy.Goal(task=TASK))
    assert "is in progress; cancel it first" in second.message
    robot.result(handle.cancel_goal_async(), "the cancellation")
    result = robot.result(handle.get_result_async(), "the end of the run").result
    assert (result.completed, result.message) == (True, "cancelled by the caller")
    robot.wait(lambda: not robot.commands[-1].deadman, "the release of the arm")
    client.destroy()


def test_a_stop_of_the_arm_ends_the_run_and_none_begins_until_it_is_cleared(robot) -> None:
    robot.steps.clear()
    client = ActionClient(robot.node, RunPolicy, "/run_policy")
    robot.wait(client.server_is_ready, "the policy server")
    goal = RunPolicy.Goal(task=TASK, max_steps=1000)
    handle = robot.result(client.send_goal_async(goal), "acceptance", TIMEOUT)
    robot.wait(lambda: robot.steps, "the first step", TIMEOUT)
    assert robot.call(Trigger, "/arm/stop").success
    result = robot.result(handle.get_result_async(), "the end of the run", TIMEOUT).result
    assert (result.completed, result.message) == (False, "the arm was stopped")
    refused = robot.act(RunPolicy, "/run_policy", goal)
    assert "the arm is stopped; clear it first" in refused.message
    assert robot.call(Trigger, "/arm/clear").success
    client.destroy()


def inject(robot, fault: str) -> None:
    answer = robot.call(InjectFault, "/simulator/inject", InjectFault.Request(fault=fault, value=math.nan))
    assert answer.success, answer.message


def test_stale_images_hold_and_end_the_run(robot) -> None:
    robot.steps.clear()
    robot.commands.clear()
    client = ActionClient(robot.node, RunPolicy, "/run_policy")
    robot.wait(client.server_is_ready, "the policy server")
    handle = robot.result(client.send_goal_async(RunPolicy.Goal(task=TASK, max_steps=1000)), "acceptance", TIMEOUT)
    ended = handle.get_result_async()
    robot.wait(lambda: ended.done() or any(not step.held for step in robot.steps), "an action", TIMEOUT)
    assert not ended.done(), ended.result().result.message
    inject(robot, "image_gone")
    try:
        result = robot.result(ended, "the end of the run", TIMEOUT).result
    finally:
        inject(robot, "clear")
    assert not result.completed
    assert result.message.startswith("held 4 steps in a row: stream camera over_shoulder")
    robot.wait(lambda: len(robot.steps) == result.steps, "all steps", TIMEOUT)
    held = [step for step in robot.steps if step.held]
    assert len(held) == result.held_steps
    late = [step for step in held if "camera over_shoulder" in step.reason]  # on a busy machine others are held, too
    assert held[-1] in late, [step.reason for step in held]
    limits = [float(re.search(r"at most ([\d.]+) s", step.reason)[1]) for step in late]
    assert all(limit < step.image_age for limit, step in zip(limits, late, strict=True))
    assert max(limits) <= LONGEST_SILENCE
    assert sum(command.deadman for command in robot.commands) == result.steps - result.held_steps
    client.destroy()


def test_trials_are_recorded_with_what_the_policy_saw(robot, checkpoint: Path, tmp_path: Path) -> None:
    recorder = robot.start("ptr_teleop.recorder.node", directory=tmp_path / "bags")
    summaries = robot.collect(EvaluationSummary, "/evaluation/summary")
    options = {"task": TASK, "kitchen": KITCHEN, "directory": tmp_path, "max_steps": 6, "policy": "untrained"}
    evaluator = robot.start("ptr_policy.evaluation.node", trials=1, **options)
    robot.wait(lambda: not evaluator.running, "the evaluation", TIMEOUT)
    assert evaluator.wait() == 0, evaluator.output
    again = robot.start("ptr_policy.evaluation.node", trials=2, **options)
    robot.wait(lambda: not again.running, "the rest of the evaluation", TIMEOUT)
    assert again.wait() == 0, again.output
    recorder.end()
    lines = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    made = {line["trial"]["index"]: line for line in lines}  # the last of each: on a busy machine one may be invalid
    assert list(made) == [0, 1]
    trials = list(made.values())
    assert "trial 1/2" not in again.output  # it was finished before
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["judged"], summary["planned"]) == (2, 2)
    robot.wait(lambda: summaries[-1].outcomes == [trial["outcome"] for trial in trials], "both trials' outcomes")
    told = summaries[-1]
    assert (told.task, told.policy, told.judged, told.planned) == (TASK, "untrained", 2, 2)
    assert [told.interval_low, told.interval_high] == summary["wilson_95"]
    for trial in trials:
        compare_with_the_bag(Policy.load(checkpoint), tmp_path / trial["bag"], trial)


def compare_with_the_bag(policy: Policy, bag: Path, trial: dict) -> None:
    """The actions that were published, computed again from the bag with the reader's sampling, bit for bit.

    Samples that were still under way when the policy decided are in the bag too; they are left out here.
    """
    contract = Contract()
    episode = read_episode(bag, contract)
    assert (episode.metadata.kind, episode.metadata.outcome) == ("trial", trial["outcome"])
    assert episode.metadata.seed == trial["trial"]["seed"]
    with open_bag(bag) as reader:
        steps = [decode(raw, kind) for _, kind, _, _, raw in messages(reader, ["/policy/step"])]
    streams = read_streams(bag, contract)
    acted = [step for step in steps if not step.held]
    assert len(acted) >= 1
    for step in acted:
        now, shown = (at.sec * 10**9 + at.nanosec for at in (step.header.stamp, step.image_stamp))
        images = until(streams.images["over_shoulder"], shown)
        arm = until(streams.arm, now - round(step.state_age * 1e9) + 10_000)
        seen = observation_of(contract, choose(contract, {"over_shoulder": images}, arm, now))
        decision = policy.act(seen.images[0], seen.state, TASK)
        assert np.array_equal(decision.action, step.action)


def until(stream: RecordedStream, stamp: int) -> RecordedStream:
    """The samples of a stream up to a stamp (ns)."""
    pairs = zip(stream.stamps, stream.samples, strict=True)
    return RecordedStream([(own, sample) for own, sample in pairs if own <= stamp])


def test_what_can_not_be_served_is_refused_in_one_sentence(ros, checkpoint: Path, tmp_path: Path) -> None:
    damaged = write_checkpoint(tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    other = write_checkpoint(tmp_path / "wrist", Contract(cameras=(Camera(name="wrist"),)))
    refused = {
        "model.safetensors is damaged": {"checkpoint": damaged},
        "follows another contract": {"checkpoint": other},
        "there is no checkpoint at": {"checkpoint": tmp_path / "nothing"},
        "parameter `checkpoint` is empty": {},
        "max_steps out of range": {"checkpoint": checkpoint, "max_steps": -4},
    }
    processes = {
        part: ros.start("ptr_policy.server.node", "-r", "__node:=refused", **parameters)
        for part, parameters in refused.items()
    }
    for part, process in processes.items():
        assert process.wait(TIMEOUT) == 1, process.output
        assert part in process.output
        assert process.output.count("FATAL") == 1
        assert "Traceback" not in process.output


def test_the_server_ends_cleanly(ros, checkpoint: Path) -> None:
    signals = [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]]
    servers = [
        ros.start("ptr_policy.server.node", "-r", f"__node:=ending_{index}", checkpoint=checkpoint)
        for index in range(len(signals))
    ]
    ros.wait(lambda: all("is loaded" in server.output for server in servers), "the servers", TIMEOUT)
    for server, numbers in zip(servers, signals, strict=True):
        for number in numbers:
            server.signal(number)
    for server in servers:
        assert server.wait() == 0, server.output
        assert "Traceback" not in server.output


NODE = """
import signal, sys
from rclpy.node import Node
from ptr_bringup.ros.node import RunnableNode, keep_answering, run

class Ending(RunnableNode, Node):
    def start(self):
        {begin}

    def close(self):
        print("ended, ROS is up:", self.context.ok())
        keep_answering(self)

    def work(self):
        {work}

sys.exit(run(lambda: Ending("ending"), "ending"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_a_checkpoint_is_loaded_ends_the_process_well(ros, number: int) -> None:
    begin = f"exec('signal.raise_signal({int(number)})'); print('went on')"  # PyTorch's modules are full of `exec`
    process = ros.run([sys.executable, "-c", NODE.format(begin=begin, work="pass")], name="loading")
    assert process.wait(TIMEOUT) == 0, process.output
    assert process.output.startswith("ended, ROS is up: True\n")
    assert "went on" not in process.output


def test_a_node_that_fails_ends_what_it_does_before_it_falls(ros) -> None:
    script = NODE.format(begin="self.create_timer(0.01, self.work)", work="raise RuntimeError('a mistake')")
    process = ros.run([sys.executable, "-c", script], name="failing")
    assert process.wait(TIMEOUT) == 1
    assert "ended, ROS is up: True" in process.output and "a mistake" in process.output
