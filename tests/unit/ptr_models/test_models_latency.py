# SPDX-License-Identifier: Apache-2.0
"""Latencies: a stamp minus its latency is when it was so, live and in a bag alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader

from ptr_models.contract import Camera, Contract, ContractError
from ptr_models.episodes.bag import typestore
from ptr_models.episodes.messages import ARM_STATE_TOPIC, header_stamp, image_topic
from ptr_models.episodes.reader import read_episode, read_metadata
from ptr_models.episodes.sampling import ArmSample, LatestBuffer, RecordedStream, arm_sample, choose, observation_of
from ptr_models.latency_file import with_measured_latencies
from ptr_models.training.data import Bags, contract_of

MS = 10**6
ARM = [(10 * MS * k, ArmSample((0.3, 0.0, 0.001 * k), (0.0, 0.7071, 0.0, 0.7071), 1.0)) for k in range(200)]
IMAGES = [(33 * MS * k, b"%d" % k) for k in range(60)]


def late(latency: float, command: float = 0.0, **fields: Any) -> Contract:
    """The suite's contract on a robot whose camera is late by some s."""
    return Contract(cameras=(Camera(latency=latency),), command_latency=command, **fields)


def test_without_latencies_every_hash_is_what_it_was_before_there_were_any() -> None:
    assert Contract().hash == "50c29eaea94eb9c7"
    assert Contract(cameras=(Camera(height=128, width=128),)).hash == "69f8c2058bf2984b"
    assert "latency" not in Contract().to_json()


def test_latencies_survive_the_canonical_form_and_change_the_hash() -> None:
    contract = late(0.083, 0.11)
    assert Contract.from_json(contract.to_json()) == contract
    assert contract.hash != Contract().hash


@pytest.mark.parametrize("latency", [-0.01, 0.6, float("nan"), "0.1"])
def test_a_latency_that_can_not_be_is_refused(latency: Any) -> None:
    with pytest.raises(ContractError, match="over_shoulder.* is .*(from 0 to 0.5 s|finite number)"):
        late(latency)
    with pytest.raises(ContractError, match="command_latency is"):
        Contract(command_latency=latency)


@given(latency=st.integers(0, 300), time=st.integers(0, 1500))
def test_stamps_that_are_late_by_the_latency_show_the_same_a_latency_later(latency: int, time: int) -> None:
    """The same scene through a slower camera: the policy sees the same pairs of image and state, that much later."""
    slow = {"over_shoulder": RecordedStream([(stamp + latency * MS, data) for stamp, data in IMAGES])}
    arm = RecordedStream(ARM)
    seen = choose(late(latency / 1e3), slow, arm, (time + latency) * MS)
    quick = choose(Contract(), {"over_shoulder": RecordedStream(IMAGES)}, arm, time * MS)
    assert (seen.images[0][1], seen.arm) == (quick.images[0][1], quick.arm)


def test_cameras_of_different_latencies_show_one_moment() -> None:
    contract = Contract(cameras=(Camera("wrist", latency=0.02), Camera("front", latency=0.12)))
    images = {
        "wrist": RecordedStream([(stamp + 20 * MS, data) for stamp, data in IMAGES]),
        "front": RecordedStream([(stamp + 120 * MS, data) for stamp, data in IMAGES]),
    }
    choice = choose(contract, images, RecordedStream(ARM), 1000 * MS)
    assert choice.images[0][1] == choice.images[1][1] == b"26"  # 26 * 33 ms is the last one before 880 ms
    assert choice.arm[0] == 880 * MS


def test_a_quick_robot_can_see_as_late_as_a_slow_one() -> None:
    choice = choose(late(0.02), {"over_shoulder": RecordedStream(IMAGES)}, RecordedStream(ARM), 1000 * MS, delay=0.1)
    assert choice.images[0][0] == 27 * 33 * MS  # the last stamp before 1000 - 100 + 20 ms
    assert choice.arm[0] == 900 * MS


@pytest.mark.parametrize(("own", "wanted"), [(0.08, None), (0.08, 0.15), (0.0, 0.08)])
def test_with_latencies_a_recording_fed_through_live_buffers_gives_the_same_bits(
    make_episode: Callable[..., Path], own: float, wanted: float | None
) -> None:
    folder = make_episode(seed=5, steps=15, contract=late(own))
    episode = read_episode(folder, None if wanted is None else late(wanted))
    images: dict[str, LatestBuffer[bytes]] = {"over_shoulder": LatestBuffer()}
    arm: LatestBuffer[ArmSample] = LatestBuffer()
    with (folder / f"{folder.name}.mcap").open("rb") as file:
        incoming = sorted(make_reader(file).iter_messages(), key=lambda item: item[2].log_time)
    for row, stamp in enumerate(episode.stamps):
        while incoming and incoming[0][2].log_time <= stamp:  # what has arrived by then, and nothing more
            schema, channel, message = incoming.pop(0)
            if channel.topic in (image_topic("over_shoulder"), ARM_STATE_TOPIC):
                decoded = typestore().deserialize_cdr(message.data, schema.name)
                if channel.topic == ARM_STATE_TOPIC:
                    arm.append(header_stamp(message.data), arm_sample(decoded))
                else:
                    images["over_shoulder"].append(header_stamp(message.data), bytes(decoded.data))
        live = observation_of(late(own), choose(late(own), images, arm, int(stamp), wanted))
        assert (live.images[0] == episode.images["over_shoulder"][row]).all()
        assert (live.state == episode.states[row]).all()


