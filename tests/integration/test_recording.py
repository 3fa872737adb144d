# SPDX-License-Identifier: Apache-2.0
"""Simulator, arm, teleoperation, scripted operator and recorder as processes: bags hold what happened."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_models.contract import Contract  # noqa: E402
from ptr_models.episodes.errors import EpisodeError  # noqa: E402
from ptr_models.episodes.inspection import inspect  # noqa: E402
from ptr_models.episodes.reader import decode, find_episodes, messages, open_bag, read_episode, read_metadata  # noqa: E402
from ptr_msgs.msg import EpisodeStatus  # noqa: E402
from ptr_msgs.srv import LabelEpisode, StartEpisode, StopEpisode  # noqa: E402

pytestmark = pytest.mark.xdist_group("recording")

TASK, KITCHEN = "put_carrot_on_plate", "toykitchen4"
EXECUTED = "/arm/executed"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
UNLABELLED = float("nan")


@pytest.fixture(scope="module")
def robot(ros):
    """The simulated arm and its camera."""
    ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=15.0, level="easy")
    ros.start("ptr_bringup.arm.node")
    return ros


@pytest.fixture
def recorder(robot, tmp_path: Path):
    """A recorder of the test's own; the statuses that it publishes are in `statuses`."""
    statuses = robot.collect(EpisodeStatus, "/episode/status", LATCHED)
    process = robot.start("ptr_teleop.recorder.node", directory=tmp_path / "episodes", goal=2)
    process.statuses, process.folder = statuses, tmp_path / "episodes"
    robot.wait(lambda: statuses and statuses[-1].state == EpisodeStatus.IDLE, "the recorder's status")
    yield process
    process.end()
    robot.wait(lambda: robot.node.count_publishers("/episode/status") == 0, "the recorder to be gone")


def start(ros, task: str = TASK) -> StartEpisode.Response:
    """Start an episode, once the recorder has heard every stream."""
    answers: list[StartEpisode.Response] = []

    def started() -> bool:
        request = StartEpisode.Request(task=task, kind="practice")
        answers.append(ros.call(StartEpisode, "/recorder/start", request))
        return answers[-1].success or "no messages on" not in answers[-1].message

    ros.wait(started, "streams at the recorder")
    return answers[-1]


def test_a_scripted_demonstration_is_recorded_as_it_was_commanded(robot, recorder) -> None:
    teleop = robot.start("ptr_teleop.node", device="scripted", task=TASK)
    wishes = {"task": TASK, "kitchen": KITCHEN, "goal": 2, "seed": 1, "manner": "machine"}
    operator = robot.start("ptr_bringup.sim.operator_node", **wishes)
    try:
        robot.wait(lambda: not operator.running, "the end of the operator's session", timeout=180.0)
    finally:  # a second one, of a test that is run again, would be refused
        operator.end()
        teleop.end()
    assert operator.wait() == 0, operator.output
    episodes = find_episodes([recorder.folder])
    assert len(episodes) == 2
    assert recorder.statuses[-1].saved == 2
    for path in episodes:
        episode = read_episode(path, Contract())
        assert (episode.metadata.outcome, episode.metadata.kind) == ("success", "demonstration")
        assert (episode.metadata.kitchen, episode.metadata.device) == (KITCHEN, "scripted")
        with open_bag(path) as bag:
            sent = [decode(raw, kind) for _, kind, _, _, raw in messages(bag, ["/teleop/command"])]
            executed = [(at, decode(raw, kind)) for _, kind, at, _, raw in messages(bag, [EXECUTED])]
            topics = {connection.topic: connection.msgcount for connection in bag.connections}
        held = [command for command in sent if command.deadman]
        wished = np.array([[c.twist.linear.x, c.twist.linear.y, c.twist.linear.z] for c in held]) * 0.2
        assert len(episode.actions) == len(held)
        positions = [command.target.position for _, command in executed]
        targets = np.array([[position.x, position.y, position.z] for position in positions])
        grippers = np.array([command.gripper_position for _, command in executed])
        newest = np.searchsorted([stamp for stamp, _ in executed], episode.stamps, side="right") - 1
        assert np.abs(np.diff(targets[newest], axis=0) - episode.actions[:, :3]).max() < 1e-6
        assert np.array_equal(grippers[newest[1:]], episode.actions[:, 6])
        pressed = np.array([command.gripper_position for command in held])
        assert np.abs(np.diff(pressed)).sum() == np.abs(np.diff(episode.actions[:, 6])).sum() == 2
        # Each step goes where the person wished to, but for the way that the arm smooths; a busy machine's late
        # commands let it hold in between.
        begun = [c.header.stamp.sec + c.header.stamp.nanosec * 1e-9 for c in held]
        on_time = np.flatnonzero(np.abs(np.diff(begun, append=begun[-1] + 0.2) - 0.2) < 0.02)
        assert len(on_time) > len(held) / 2
        assert np.array_equal(episode.actions[on_time, 6], pressed[on_time])
        assert np.sqrt(np.mean((episode.actions[on_time, :3] - wished[on_time]) ** 2)) < 0.008
        assert topics["/camera/over_shoulder/camera_info"] == 1
        assert {"/joint_states", "/arm/state", "/arm/executed", "/simulator/objects"} <= topics.keys()


def test_labels_change_and_keep_their_history(robot, recorder) -> None:
    start(robot)
    robot.spin(0.8)
    stop = StopEpisode.Request(save=True, outcome="success", score=UNLABELLED)
    saved = robot.call(StopEpisode, "/recorder/stop", stop)
    assert saved.success, saved.message
    label = LabelEpisode.Request(outcome="partial", score=0.5, note="slipped")
    assert robot.call(LabelEpisode, "/recorder/label", label).success
    metadata = read_episode(Path(saved.path), Contract()).metadata
    assert [item.outcome for item in metadata.labels] == ["success", "partial"]
    assert (metadata.outcome, metadata.score) == ("partial", 0.5)
    label = LabelEpisode.Request(outcome="superb", score=UNLABELLED)
    wrong = robot.call(LabelEpisode, "/recorder/label", label)
    assert not wrong.success
    assert "known: success, failure" in wrong.message


