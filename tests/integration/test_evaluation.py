# SPDX-License-Identifier: Apache-2.0
"""The evaluator with two checkpoints in the running system: interleaved, blind, taken over, resumed and reported."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("ptr_msgs.msg")

from sensor_msgs.msg import CompressedImage  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from untrained import TASK, write_checkpoint  # noqa: E402

from ptr_bringup.ros.qos import LATCHED  # noqa: E402
from ptr_models.episodes.reader import decode, messages, open_bag, read_episode, read_metadata  # noqa: E402
from ptr_models.episodes.streams import read_streams  # noqa: E402
from ptr_models.replay import open_episodes  # noqa: E402
from ptr_models.replay.sampler import Sampler  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, EvaluationTrial, PolicyStep  # noqa: E402
from ptr_msgs.srv import LabelTrial  # noqa: E402

pytestmark = pytest.mark.xdist_group("policy_server")

KITCHEN = "toykitchen3"
TIMEOUT = 240.0  # s, for processes that load networks on a busy machine
SECRETS = ("zebra", "heron")


@pytest.fixture(scope="module")
def robot(ros, tmp_path_factory):
    """The simulated robot, a recorder, a policy server without a checkpoint, and two checkpoints for it."""
    folder = tmp_path_factory.mktemp("evaluation")
    ros.checkpoints = [write_checkpoint(folder / "checkpoints" / name) for name in SECRETS]
    ros.results = folder / "results"
    ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=15.0, task=TASK)
    ros.start("ptr_bringup.arm.node")
    ros.start("ptr_teleop.recorder.node", directory=ros.results / "bags")
    ros.server = ros.start("ptr_policy.server.node", wait_for_checkpoint=True)
    ros.trials = ros.collect(EvaluationTrial, "/evaluation/trial", LATCHED)
    ros.references = ros.collect(CompressedImage, "/evaluation/reference/compressed", LATCHED)
    ros.states = ros.collect(ArmState, "/arm/state", 10)
    ros.steps = ros.collect(PolicyStep, "/policy/step", 10)
    ros.drive = ros.node.create_publisher(ArmCommand, "/teleop/command", 10)
    return ros


def start(robot, **parameters):
    """The evaluator, blind, two scenes, a person who judges on the page."""
    checkpoints = ",".join(f"{path.name}={path}" for path in robot.checkpoints)
    robot.trials.clear()
    usual = {
        "task": TASK, "kitchen": KITCHEN, "checkpoint": checkpoints, "trials": 2, "judge": "person", "max_steps": 6,
        "directory": robot.results,
    }  # fmt: skip
    robot.evaluator = robot.start("ptr_policy.evaluation.node", **(usual | parameters))
    return robot.evaluator


def phase(robot) -> str:
    return robot.trials[-1].phase if robot.trials else ""


def reach(robot, wanted: str, index: int) -> EvaluationTrial:
    """Wait until a trial is in a phase."""

    def there() -> bool:
        assert robot.evaluator.running, robot.evaluator.output
        return phase(robot) == wanted and robot.trials[-1].index == index

    robot.wait(there, f"phase {wanted} of trial {index}", TIMEOUT)
    return robot.trials[-1]


def lay_out(robot, index: int) -> EvaluationTrial:
    state = reach(robot, "ready", index)
    assert robot.call(Trigger, "/evaluation/ready").success
    return state


def label(robot, index: int, outcome: str, **fields) -> None:
    reach(robot, "label", index)
    answer = robot.call(
        LabelTrial, "/evaluation/label", LabelTrial.Request(outcome=outcome, annotator="Anna", **fields)
    )
    assert answer.success, answer.message


def finish(robot, index: int) -> None:
    """Let the last judgment stand."""
    reach(robot, "review", index)
    assert robot.call(Trigger, "/evaluation/ready").message == "the evaluation ends"


def take_over(robot, index: int) -> None:
    """Drive from the first step of a trial on, until the run is over."""
    reach(robot, "running", index)
    while phase(robot) == "running":
        command = ArmCommand(source="spacemouse", gripper_position=1.0, deadman=True)
        command.header.stamp, command.header.frame_id = robot.node.get_clock().now().to_msg(), "base_link"
        command.twist.linear.z = 0.02
        command.valid_for.nanosec = 200_000_000
        robot.drive.publish(command)
        robot.spin(0.1)
        if robot.states and robot.trials[-1].takeover_steps >= 2:
            break
    command.deadman = False
    robot.drive.publish(command)


def test_two_checkpoints_are_tried_blind_and_after_a_crash_the_rest_is_made(robot) -> None:
    first = start(robot)
    shown = [lay_out(robot, 0)]
    assert not robot.references[-1].data  # nobody has been in this scene yet
    refused = robot.call(LabelTrial, "/evaluation/label", LabelTrial.Request(outcome="success"))
    assert (refused.success, "no trial is waiting for a label" in refused.message) == (False, True)
    label(robot, 0, "failure", score=float("nan"))
    assert reach(robot, "ready", 1).undo == "trial 1: failure"
    assert robot.call(Trigger, "/evaluation/undo").message == "undone: trial 1: failure"
    assert "The previous judgment, failure," in reach(robot, "label", 0).message
    label(robot, 0, "partial", score=0.5, reason="it slipped")
    shown.append(lay_out(robot, 1))
    robot.wait(lambda: robot.references[-1].data, "the picture of the first trial in this scene")
    take_over(robot, 1)
    reach(robot, "label", 1)
    partial = robot.call(LabelTrial, "/evaluation/label", LabelTrial.Request(outcome="partial", score=0.5))
    assert (partial.success, "needs a reason" in partial.message) == (False, True)
    label(robot, 1, "success", score=float("nan"))
    shown.append(lay_out(robot, 2))
    reach(robot, "running", 2)
    first.signal(signal.SIGKILL)
    first.wait()
    assert {state.policy_label for state in shown[:2]} == {"A", "B"}
    assert shown[2].scene == 1
    assert not [secret for secret in SECRETS if secret in first.output + robot.server.output]


def test_a_killed_evaluator_leaves_a_recording_that_the_next_one_can_end(robot) -> None:
    second = start(robot)
    for index in (2, 3):
        lay_out(robot, index)
        label(robot, index, "failure", score=float("nan"))
    assert reach(robot, "review", 3).undo == "trial 4: failure"
    assert robot.call(Trigger, "/evaluation/undo").success
    label(robot, 3, "failure", reason="it is one", score=float("nan"))
    finish(robot, 3)
    assert second.wait(TIMEOUT) == 0, second.output
    results = [json.loads(line) for line in (robot.results / "trials.jsonl").read_text().splitlines()]
    assert [(result["trial"]["index"], result["outcome"]) for result in results[:2]] == [(0, "failure"), (0, "partial")]
    assert results[0]["bag"] == results[1]["bag"]
    labels = read_metadata(robot.results / results[1]["bag"]).labels
    assert [(it.outcome, it.score, it.note) for it in labels[-2:]] == [
        ("failure", None, "the person at the robot judged it a failure"),
        ("partial", 0.5, "it slipped"),
    ]
    assert [result["reason"] for result in results[-2:]] == ["the person at the robot judged it a failure", "it is one"]
    results = [*results[1:4], results[5]]  # one line for each trial
    assert [result["trial"]["index"] for result in results] == [0, 1, 2, 3]
    assert {result["trial"]["policy"] for result in results[2:]} == {"A", "B"}
    assert [result["judge"] for result in results] == ["Anna"] * 4
    assert len(results[1]["human_steps"]) >= 2
    assert not [result for result in (results[0], *results[2:]) if result["human_steps"]]
    assert all((robot.results / picture).stat().st_size for result in results for picture in result["pictures"])


def test_the_report_names_who_was_who_and_counts_help_apart(robot) -> None:
    report = json.loads((robot.results / "report.json").read_text())
    assert {policy["name"] for policy in report["policies"]} == set(SECRETS)
    assert {policy["checkpoint"] for policy in report["policies"]} == {str(path) for path in robot.checkpoints}
    assert [policy["successes"] for policy in report["policies"]] == [0, 0]
    assert sum(policy["assisted_successes"] for policy in report["policies"]) == 1
    assert report["comparisons"][0]["scenes"]["neither"] == 2
    assert not [secret for secret in SECRETS if secret in robot.server.output]


def test_the_bag_of_a_trial_that_was_taken_over_says_whose_steps_are_whose_and_trains(robot, tmp_path: Path) -> None:
    result = json.loads((robot.results / "trials.jsonl").read_text().splitlines()[2])
    bag = robot.results / result["bag"]
    episode = read_episode(bag)
    assert (episode.metadata.kind, episode.metadata.outcome) == ("trial", "success")
    assert "a person drove during" in episode.metadata.labels[-1].note
    executed = read_streams(bag, episode.metadata.contract).executed
    sources = [executed.as_of(int(stamp))[1].source for stamp in episode.stamps[1:]]
    assert sources.count("spacemouse") >= 2
    with open_bag(bag) as reader:
        events = [decode(raw, kind) for _, kind, _, _, raw in messages(reader, ["/episode/event"])]
    taken = [event for event in events if event.type == "takeover"]
    assert [event.message.split(" after ")[0] for event in taken] == ["spacemouse took the arm over"]
    assert taken[0].episode_id == episode.metadata.episode_id
    dataset = open_episodes([bag], episode.metadata.contract, root=tmp_path)
    batch = Sampler(dataset, {TASK: 0}).sample(4)
    assert len(batch) == 4


def test_a_person_at_a_terminal_begins_a_trial_ends_it_by_judging_and_undoes_the_last_judgment(robot, tmp_path) -> None:
    typist, typed = pty.openpty()
    parameters = {
        "task": TASK, "kitchen": KITCHEN, "checkpoint": robot.checkpoints[0], "trials": 1, "judge": "person",
        "max_steps": 1000, "directory": tmp_path,
    }  # fmt: skip
    options = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    node = [sys.executable, "-m", "ptr_policy.evaluation.node", "--ros-args", *options]
    robot.trials.clear()
    robot.evaluator = robot.run(["sh", "-c", 'exec "$@" < "$0"', os.ttyname(typed), *node], name="terminal")

    def type_until(condition: Callable[[], bool], line: bytes) -> None:
        """What is typed before a question is asked does not count, so again and again."""
        for _ in range(int(TIMEOUT / 0.3)):
            if condition():
                return
            os.write(typist, line)
            robot.spin(0.3)
        pytest.fail(robot.evaluator.output)

    reach(robot, "ready", 0)
    type_until(lambda: phase(robot) == "running", b"\n")
    robot.steps.clear()
    robot.wait(lambda: robot.steps, "a step of the policy", TIMEOUT)
    os.write(typist, b"s\n")
    reach(robot, "review", 0)
    type_until(lambda: phase(robot) == "label", b"u\n")
    os.write(typist, b"f\n")
    reach(robot, "review", 0)
    type_until(lambda: not robot.evaluator.running, b"\n")
    assert robot.evaluator.wait(TIMEOUT) == 0, robot.evaluator.output
    assert "Judging ends the trial: (s)uccess" in robot.evaluator.output
    first, trial = (json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines())
    assert first["outcome"] == "success"
    assert (trial["outcome"], trial["judge"]) == ("failure", "person")
    assert 0 < trial["steps"] < 1000
    os.close(typist)
    os.close(typed)


def test_a_person_ends_a_trial_and_clears_the_arm_and_a_server_that_hangs_ends_the_evaluation(robot, tmp_path) -> None:
    evaluator = start(robot, checkpoint=robot.checkpoints[0], trials=3, max_steps=1000, directory=tmp_path)
    lay_out(robot, 0)
    assert reach(robot, "running", 0).may_label
    wish = LabelTrial.Request(outcome="failure", reason="it left the table", annotator="Anna")
    assert robot.call(LabelTrial, "/evaluation/label", wish).success

    lay_out(robot, 1)
    reach(robot, "running", 1)
    assert robot.call(Trigger, "/arm/stop").success
    assert "The arm was stopped" in reach(robot, "label", 1).message
    label(robot, 1, "failure", score=float("nan"))
    reach(robot, "staging", 2)
    robot.wait(lambda: "clear it to continue" in robot.trials[-1].message, "the wish to clear the arm", TIMEOUT)
    robot.call(Trigger, "/arm/clear")
    assert "keep away" in reach(robot, "ready", 2).message  # whoever cleared the arm may have a hand at it
    robot.wait(lambda: robot.states[-1].mode == ArmState.IDLE, "the arm that is free again", TIMEOUT)
    assert robot.call(Trigger, "/evaluation/ready").success

    robot.wait(lambda: "set up the scene" in robot.trials[-1].message, "the next scene", TIMEOUT)
    assert robot.call(Trigger, "/evaluation/ready").success
    reach(robot, "running", 2)
    robot.steps.clear()
    robot.wait(lambda: robot.steps, "a step of the policy", TIMEOUT)
    robot.server.signal(signal.SIGSTOP)
    try:
        assert evaluator.wait(TIMEOUT) == 1
    finally:
        robot.server.signal(signal.SIGCONT)
    assert "the policy server has made no step for 20 s" in evaluator.output
    first, second = (json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines())
    assert (first["outcome"], first["reason"], first["judge"]) == ("failure", "it left the table", "Anna")
    assert first["steps"] < 1000 and second["outcome"] == "failure"
