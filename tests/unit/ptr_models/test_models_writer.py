# SPDX-License-Identifier: Apache-2.0
"""Bags as they are written: conformant, never half-named, and kept when something fails."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcap.reader import make_reader

from ptr_models.contract import Contract
from ptr_models.episodes import writer as writer_module
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import (
    EVENT_TOPIC,
    EXECUTED_TOPIC,
    METADATA_TOPIC,
    STRING,
    image_topic,
    typestore,
)
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata
from ptr_models.episodes.recovery import recover, salvage
from ptr_models.episodes.trajectory import write_episode
from ptr_models.episodes.writer import BagWriter

TEXT = typestore().types[STRING]


def test_a_bag_is_a_rosbag2_folder_that_an_independent_reader_opens(
    make_episode: Callable[..., Path],
) -> None:
    folder = make_episode(steps=12)
    assert sorted(path.name for path in folder.iterdir()) == [
        "episode.json",
        "episode_0000.mcap",
        "metadata.yaml",
    ]
    information = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["version"] == 9
    assert information["storage_identifier"] == "mcap"
    assert information["relative_file_paths"] == ["episode_0000.mcap"]
    assert information["duration"]["nanoseconds"] == 12 * 200_000_000
    with (folder / "episode_0000.mcap").open("rb") as file:
        counts: dict[str, int] = {}
        for _, channel, message in make_reader(file).iter_messages():
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
            assert message.log_time >= 1_700_000_000 * 10**9
    assert counts == {
        METADATA_TOPIC: 2,
        EVENT_TOPIC: 2,
        image_topic("over_shoulder"): 13,
        "/arm/state": 13,
        EXECUTED_TOPIC: 13,
        "/joint_states": 13,
    }


def test_the_metadata_is_in_the_bag_and_beside_it(make_episode: Callable[..., Path]) -> None:
    folder = make_episode(kitchen="toykitchen1")
    beside = read_metadata(folder)
    (folder / "episode.json").unlink()
    assert read_metadata(folder) == beside
    assert beside.kitchen == "toykitchen1"
    assert beside.contract == Contract()
    assert beside.end_ns - beside.start_ns == 12 * 200_000_000


def test_a_label_becomes_the_outcome_and_the_history_stays() -> None:
    metadata = EpisodeMetadata("e", "t", outcome="success", labels=(Label("success", 1, "operator"),))
    relabelled = metadata.labelled(Label("failure", 2, "reviewer", score=0.25))
    assert (relabelled.outcome, relabelled.score) == ("failure", 0.25)
    assert [label.annotator for label in relabelled.labels] == ["operator", "reviewer"]
    assert EpisodeMetadata.from_json(relabelled.to_json()) == relabelled


def test_who_labelled_is_read_from_episodes_recorded_when_the_key_was_by() -> None:
    values = json.loads(EpisodeMetadata("e", "t").to_json())
    values["labels"] = [{"outcome": "failure", "stamp_ns": 1, "by": "Ada", "score": None, "note": ""}]
    values["task_edits"] = [{"task": "u", "instruction": "", "stamp_ns": 2, "by": "Bea", "note": ""}]
    metadata = EpisodeMetadata.from_json(json.dumps(values))
    assert (metadata.labels[0].annotator, metadata.task_edits[0].annotator) == ("Ada", "Bea")
    written = json.loads(metadata.to_json())
    assert (written["labels"][0]["annotator"], written["task_edits"][0]["annotator"]) == ("Ada", "Bea")


def test_keys_of_a_newer_version_are_kept_as_extras() -> None:
    values = json.loads(EpisodeMetadata("e", "t").to_json()) | {"mood": "good"}
    assert EpisodeMetadata.from_json(json.dumps(values)).extra == {"mood": "good"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"contract": 3}', "[" * 100_000])
def test_text_that_is_no_metadata_is_refused(text: str) -> None:
    with pytest.raises(EpisodeError, match="metadata"):
        EpisodeMetadata.from_json(text)


@pytest.mark.parametrize("name", ["", "a/b", "..", "../x", ".hidden", "-x", "a b", "a\n", "x" * 200])
def test_names_that_are_unsafe_as_folders_are_refused(name: str) -> None:
    with pytest.raises(EpisodeError, match="is not usable"):
        EpisodeMetadata(name, "task")
    with pytest.raises(EpisodeError, match="is not usable"):
        EpisodeMetadata("episode", name)


@pytest.mark.parametrize(("key", "value"), [("kind", "rehearsal"), ("outcome", "great")])
def test_unknown_kinds_and_outcomes_list_the_known_ones(key: str, value: str) -> None:
    with pytest.raises(EpisodeError, match=f"'{value}' is unknown; known: "):
        EpisodeMetadata("e", "t", **{key: value})


def test_an_episode_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path, EpisodeMetadata("e", "t", start_ns=5))
    writer.write_message("/note", TEXT(data="hello"), 10)
    assert (tmp_path / "e.partial").is_dir()
    assert not (tmp_path / "e").exists()
    with pytest.raises(EpisodeError, match="holds no complete episode"):
        find_episodes([tmp_path])
    assert writer.close() == tmp_path / "e"
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    with pytest.raises(EpisodeError, match="is closed"):
        writer.write_message("/note", TEXT(data="late"), 11)
    with pytest.raises(EpisodeError, match="already closed"):
        writer.close()


def test_an_existing_episode_is_never_overwritten(tmp_path: Path) -> None:
    with BagWriter(tmp_path, EpisodeMetadata("e", "t")):
        pass
    with pytest.raises(EpisodeError, match="already exists"):
        BagWriter(tmp_path, EpisodeMetadata("e", "t"))
    BagWriter(tmp_path, EpisodeMetadata("f", "t")).abandon()
    with pytest.raises(EpisodeError, match="f.partial already exists"):
        BagWriter(tmp_path, EpisodeMetadata("f", "t"))


def test_an_exception_leaves_a_readable_partial_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="oops"), BagWriter(tmp_path, EpisodeMetadata("e", "t")) as writer:
        writer.write_message("/note", TEXT(data="hello"), 10)
        raise RuntimeError("oops")
    with (tmp_path / "e.partial" / "e.mcap").open("rb") as file:
        assert [channel.topic for _, channel, _ in make_reader(file).iter_messages()].count("/note") == 1


def test_an_unknown_message_type_is_refused_by_name(tmp_path: Path) -> None:
    with BagWriter(tmp_path, EpisodeMetadata("e", "t")) as writer:
        with pytest.raises(EpisodeError, match="/x has type no_msgs/msg/Thing"):
            writer.write("/x", "no_msgs/msg/Thing", 1, b"\0\1\0\0")


def test_a_full_disk_ends_the_episode_and_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 0.0)
    writer = BagWriter(tmp_path, EpisodeMetadata("e", "t"))
    writer.write_message("/note", TEXT(data="kept"), 10)
    storage: Any = writer._writer.storage
    good = storage.bio

    class FullDisk:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(good, name)

    storage.bio = FullDisk()
    with pytest.raises(EpisodeError, match="the disk is full"):
        writer.write_message("/note", TEXT(data="lost"), 20)
    data = (tmp_path / "e.partial" / "e.mcap").read_bytes()
    assert [message.arrival for message in salvage(data) if message.topic == "/note"] == [10]


def test_a_killed_recording_loses_at_most_the_last_second(tmp_path: Path) -> None:
    program = f"""
