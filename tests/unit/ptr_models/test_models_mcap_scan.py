# SPDX-License-Identifier: Apache-2.0
"""The fast scan of bags, against rosbags."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode, StoragePlugin

from ptr_models.episodes.bag import messages, open_bag
from ptr_models.episodes.cdr_fields import arm_state, executed, image_data
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_scan import Raw, scan
from ptr_models.episodes.messages import (
    ARM_STATE,
    EXECUTED_COMMAND,
    IMAGE,
    METADATA_TOPIC,
    STRING,
    definition,
    typestore,
)
from ptr_models.episodes.resize import squash
from ptr_models.episodes.sampling import arm_sample


def by_rosbags(path: Path) -> dict[str, tuple[str, list[Raw]]]:
    """What `scan` should give, for all topics."""
    found: dict[str, tuple[str, list[Raw]]] = {}
    with open_bag(path) as reader:
        for topic, kind, stamp, arrival, data in messages(reader):
            found.setdefault(topic, (kind, []))[1].append(Raw(stamp, arrival, data))
    return found


def test_a_scan_gives_what_rosbags_gives(make_episode: Callable[..., Path]) -> None:
    folder = make_episode(seed=3, steps=20)
    expected = by_rosbags(folder)
    assert len(expected) > 4
    assert scan(folder, expected) == expected


def test_only_the_topics_that_are_asked_for_are_kept(make_episode: Callable[..., Path]) -> None:
    folder = make_episode()
    assert set(scan(folder, [METADATA_TOPIC, "/not/recorded"])) == {METADATA_TOPIC}


def write_strings(folder: Path, order: list[int], compression: CompressionFormat | None) -> Path:
    """A bag of strings whose messages arrive in an order of their own, a chunk for each two."""
    text, digest = definition(STRING)
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    if compression is not None:
        writer.set_compression(CompressionMode.STORAGE, compression)
    with writer:
        connection = writer.add_connection("/text", STRING, msgdef=text, rihs01=digest)
        for count, stamp in enumerate(order):
            message = typestore().types[STRING](data=f"{count}")
            writer.write(connection, 10**9 + stamp, typestore().serialize_cdr(message, STRING))
            if count % 2:
                writer.storage.close_chunk()
    return next(folder.glob("*.mcap"))


@pytest.mark.parametrize("compression", [None, CompressionFormat.ZSTD], ids=["plain", "zstd"])
def test_chunks_that_overlap_in_time_come_in_the_order_of_arrival(
    tmp_path: Path, compression: CompressionFormat | None
) -> None:
    bag = write_strings(tmp_path / "bag", [5, 1, 3, 9, 2, 7, 8], compression)
    raws = scan(bag, ["/text"])["/text"][1]
    assert [raw.arrival - 10**9 for raw in raws] == [1, 2, 3, 5, 7, 8, 9]
    assert raws == by_rosbags(bag)["/text"][1]


@given(st.data())
def test_damage_is_an_error_of_one_sentence_or_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever happens to the bytes of a bag, nothing but an EpisodeError comes out."""
    root = tmp_path_factory.mktemp("bags")
    content = bytearray(write_strings(root / "bag", [1, 2, 3, 4], None).read_bytes())
    if data.draw(st.booleans(), label="cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1), label="at")]
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        if content:
            place = data.draw(st.integers(0, len(content) - 1), label="place")
            content[place] = data.draw(st.integers(0, 255), label="byte")
    damaged = root / "damaged.mcap"
    damaged.write_bytes(content)
    try:
        scan(damaged, ["/text"])
    except EpisodeError as error:
        assert re.search("is cut off or damaged|the clock jumped back", str(error))


@pytest.mark.parametrize(
    ("source", "target"), [((60, 80), (16, 16)), ((30, 40), (4, 4)), ((13, 10), (9, 7)), ((12, 7), (6, 7))]
)
def test_squashing_averages_areas_exactly(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    fine = image.astype(np.int64).repeat(target[0], axis=0).repeat(target[1], axis=1)
    sums = fine.reshape(target[0], source[0], target[1], source[1], 3).sum(axis=(1, 3))
    assert (squash(image, *target) == np.rint(sums / (source[0] * source[1]))).all()


@pytest.mark.parametrize("size", [64, 128])
def test_squashing_a_camera_image_is_opencv_s_area_interpolation(size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    by_opencv = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).astype(int)
    difference = np.abs(squash(image, size, size) - by_opencv)
    assert difference.max() <= 1  # OpenCV's sums are not exact where a mean ends in .5
    assert (difference > 0).mean() < 0.01


def test_squashing_leaves_the_wanted_size_alone_and_enlarges_small_images() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    assert (squash(image, 32, 24) == image).all()
    assert squash(image, 64, 64).shape == (64, 64, 3)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats(allow_nan=False, width=32)
STAMPS = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1))


def message_of(kind: str, data: st.DataObject) -> Any:
    """A message of a type with drawn strings and numbers."""
    types = typestore().types

    def time() -> Any:
        return types["builtin_interfaces/msg/Time"](*data.draw(STAMPS))

    def pose() -> Any:
        numbers = [data.draw(NUMBER) for _ in range(7)]
        point, turn = types["geometry_msgs/msg/Point"], types["geometry_msgs/msg/Quaternion"]
        return types["geometry_msgs/msg/Pose"](point(*numbers[:3]), turn(*numbers[3:]))

    header, six = types["std_msgs/msg/Header"](time(), data.draw(TEXT)), np.arange(6.0)
    if kind == IMAGE:
        return types[kind](header, data.draw(TEXT), np.frombuffer(data.draw(st.binary(max_size=40)), np.uint8))
    if kind == ARM_STATE:
        return types[kind](
            header, 1, data.draw(TEXT), pose(), pose(), six, six, six, data.draw(NUMBER), data.draw(NUMBER)
        )
    return types[kind](header, data.draw(TEXT), time(), pose(), data.draw(NUMBER), six, 3)


@given(st.data(), st.sampled_from(["le", "be"]))
def test_fields_are_those_of_the_whole_message(data: st.DataObject, order: str) -> None:
    kinds = {IMAGE: image_data, ARM_STATE: arm_state, EXECUTED_COMMAND: executed}
    kind = data.draw(st.sampled_from(sorted(kinds)))
    message = message_of(kind, data)
    cdr = typestore().serialize_cdr(message, kind, little_endian=order == "le")
    found = kinds[kind](memoryview(bytes(cdr)))
    whole = typestore().deserialize_cdr(bytes(cdr), kind)
    if kind == IMAGE:
        assert bytes(found) == bytes(whole.data)
    elif kind == ARM_STATE:
        assert found == arm_sample(whole)
    else:
        target, at = whole.target.position, whole.target.orientation
        assert found.pose == (target.x, target.y, target.z, at.x, at.y, at.z, at.w)
        assert (found.gripper, found.source) == (whole.gripper_position, whole.source)
        assert found.decided == whole.command_stamp.sec * 10**9 + whole.command_stamp.nanosec


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_an_error_of_one_sentence(content: bytes) -> None:
    for kind, take in ((IMAGE, image_data), (ARM_STATE, arm_state), (EXECUTED_COMMAND, executed)):
        try:
            take(b"\x00\x01\x00\x00" + content)
        except EpisodeError as error:
            assert f"a message of type {kind} ({len(content) + 4} bytes) is damaged" in str(error)
