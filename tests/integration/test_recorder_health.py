# SPDX-License-Identifier: Apache-2.0
"""The recorder against publishers of the test's own: streams that stall, and what the bag knows of each message."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader

pytest.importorskip("ptr_msgs.msg")

from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState  # noqa: E402

from ptr_models.episodes.reader import read_metadata  # noqa: E402
from ptr_models.provenance import source_commit  # noqa: E402
from ptr_msgs.msg import ArmState, EpisodeEvent, EpisodeStatus, ExecutedCommand, SafetyEvent  # noqa: E402
from ptr_msgs.srv import StartEpisode, StopEpisode  # noqa: E402

pytestmark = pytest.mark.xdist_group("recording")

IMAGES = "/camera/over_shoulder/image/compressed"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Publishers:
    """All required streams at 50 Hz from the test's node; those in `dead` are silent."""

    def __init__(self, ros) -> None:
        self.node, self.dead, self.sent = ros.node, set(), {}
        kinds = {
            IMAGES: (CompressedImage, qos_profile_sensor_data),
            "/camera/over_shoulder/camera_info": (CameraInfo, qos_profile_sensor_data),
            "/joint_states": (JointState, qos_profile_sensor_data),
            "/arm/state": (ArmState, 10),
            "/arm/executed": (ExecutedCommand, 10),
        }
        self._kinds = {topic: kind for topic, (kind, _) in kinds.items()}
        self._publishers = {topic: self.node.create_publisher(kind, topic, qos) for topic, (kind, qos) in kinds.items()}
        self.safety = self.node.create_publisher(SafetyEvent, "/arm/safety", LATCHED)
        self._timer = self.node.create_timer(0.02, self._publish)

    def _publish(self) -> None:
        for topic, publisher in self._publishers.items():
            if topic not in self.dead:
                message = self._kinds[topic]()
                message.header.stamp = self.node.get_clock().now().to_msg()
                if isinstance(message, CameraInfo):
                    message.width, message.height, message.distortion_model = 640, 480, "plumb_bob"
                    message.k = [600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0]
                publisher.publish(message)
                self.sent[topic] = self.sent.get(topic, 0) + 1


@pytest.fixture(scope="module")
def publishers(ros):
    return Publishers(ros)


@pytest.fixture(scope="module")
def recorder(ros, publishers, tmp_path_factory):
    """A recorder that hears every stream."""
    ros.statuses = ros.collect(EpisodeStatus, "/episode/status", LATCHED)
    ros.events = ros.collect(EpisodeEvent, "/episode/event", 50)
    process = ros.start("ptr_teleop.recorder.node", directory=tmp_path_factory.mktemp("episodes"))
    ros.wait(lambda: ros.statuses and health(ros, IMAGES).rate > 40.0, "full rates")
    return process


def health(ros, topic: str):
    """The newest health of a stream."""
    return next(stream for stream in ros.statuses[-1].streams if stream.topic == topic)


def start(ros, **fields) -> StartEpisode.Response:
    answer = ros.call(StartEpisode, "/recorder/start", StartEpisode.Request(task="put_carrot_on_plate", **fields))
    assert answer.success, answer.message
    return answer


def stop(ros) -> Path:
    request = StopEpisode.Request(save=True, outcome="success", score=float("nan"))
    answer = ros.call(StopEpisode, "/recorder/stop", request)
    assert answer.success, answer.message
    return Path(answer.path)


def test_a_stream_that_dies_is_red_and_an_event_within_a_second(ros, recorder, publishers) -> None:
    start(ros)
    publishers.dead.add(IMAGES)
    died = time.monotonic()
    ros.wait(lambda: health(ros, IMAGES).stalled, "the red field")
    ros.wait(lambda: any(event.type == "stream_stalled" for event in ros.events), "the event")
    assert time.monotonic() - died < 1.5  # 0.7 s of silence, 0.1 s between looks; the rest is a busy machine's
    assert not health(ros, "/arm/state").stalled
    publishers.dead.clear()
    ros.wait(lambda: any(event.type == "stream_recovered" for event in ros.events), "its recovery")
    answer = ros.call(
        StopEpisode, "/recorder/stop", StopEpisode.Request(save=True, outcome="failure", score=float("nan"))
    )
    assert f"no message on {IMAGES} for 0.7 s" in answer.findings
    assert answer.recommendation == ros.statuses[-1].recommendation == "discard"


def test_a_bag_knows_of_each_message_when_it_was_sent_and_its_number(ros, recorder, publishers) -> None:
    publishers.safety.publish(SafetyEvent(message="before the start"))
    start(ros, operator_name="ada", instruction="the carrot onto the plate")
    ros.spin(1.0)
    folder = stop(ros)
    with next(folder.glob("*.mcap")).open("rb") as file:
        messages = [message for _, channel, message in make_reader(file).iter_messages() if channel.topic == IMAGES]
    late = messages[1:]  # the first was there before the start
    assert [message.sequence for message in late] == list(range(late[0].sequence, late[0].sequence + len(late)))
    assert all(0 <= message.log_time - message.publish_time < 10**9 for message in late)
    assert len(late) > 25
    information = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    offered = {
        topic["topic_metadata"]["name"]: topic["topic_metadata"]["offered_qos_profiles"]
        for topic in information["topics_with_message_count"]
    }
    assert [one["reliability"] for one in offered[IMAGES]] == ["best_effort"]
    assert [one["reliability"] for one in offered["/arm/state"]] == ["reliable"]
    metadata = read_metadata(folder)
    assert (metadata.operator, metadata.instruction) == ("ada", "the carrot onto the plate")
    assert metadata.calibration["over_shoulder"]["k"][0] == 600.0
    assert metadata.lost == {}
    assert metadata.versions["rosbags"]
    commit = source_commit()
    assert metadata.commit.removesuffix("-dirty") == (commit or "").removesuffix("-dirty")


def test_the_official_player_reads_the_bag(ros, recorder, publishers, tmp_path: Path) -> None:
    rosbag2 = pytest.importorskip("rosbag2_py", reason="needs rosbag2")
    start(ros)
    ros.spin(0.3)
    folder = stop(ros)
    reader = rosbag2.SequentialReader()
    reader.open(rosbag2.StorageOptions(uri=str(folder), storage_id="mcap"), rosbag2.ConverterOptions("cdr", "cdr"))
    assert IMAGES in {topic.name for topic in reader.get_all_topics_and_types()}
    assert reader.has_next()


def test_a_read_only_folder_is_refused_in_one_sentence(ros, tmp_path: Path) -> None:
    folder = tmp_path / "read_only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a read-only disk here")
    try:
        process = ros.start("ptr_teleop.recorder.node", "-r", "__node:=other", directory=folder / "episodes")
        assert process.wait() == 1
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert "cannot be written: " in process.output
    assert "Read-only file system" in process.output
    assert "Traceback" not in process.output
