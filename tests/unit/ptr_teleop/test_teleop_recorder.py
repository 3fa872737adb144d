# SPDX-License-Identifier: Apache-2.0
"""The recorder's decisions: when an episode starts, what is in it, what becomes of it."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from ptr_models.common.processor_use import ProcessorUse
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_teleop.recorder.episode import Audit, CommandTiming, EpisodeRequest, Event, RecorderError, State, parse_extra
from ptr_teleop.recorder.folder import EpisodeFolder, FolderError
from ptr_teleop.recorder.recorder import DiskLimits, RecorderCore
from ptr_teleop.recorder.streams import COMMANDS, EVENTS, streams_for

SECOND = 10**9
T0 = 1_795_000_000 * SECOND
STREAMS = streams_for(["over_shoulder"])
REQUIRED = [stream.topic for stream in STREAMS if stream.required]
TELEOP = COMMANDS[0]


class MemoryWriter:
    """Keeps what is written; fails on request."""

    def __init__(self, metadata: EpisodeMetadata, folder: Path) -> None:
        self.metadata, self.folder = metadata, folder
        self.messages: list[tuple[str, int, bytes]] = []
        self.error: Exception | None = None
        self.abandoned = False

    def write(
        self, topic: str, type_name: str, stamp_ns: int, cdr: bytes, published_ns: int = 0, sequence: int = 0
    ) -> None:
        if self.error is not None:
            raise self.error
        self.messages.append((topic, stamp_ns, cdr))

    def flush(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self, metadata: EpisodeMetadata) -> Path:
        self.metadata = metadata
        path = self.folder / metadata.episode_id
        path.mkdir()
        return path

    def abandon(self) -> Path:
        self.abandoned = True
        return self.folder

    def events(self) -> list[dict]:
        return [json.loads(data) for topic, _, data in self.messages if topic == EVENTS]


class Bench:
    """A recorder core with streams that are alive."""

    def __init__(self, path: Path, **options) -> None:
        self.folder = EpisodeFolder(path)
        self.writers: list[MemoryWriter] = []
        self.core = RecorderCore(self.folder, STREAMS, Contract(), self._open, self._encode, self._read, **options)

    def _open(self, metadata: EpisodeMetadata) -> MemoryWriter:
        self.writers.append(MemoryWriter(metadata, self.folder.path))
        return self.writers[-1]

    @staticmethod
    def _encode(event: Event) -> bytes:
        return json.dumps({"stamp": event.stamp, "kind": event.kind, "text": event.text}).encode()

    @staticmethod
    def _read(data: bytes) -> CommandTiming:
        return CommandTiming(**json.loads(data))

    def feed(self, now: int, *leave_out: str) -> None:
        """One message of each required stream."""
        for topic in REQUIRED:
            if topic not in leave_out:
                self.core.receive(topic, f"{topic} at {now}".encode(), now)

    def command(self, stamp: int, held: bool = True) -> Event | None:
        data = json.dumps({"stamp": stamp, "valid_for": SECOND // 5, "held": held}).encode()
        return self.core.receive(TELEOP, data, stamp + 2_000_000)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "episodes")


def test_an_episode_runs_from_its_first_command_to_after_its_last(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    assert bench.command(T0 + SECOND, held=False) is None
    started = bench.command(T0 + 2 * SECOND)
    assert (started.kind, started.stamp) == ("start", T0 + 2 * SECOND - 5_000_000)
    assert bench.command(T0 + 2 * SECOND + SECOND // 5) is None
    _, stopped = bench.core.stop(True, "success", T0 + 9 * SECOND)
    assert stopped.stamp == T0 + 2 * SECOND + 2 * SECOND // 5 + 90_000_000
    assert (stopped.stamp - started.stamp) // (SECOND // 5) == 2  # two commands are two control steps
    kinds = [event["kind"] for event in bench.writers[0].events()]
    assert kinds == ["start", "stop"]


def test_what_arrived_just_before_the_start_is_in_the_bag(bench: Bench) -> None:
    bench.feed(T0 - SECOND)
    bench.feed(T0 - SECOND // 10)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    stamps = [stamp for topic, stamp, _ in bench.writers[0].messages if topic in REQUIRED]
    assert stamps == [T0 - SECOND // 10] * len(REQUIRED)


def test_a_constant_stream_is_kept_once(bench: Bench) -> None:
    info = "/camera/over_shoulder/camera_info"
    bench.core.receive(info, b"0000stamp..1facts", T0 - 100 * SECOND)
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    bench.core.receive(info, b"0000stamp..2facts", T0 + 1)
    bench.core.receive(info, b"0000stamp..3other", T0 + 2)
    kept = [data for topic, _, data in bench.writers[0].messages if topic == info]
    assert kept == [b"0000stamp..1facts", b"0000stamp..3other"]


def test_what_was_said_last_about_a_state_begins_the_bag(bench: Bench) -> None:
    topic = "/policy/status"
    bench.core.receive(topic, b"drift: none", T0 - 100 * SECOND)
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    bench.core.receive(topic, b"drift: none", T0 + 1)
    bench.core.receive(topic, b"drift: none, and held", T0 + 2)
    assert [(stamp - T0, data) for name, stamp, data in bench.writers[0].messages if name == topic] == [
        (0, b"drift: none"),
        (2, b"drift: none, and held"),
    ]


def test_what_each_of_several_publishers_said_last_begins_the_bag_in_order(bench: Bench) -> None:
    """A driver of another robot part has fixed frames of its own, which ours don't replace."""
    topic = "/tf_static"
    for data, publisher, age in (
        (b"z: ours, camera not there yet", b"us", 90),
        (b"theirs", b"them", 80),
        (b"a: ours", b"us", 70),
    ):
        bench.core.receive(topic, data, T0 - age * SECOND, publisher=publisher)
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    bench.core.receive(topic, b"theirs", T0 + 1, publisher=b"them")
    bench.core.receive(topic, b"theirs, and more", T0 + 2, publisher=b"them")
    kept = [(stamp - T0, data) for name, stamp, data in bench.writers[0].messages if name == topic]
    assert kept == [(0, b"theirs"), (0, b"a: ours"), (2, b"theirs, and more")]


