# SPDX-License-Identifier: Apache-2.0
"""Bags as they were recorded before fields of the messages got their present names.

A bag carries the definitions that it was recorded with. Those of then are written out below.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ptr_models.episodes.messages import typestore

DEFINITIONS = {
    "ptr_msgs/msg/ArmCommand": """
std_msgs/Header header
string source
geometry_msgs/Twist twist
float32 gripper
bool deadman
builtin_interfaces/Duration horizon
""",
    "ptr_msgs/msg/ArmState": """
uint8 IDLE=0
uint8 TELEOP=1
uint8 POLICY=2
uint8 HOLD=3
uint8 FAULT=4
uint8 MOVING=5
std_msgs/Header header
uint8 mode
string source
geometry_msgs/Pose measured
geometry_msgs/Pose commanded
float64[6] joint_positions
float64[6] joint_velocities
float64[6] joint_efforts
float32 gripper
float32 gripper_commanded
""",
    "ptr_msgs/msg/ExecutedCommand": """
std_msgs/Header header
string source
builtin_interfaces/Time command_stamp
geometry_msgs/Pose target
float32 gripper
float64[6] joint_positions
uint32 reason
""",
    "ptr_msgs/msg/SafetyEvent": """
uint32 NONE=0
uint32 OUTSIDE_BOX=1
uint32 UNREACHABLE=2
uint32 TOO_FAST=4
uint32 NOT_FINITE=8
uint32 JOINT_LIMIT=16
uint32 STALE_COMMAND=32
uint32 STALE_STATE=64
uint32 SILENT=128
uint32 STOPPED=256
uint32 OVERRIDDEN=512
uint32 COLLISION=1024
uint32 MOTOR_FAULT=2048
uint32 OUT_OF_RANGE=4096
std_msgs/Header header
uint32 reason
string source
string detail
geometry_msgs/Pose requested
geometry_msgs/Pose admitted
""",
    "ptr_msgs/msg/MotorState": """
uint8 INPUT_VOLTAGE=1
uint8 OVERHEATING=4
uint8 ENCODER=8
uint8 ELECTRICAL_SHOCK=16
uint8 OVERLOAD=32
string name
float32 temperature
float32 voltage
float32 effort
uint8 hardware_error
bool torque
""",
    "ptr_msgs/msg/MotorStates": """
uint8 OK=0
uint8 REST=1
uint8 FAULT=2
std_msgs/Header header
uint8 level
string message
ptr_msgs/MotorState[] motors
""",
    "ptr_msgs/msg/StreamHealth": """
string topic
bool required
bool stalled
float32 rate
float32 age
uint32 lost
""",
    "ptr_msgs/msg/EpisodeEvent": """
std_msgs/Header header
string episode_id
string kind
string text
""",
    "ptr_msgs/msg/EpisodeStatus": """
uint8 IDLE=0
uint8 RECORDING=1
uint8 SAVING=2
uint8 FAULT=3
std_msgs/Header header
uint8 state
string episode_id
string task
string directory
uint32 saved
uint32 goal
string message
ptr_msgs/StreamHealth[] streams
float32 free_gb
string proposal
string[] findings
""",
}
NAMES = {
    "ptr_msgs/msg/ArmState": {
        "measured_pose": "measured",
        "commanded_pose": "commanded",
        "gripper_position": "gripper",
        "commanded_gripper_position": "gripper_commanded",
    },
    "ptr_msgs/msg/ExecutedCommand": {"gripper_position": "gripper"},
    "ptr_msgs/msg/EpisodeEvent": {"type": "kind", "message": "text"},
}
"""By type, the names of then for the fields of today."""


@functools.lru_cache(maxsize=1)
def earlier_types() -> Typestore:
    """The types of ROS 2 Kilted, and those of `DEFINITIONS`."""
    store, types = get_typestore(Stores.ROS2_KILTED), {}
    for name, text in DEFINITIONS.items():
        types.update(get_types_from_msg(text, name))
    store.register(types)
    return store


def pose(x: float) -> Any:
    """A pose at (x, 0, 0.1) m, with the type of then."""
    types = earlier_types().types
    return types["geometry_msgs/msg/Pose"](
        types["geometry_msgs/msg/Point"](x, 0.0, 0.1), types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    )


def header(stamp: int) -> Any:
    """A header with a stamp in ns."""
    types = earlier_types().types
    time = types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    return types["std_msgs/msg/Header"](time, "base_link")


def with_earlier_definitions(episode: Path, root: Path, more: Iterable[tuple[str, int, Any]] = ()) -> Path:
    """Write an episode of today as it would have been recorded then; returns its folder below `root`.

    Args:
        more: topic, arrival (ns) and message, made of `earlier_types`, of what is recorded besides.
    """
    store, folder = earlier_types(), root / episode.name
    root.mkdir(parents=True, exist_ok=True)
    with Reader(episode) as reader:
        found = [(item.topic, arrival, _former(raw, item.msgtype)) for item, arrival, raw in reader.messages()]
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for topic, arrival, message in sorted([*found, *more], key=lambda entry: entry[1]):
            kind = message.__msgtype__
            if topic not in connections:
                text, _ = store.generate_msgdef(kind, ros_version=2)
                connections[topic] = writer.add_connection(topic, kind, msgdef=text, rihs01=store.hash_rihs01(kind))
            writer.write(connections[topic], arrival, store.serialize_cdr(message, kind))
    shutil.copy(episode / "episode.json", folder)
    return folder


def _former(raw: bytes, kind: str) -> Any:
    message, names = typestore().deserialize_cdr(raw, kind), NAMES.get(kind, {})
    fields = [name for name, _ in typestore().fielddefs[kind][1]]
    return earlier_types().types[kind](**{names.get(name, name): getattr(message, name) for name in fields})