def test_the_last_episode_is_discarded_when_that_is_asked_for(robot, recorder) -> None:
    assert not robot.call(Trigger, "/recorder/discard_last").success
    start(robot)
    robot.spin(0.5)
    stop = StopEpisode.Request(save=True, outcome="success", score=UNLABELLED)
    saved = Path(robot.call(StopEpisode, "/recorder/stop", stop).path)
    (images,) = (stream for stream in inspect(saved).streams if stream.topic.endswith("/image/compressed"))
    assert (images.asked, images.simulated) == (15.0, True)  # the simulator says what its camera was asked for
    robot.wait(lambda: recorder.statuses[-1].recommendation, "the audit")
    answer = robot.call(Trigger, "/recorder/discard_last")
    assert answer.success, answer.message
    assert (saved.exists(), (saved.parent / "discarded" / saved.name).is_dir()) == (False, True)
    robot.wait(lambda: not recorder.statuses[-1].recommendation, "nothing that is still recommended")


def test_an_episode_is_begun_and_ended_from_the_command_line(robot, recorder) -> None:
    def ptr_record(*words: str) -> tuple[int, str]:
        process = robot.run([sys.executable, "-m", "ptr_models.cli", "record", *words], name="record")
        robot.wait(lambda: not process.running, "the command's end", timeout=60.0)
        return process.wait(), process.output

    robot.wait(lambda: not any(stream.stalled for stream in recorder.statuses[-1].streams), "every stream")
    assert ptr_record("discard") == (2, "error: no episode is being recorded\n")
    code, output = ptr_record("start", TASK, "--operator", "ada")
    assert code == 0 and output.startswith("recording 20"), output
    code, output = ptr_record("save", "partial", "--score", "0.25", "--note", "slipped")
    assert code == 0 and "recommendation: " in output, output
    (path,) = find_episodes([recorder.folder])
    metadata = read_metadata(path)
    assert (metadata.operator, metadata.outcome, metadata.score) == ("ada", "partial", 0.25)


def test_a_discarded_episode_is_moved_and_not_found_again(robot, recorder) -> None:
    start(robot)
    stopped = robot.call(StopEpisode, "/recorder/stop", StopEpisode.Request(save=False, score=UNLABELLED))
    assert stopped.success, stopped.message
    assert Path(stopped.path).parent == recorder.folder / "discarded"
    with pytest.raises(EpisodeError, match="holds no complete episode"):
        find_episodes([recorder.folder])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recorder_that_is_ended_keeps_the_episode_unlabelled(robot, recorder, number: int) -> None:
    assert start(robot).success
    robot.spin(0.6)
    recorder.signal(number)
    recorder.signal(number)
    assert recorder.wait() == 0, recorder.output
    (path,) = find_episodes([recorder.folder])
    assert read_episode(path, Contract()).metadata.outcome == "unlabelled"
    assert "unlabelled" in recorder.output


def test_kill_leaves_a_bag_that_can_be_recovered_and_a_folder_that_is_free(robot, recorder) -> None:
    from ptr_models.episodes.recovery import recover

    begun = start(robot)
    bag = next(Path(begun.path).glob("*.mcap"))
    robot.wait(lambda: bag.stat().st_size > 100_000, "a part of the bag on the disk")
    recorder.signal(signal.SIGKILL)
    recorder.wait()
    assert Path(begun.path).name.endswith(".partial")
    recover(Path(begun.path))
    (path,) = find_episodes([recorder.folder])
    assert len(read_episode(path, Contract()).actions) >= 1
    second = robot.start("ptr_teleop.recorder.node", directory=recorder.folder)
    robot.wait(lambda: "episodes go to" in second.output, "a new recorder on the folder")
    second.end()


def test_a_second_recorder_on_the_folder_ends_with_one_sentence(robot, recorder) -> None:
    second = robot.start("ptr_teleop.recorder.node", "-r", "__node:=other", directory=recorder.folder)
    assert second.wait() == 1
    assert "is in use: process" in second.output
    assert "Traceback" not in second.output


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "parameter `directory` is empty"),
        ({"directory": "/proc/nowhere"}, "/proc/nowhere cannot be written"),
        ({"directory": "/dev/null/x"}, "Not a directory"),
        ({"directory": "/tmp", "contract_file": "/nowhere.json"}, "/nowhere.json cannot be read"),
        ({"directory": "/tmp", "goal": -1}, "goal"),
    ],
)
def test_a_recorder_that_can_not_start_says_why(ros, parameters: dict, sentence: str) -> None:
    process = ros.start("ptr_teleop.recorder.node", "-r", "__node:=broken", **parameters)
    assert process.wait() == 1
    assert sentence in process.output
    assert "Traceback" not in process.output


def test_no_camera_and_no_task_name_are_refused_in_one_sentence(robot, tmp_path: Path) -> None:
    process = robot.start("ptr_teleop.recorder.node", directory=tmp_path, cameras="[wrist]")
    robot.wait(lambda: "episodes go to" in process.output, "the recorder")
    answer = robot.call(StartEpisode, "/recorder/start", StartEpisode.Request(task=TASK))
    assert not answer.success
    assert "/camera/wrist/image/compressed" in answer.message
    answer = robot.call(StartEpisode, "/recorder/start", StartEpisode.Request(task="put knife"))
    assert not answer.success
    assert "'put knife'" in answer.message
    process.end()