def test_without_a_camera_no_episode_starts(bench: Bench) -> None:
    bench.feed(T0, "/camera/over_shoulder/image/compressed")
    with pytest.raises(RecorderError, match="no messages on /camera/over_shoulder/image/compressed"):
        bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    assert bench.core.state is State.IDLE
    assert not bench.writers


@pytest.mark.parametrize("task", ["", "../evil", "put knife", "put/knife", ".hidden"])
def test_a_task_name_that_is_no_folder_name_is_refused(bench: Bench, task: str) -> None:
    bench.feed(T0)
    with pytest.raises(EpisodeError):
        bench.core.start(EpisodeRequest(task), T0)
    assert bench.core.state is State.IDLE


def test_an_unknown_task_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=["put_knife_in_pot", "take_carrot_off_plate"])
    bench.feed(T0)
    with pytest.raises(RecorderError, match="known: put_knife_in_pot, take_carrot_off_plate"):
        bench.core.start(EpisodeRequest("put_fork_in_pot"), T0)


def test_one_episode_at_a_time(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    with pytest.raises(RecorderError, match="still being recorded"):
        bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)


def test_a_stop_without_an_episode_is_refused(bench: Bench) -> None:
    with pytest.raises(RecorderError, match="no episode is being recorded"):
        bench.core.stop(True, "success", T0)