def test_a_bag_of_a_slower_robot_is_read_as_the_quick_one_would_have_seen_it(make_episode: Callable[..., Path]) -> None:
    """One step of latency and no delay is the shift of one step that PTR gives to Bridge data of before 2021-07-23."""
    slow, quick = make_episode(seed=5, contract=late(0.2)), make_episode(seed=5, episode_id="quick")
    shifted, plain = read_episode(slow, Contract()), read_episode(quick)
    seen, shown = shifted.images["over_shoulder"], plain.images["over_shoulder"]
    common = min(len(seen), len(shown) - 1)
    assert np.array_equal(shifted.stamps[:common], plain.stamps[:common])
    assert np.array_equal(seen[:common], shown[1 : common + 1])
    assert np.array_equal(shifted.states[:common], plain.states[:common])


def test_robots_of_different_latency_share_a_contract_but_not_of_different_rate() -> None:
    late(0.08).require(Contract(), "episode x")
    with pytest.raises(ContractError, match="control_rate"):
        late(0.08).require(late(0.08, control_rate=10.0), "episode x")


def test_the_metadata_of_a_bag_carry_the_latencies(make_episode: Callable[..., Path]) -> None:
    assert read_metadata(make_episode(contract=late(0.07, 0.1))).contract == late(0.07, 0.1)


def test_training_takes_the_latencies_of_the_robot_that_the_target_data_come_from(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    prior, target = tmp_path / "prior", tmp_path / "target"
    for seed in range(3):
        make_episode(seed, root=prior)
    make_episode(7, root=target, contract=late(0.08, 0.05))
    assert contract_of(Bags(prior=[prior], target=[target])) == late(0.08, 0.05)
    assert contract_of(Bags(prior=[prior])) == Contract()


def test_a_contract_moves_to_another_robot_with_that_robots_latencies() -> None:
    policy = Contract(cameras=(Camera(height=128, width=128),))
    moved = policy.with_latencies(late(0.08, 0.1))
    assert (moved.observation_delay, moved.command_latency) == (0.08, 0.1)
    assert dataclasses.replace(moved, cameras=policy.cameras, command_latency=0.0) == policy
    with pytest.raises(ContractError, match="the robot has no camera over_shoulder; it has: wrist"):
        policy.with_latencies(Contract(cameras=(Camera("wrist"),)))


@pytest.mark.parametrize(
    ("data", "robot", "words"),
    [
        ((0.0, 0.0), (0.09, 0.0), ""),
        ((0.0, 0.0), (0.06, 0.05), "reacts 110 ms later"),
        ((0.15, 0.0), (0.02, 0.0), ""),  # a quicker camera is waited for
        ((0.0, 0.2), (0.0, 0.05), "reacts 150 ms sooner"),
    ],
)
def test_a_robot_that_reacts_half_a_step_later_than_its_data_is_warned_about(
    data: tuple[float, float], robot: tuple[float, float], words: str
) -> None:
    warning = late(*data).latency_warning(late(*robot))
    assert words in warning
    assert bool(warning) == bool(words)


def test_measured_latencies_are_put_into_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "latency.yaml"
    path.write_text("command: 0.1\ncameras: {over_shoulder: 0.08, wrist: 0.03}\nmeasured: {on: today}\n")
    assert with_measured_latencies(Contract(), str(path)) == late(0.08, 0.1)
    assert with_measured_latencies(Contract(), "") == Contract()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "can't be read"),
        ("cameras: [", "is not YAML"),
        ("0.08", "malformed"),
        ("cameras: 0.08", "malformed"),
        ("camera: {over_shoulder: 0.08}", "malformed"),
        ("cameras: {wrist: 0.08}", "no latency of camera over_shoulder"),
        ("cameras: {over_shoulder: 80}", "from 0 to 0.5 s"),
        ("cameras: {over_shoulder: 0.08}\ncommand: soon", "command_latency is 'soon'; it must be a finite number"),
    ],
)
def test_a_file_of_latencies_that_is_none_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "latency.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ContractError, match=words):
        with_measured_latencies(Contract(), str(path))
