# SPDX-License-Identifier: Apache-2.0
"""Message types of the suite for programs without ROS: the texts are those of `ptr_msgs`."""

from __future__ import annotations

import functools
import struct
from importlib import resources

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

IMAGE = "sensor_msgs/msg/CompressedImage"
JOINT_STATE = "sensor_msgs/msg/JointState"
STRING = "std_msgs/msg/String"
ARM_STATE = "ptr_msgs/msg/ArmState"
EXECUTED_COMMAND = "ptr_msgs/msg/ExecutedCommand"
EPISODE_EVENT = "ptr_msgs/msg/EpisodeEvent"
OBJECT_STATES = "ptr_msgs/msg/ObjectStates"

ARM_STATE_TOPIC = "/arm/state"
EXECUTED_TOPIC = "/arm/executed"
JOINT_STATE_TOPIC = "/joint_states"
EVENT_TOPIC = "/episode/event"
METADATA_TOPIC = "/episode/metadata"
OBJECTS_TOPIC = "/simulator/objects"
SAFETY_TOPIC = "/arm/safety"
POLICY_STEP_TOPIC = "/policy/step"


def image_topic(camera: str) -> str:
    """Topic of the compressed images of a camera."""
    return f"/camera/{camera}/image/compressed"


def settings_topic(camera: str) -> str:
    """Topic of a camera's requested and actual settings: rate, exposure, focus, and whether it is simulated."""
    return f"/camera/{camera}/settings"


@functools.lru_cache(maxsize=1)
def typestore() -> Typestore:
    """The types of ROS 2 Kilted and of ptr_msgs (built once per process)."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = {}
    for entry in sorted(resources.files(__package__).iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".msg"):
            types.update(get_types_from_msg(entry.read_text(encoding="utf-8"), f"ptr_msgs/msg/{entry.name[:-4]}"))
    store.register(types)
    return store


@functools.lru_cache(maxsize=256)
def definition(type_name: str) -> tuple[str, str]:
    """Message definition text and RIHS01 hash of a type, as a bag stores them.

    Raises:
        KeyError: the type is neither in ROS 2 Kilted nor in ptr_msgs.
    """
    store = typestore()
    if type_name not in store.fielddefs:
        raise KeyError(type_name)
    return store.generate_msgdef(type_name, ros_version=2)[0], store.hash_rihs01(type_name)


def header_stamp(cdr: bytes | memoryview) -> int:
    """Stamp (ns) of a serialized message that starts with a std_msgs/Header, without decoding the rest."""
    seconds, nanoseconds = struct.unpack_from("<iI" if cdr[1] & 1 else ">iI", cdr, 4)
    return seconds * 1_000_000_000 + nanoseconds


@functools.lru_cache(maxsize=256)
def has_header(type_name: str) -> bool:
    """Whether the first field of a type is a std_msgs/Header."""
    fields = typestore().fielddefs.get(type_name, ([], []))[1]
    return bool(fields) and fields[0][0] == "header"