def test_an_unknown_outcome_is_refused_and_the_episode_goes_on(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    with pytest.raises(RecorderError, match="known: success, failure"):
        bench.core.stop(True, "great", T0)
    assert bench.core.state is State.RECORDING


def test_saving_labels_and_counts(bench: Bench) -> None:
    bench.feed(T0)
    extra = {"device": "joy", "seed": 7, "x": 1}
    bench.core.start(EpisodeRequest("put_knife_in_pot", operator="ada", extra=extra), T0)
    path, _ = bench.core.stop(True, "partial", T0 + SECOND, score=0.5, note="dropped it")
    metadata = bench.writers[0].metadata
    assert path == bench.folder.path / metadata.episode_id
    assert (metadata.outcome, metadata.score, metadata.device, metadata.seed) == ("partial", 0.5, "joy", 7)
    assert metadata.extra == {"x": 1}
    assert metadata.labels == (Label("partial", T0 + SECOND, "ada", 0.5, "dropped it"),)
    assert (bench.core.saved, bench.core.state) == (0, State.SAVING)
    bench.core.review(path, Audit())
    assert (bench.core.saved, bench.core.state) == (1, State.IDLE)


def test_a_note_is_kept_without_a_judgment(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot", operator="ada"), T0)
    bench.core.stop(True, "unlabelled", T0 + SECOND, note="the program ended")
    metadata = bench.writers[0].metadata
    assert metadata.outcome == "unlabelled"
    assert metadata.labels == (Label("unlabelled", T0 + SECOND, "ada", None, "the program ended"),)


def test_an_episode_that_cannot_be_used_is_kept_and_does_not_count(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    path, _ = bench.core.stop(True, "success", T0 + SECOND)
    bench.core.review(path, Audit("a hole of 0.5 s", "discard", ("training cannot use it: a hole of 0.5 s",)))
    assert path.is_dir()
    assert bench.core.saved == 0
    assert bench.core.message.endswith("but it cannot be used: a hole of 0.5 s")


def test_discarding_moves_and_never_deletes(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    path, _ = bench.core.stop(False, "unlabelled", T0 + SECOND)
    assert path.parent == bench.folder.path / "discarded"
    assert path.is_dir()
    assert bench.core.saved == 0


def test_a_recorder_that_ends_keeps_the_episode_unlabelled(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    path = bench.core.close(T0 + SECOND)
    assert path.is_dir()
    assert bench.writers[0].metadata.outcome == "unlabelled"
    assert bench.writers[0].metadata.end_ns == T0 + SECOND
    assert bench.core.close(T0 + SECOND) is None


def test_a_stream_that_stalls_and_recovers_is_two_events(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    later = T0 + 8 * SECOND // 10
    bench.feed(later, "/arm/state")
    events = bench.core.tick(later)
    assert [(event.kind, "/arm/state" in event.text) for event in events] == [("stream_stalled", True)]
    assert bench.core.tick(later) == []
    bench.feed(later + SECOND // 2)
    assert [event.kind for event in bench.core.tick(later + SECOND // 2)] == ["stream_recovered"]
    assert [event["kind"] for event in bench.writers[0].events()] == ["stream_stalled", "stream_recovered"]


def test_messages_that_never_arrived_are_an_event_and_in_the_metadata(bench: Bench) -> None:
    for sequence in (1, 5):  # before the episode: nobody's loss
        bench.core.receive(TELEOP, b"{}", T0, T0, sequence, b"joy")
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    data = json.dumps({"stamp": T0, "valid_for": 1, "held": False}).encode()
    for sequence, publisher in ((6, b"joy"), (1, b"webxr"), (9, b"joy"), (2, b"webxr"), (10, b"joy")):
        bench.core.receive(TELEOP, data, T0 + SECOND // 2, T0, sequence, publisher)
    (event,) = bench.core.tick(T0 + SECOND // 2)
    assert (event.kind, event.text) == ("messages_lost", "2 messages of /teleop/command never arrived")
    assert bench.core.tick(T0 + SECOND // 2) == []
    bench.core.stop(True, "success", T0 + SECOND // 2)
    assert bench.writers[0].metadata.lost == {TELEOP: 2}


def test_a_stream_with_two_publishers_forbids_a_start_until_one_has_gone(bench: Bench) -> None:
    bench.feed(T0)
    for publisher in (b"one", b"other"):
        bench.core.receive("/joint_states", b"", T0, T0, 1, publisher)
    with pytest.raises(RecorderError, match="/joint_states has two publishers: two robots are running in this"):
        bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    later = T0 + 2 * SECOND
    bench.feed(later)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), later)


def test_a_second_publisher_during_an_episode_is_one_event_in_its_bag(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    for publisher in (b"one", b"other"):
        bench.core.receive("/arm/state", b"", T0 + 1, T0, 1, publisher)
    (event,) = bench.core.tick(T0 + 2)
    assert (event.kind, event.text) == ("two_publishers", "/arm/state has two publishers")
    assert bench.core.tick(T0 + 3) == []


def test_two_people_and_a_policy_may_command_in_one_episode(bench: Bench) -> None:
    bench.feed(T0)
    for publisher in (b"one", b"other"):
        bench.core.receive(TELEOP, b"{}", T0, T0, 1, publisher)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)


def test_every_stream_says_how_it_is(bench: Bench) -> None:
    for k in range(51):
        bench.feed(T0 + k * SECOND // 25)
    now = T0 + 2 * SECOND
    health = {one.topic: one for one in bench.core.health(now + SECOND)}
    assert health["/arm/state"].rate == pytest.approx(13, abs=1)  # 26 of the last 2 s
    assert (health["/arm/state"].stalled, health["/arm/state"].age) == (True, 1.0)
    assert (health["/policy/step"].stalled, health["/policy/step"].age) == (False, -1.0)
    assert not any(one.stalled for one in bench.core.health(now))


def test_a_disk_that_runs_full_ends_the_episode_while_it_can_be_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    monkeypatch.setattr(EpisodeFolder, "free_bytes", lambda self: int(DiskLimits().finish) - 1)
    (event,) = bench.core.tick(T0 + SECOND // 10)
    assert event.kind == "disk_full"
    assert bench.core.state is State.FAULT
    assert bench.core.message.startswith("the disk is full: kept 20261118-110640-000-put_knife_in_pot unlabelled")
    assert bench.writers[0].metadata.outcome == "unlabelled"
    assert not bench.writers[0].abandoned
    assert [item["kind"] for item in bench.writers[0].events()] == ["disk_full", "stop"]


def test_a_disk_that_is_full_too_soon_leaves_the_recorder_running_with_a_sentence(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.feed(T0)
    metadata = bench.core.start(EpisodeRequest("put_carrot_on_plate"), T0)
    monkeypatch.setattr(EpisodeFolder, "free_bytes", lambda self: 0)
    monkeypatch.setattr(bench.writers[0], "close", refuse)
    assert [event.kind for event in bench.core.tick(T0 + SECOND // 10)] == ["disk_full"]
    assert bench.core.state is State.FAULT
    assert bench.core.message == f"{metadata.episode_id} could not be finished: the disk is full"
    assert bench.core.tick(T0 + SECOND) == []


def refuse(metadata: EpisodeMetadata) -> Path:
    raise EpisodeError("the disk is full")


def test_a_folder_that_is_gone_is_named_and_the_recorder_goes_on(bench: Bench, tmp_path: Path) -> None:
    bench.feed(T0)
    moved = bench.folder.path.rename(tmp_path / "moved")
    assert bench.folder.free_bytes() == 0
    with pytest.raises(FolderError, match="is gone; restore it"):
        bench.core.start(EpisodeRequest("put_carrot_on_plate"), T0)
    moved.rename(bench.folder.path)
    assert bench.core.start(EpisodeRequest("put_carrot_on_plate"), T0).task == "put_carrot_on_plate"


def test_the_audit_is_part_of_what_is_said_after_a_save(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    states: list[State] = []
    bench.core._changed = lambda: states.append(bench.core.state)
    path, _ = bench.core.stop(True, "success", T0 + SECOND)
    assert states == [State.SAVING]
    bench.core.review(path, Audit("", "discard", ("the arm was idle in 90% of the steps",)))
    assert bench.core.message.endswith("recommendation: discard, because the arm was idle in 90% of the steps")
    assert (bench.core.saved, bench.core.audit.recommendation) == (1, "discard")


def test_the_last_saved_episode_can_be_discarded_and_counts_no_more(bench: Bench) -> None:
    bench.feed(T0)
    with pytest.raises(RecorderError, match="this recorder has no saved episode left"):
        bench.core.discard_last(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    with pytest.raises(RecorderError, match="is being recorded"):
        bench.core.discard_last(T0)
    path, _ = bench.core.stop(True, "success", T0 + SECOND)
    with pytest.raises(RecorderError, match="still being audited"):
        bench.core.discard_last(T0 + SECOND)
    bench.core.review(path, Audit("", "discard", ("it lasts 0.4 s only",)))
    place, event = bench.core.discard_last(T0 + 2 * SECOND)
    assert (place.parent.name, place.is_dir(), path.exists()) == ("discarded", True, False)
    assert (event.kind, event.episode_id) == ("discard", path.name)
    assert (bench.core.saved, bench.core.audit) == (0, None)
    assert bench.core.message == f"discarded {path.name}; `ptr discard --restore {place}` restores it"
    with pytest.raises(RecorderError, match="no saved episode left"):  # not the one before it
        bench.core.discard_last(T0 + 2 * SECOND)


def test_the_metadata_say_how_busy_the_computer_was_during_the_episode(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 0 0 0 0 0 0 0 0\n")
    bench = Bench(tmp_path / "episodes", processor_use=ProcessorUse(stat))
    bench.feed(T0)
    stat.write_text("cpu 900 0 0 0 0 0 0 0\n")  # before the episode
    bench.core.start(EpisodeRequest("put_knife_in_pot", extra={"session": 3}), T0)
    stat.write_text("cpu 930 0 0 10 0 0 0 0\n")
    bench.core.stop(True, "success", T0 + SECOND)
    assert bench.writers[0].metadata.extra == {"session": 3, "processor_use": 0.75}


def test_the_next_episode_may_begin_while_the_one_before_is_looked_through(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    path, _ = bench.core.stop(True, "success", T0 + SECOND)
    bench.feed(T0 + SECOND)
    second = bench.core.start(EpisodeRequest("put_knife_in_pot"), T0 + SECOND)
    bench.core.review(path, Audit("a hole of 0.5 s", "discard", ("training cannot use it: a hole of 0.5 s",)))
    assert (bench.core.state, bench.core.saved) == (State.RECORDING, 0)
    assert bench.core.message == f"recording {second.episode_id}"
    assert bench.core.audit is None


def test_a_score_that_is_no_share_is_refused_and_the_episode_goes_on(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    with pytest.raises(RecorderError, match="between 0 and 1"):
        bench.core.stop(True, "partial", T0, score=7.0)
    assert bench.core.state is State.RECORDING


def test_a_full_disk_ends_in_a_fault_that_says_so_and_the_next_episode_can_start(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    bench.writers[0].error = OSError(errno.ENOSPC, "No space left on device")
    bench.feed(T0 + 1)
    assert bench.core.state is State.FAULT
    assert "No space left on device" in bench.core.message
    assert bench.writers[0].abandoned
    with pytest.raises(RecorderError, match="no episode is being recorded"):
        bench.core.stop(True, "success", T0 + 2)
    bench.feed(T0 + SECOND)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0 + SECOND)
    assert bench.core.state is State.RECORDING


def test_little_room_warns_and_no_room_refuses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EpisodeFolder, "free_bytes", lambda self: int(1.5e9))
    bench.feed(T0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    assert "only 1.50 GB are free" in bench.core.message
    bench.core.stop(True, "success", T0 + SECOND)
    monkeypatch.setattr(EpisodeFolder, "free_bytes", lambda self: 10_000_000)
    bench.feed(T0 + SECOND)
    with pytest.raises(RecorderError, match="only 0.01 GB are free"):
        bench.core.start(EpisodeRequest("put_knife_in_pot"), T0 + SECOND)


def test_a_clock_that_jumps_is_an_event_in_the_bag(bench: Bench) -> None:
    bench.feed(T0)
    bench.core.tick(T0, 0)
    bench.core.start(EpisodeRequest("put_knife_in_pot"), T0)
    (event,) = bench.core.tick(T0 + SECOND // 10 - 3 * SECOND // 2, SECOND // 10)
    assert (event.kind, event.text) == ("clock_jumped", "the system clock jumped by -1.50 s")
    assert bench.writers[0].events()[-1]["kind"] == "clock_jumped"
    assert bench.core.message == event.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": ' + "9" * 5000 + "}", "extra_json is not JSON: an integer has 5000 digits"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "extra_json is nested too deeply"),
        ('{"a": "' + "x" * 2**20 + '"}', "extra_json has 1048585 bytes; at most 1048576 are read"),
        ('{"a": NaN}', "extra_json holds the number nan"),
        ("[]", "extra_json holds a JSON list, not an object"),
    ],
)
def test_metadata_that_would_break_the_recorder_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(RecorderError, match=sentence):
        parse_extra(text)


@pytest.mark.parametrize("extra", [{"seed": "seven"}, {"device": 5}, {"kitchen": "x" * 20_000}, {"calibration": [1]}])
def test_extra_metadata_of_a_wrong_type_begins_no_episode(bench: Bench, extra: dict) -> None:
    bench.feed(T0)
    with pytest.raises(EpisodeError, match=next(iter(extra))):
        bench.core.start(EpisodeRequest("put_knife_in_pot", extra=extra), T0)
    assert bench.core.state is State.IDLE
    assert not bench.writers