import sys, time
from ptr_models.episodes import writer
from ptr_models.episodes.messages import STRING, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
writer.FLUSH_SECONDS = 0.0
bag = writer.BagWriter({str(tmp_path)!r}, EpisodeMetadata("e", "t"))
for k in range(50):
    bag.write_message("/note", typestore().types[STRING](data="x"), 100 + k)
print("written", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ.copy())
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder, count, _ = recover(tmp_path / "e.partial")
    assert count == 50
    assert read_metadata(folder).outcome == "unlabelled"


def test_a_trajectory_with_streams_of_other_lengths_is_refused(make_trajectory: Callable[..., Any]) -> None:
    trajectory, _ = make_trajectory()
    with pytest.raises(EpisodeError, match="streams of other lengths: .*gripper"):
        dataclasses.replace(trajectory, gripper=trajectory.gripper[:-1])


def test_a_data_set_without_a_last_observation_keeps_its_last_action(
    tmp_path: Path, make_trajectory: Callable[..., Any]
) -> None:
    trajectory, actions = make_trajectory(steps=5)
    shorter = dataclasses.replace(
        trajectory,
        images={"over_shoulder": trajectory.images["over_shoulder"][:-1]},
        measured_position=trajectory.measured_position[:-1],
        measured_rotation=trajectory.measured_rotation[:-1],
        gripper=trajectory.gripper[:-1],
        joint_positions=None,
    )
    episode = read_episode(write_episode(tmp_path, EpisodeMetadata("e", "t"), shorter))
    assert episode.actions == pytest.approx(actions, abs=1e-6)
    assert (episode.states[-1] == episode.states[-2]).all()
