# SPDX-License-Identifier: Apache-2.0
"""What a policy sees and does: the one agreement between recorder, training and policy server.

The recorder writes the contract into every bag, training refuses bags that disagree and stores it in the
checkpoint, the server refuses a robot that disagrees. The table of tasks is not part of it: a laboratory adds
tasks every week, and an old demonstration stays valid (the checkpoint carries the table, see
`ptr_models.training`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.input_limits import MAX_CONTROL_RATE, MAX_IMAGE_SIDE, MIN_CONTROL_RATE
from ptr_models.json_input import parse_object
from ptr_models.typed_values import require_range, require_type, require_types

LONGEST_LATENCY = 0.5
"""s. A camera with more latency is no use for control; the live buffers hold about as much."""
OBJECT_FEATURES = (
    *("item_x", "item_y", "item_z", "item_sin_2yaw", "item_cos_2yaw"),
    *("target_x", "target_y", "target_z", "target_sin_yaw", "target_cos_yaw"),
)
"""What a policy can see of simulated objects instead of images; `episodes.object_features` computes it."""
LONGEST_AGE = 60.0
"""s; an older sample says nothing about the world as it is now."""
_CAMERA_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


class ContractError(PtrError, ValueError):
    """Two parties disagree about the contract, or a contract is malformed."""


@dataclass(frozen=True)
class Camera:
    """One image stream of the observation.

    Attributes:
        name: the stream is /camera/NAME/image/compressed.
        height, width: pixels of the image that the networks see.
        resize: `squash_area`: the whole frame is scaled to (height, width) by area averaging, a JPEG of at least
            twice that size after it was decoded at half its own; the aspect ratio is not kept, as in Bridge and PTR.
        max_age: s; an older image is not used.
        latency: s from an event to the stamp of the image that shows it, as `ptr calibrate latency` measures it.
    """

    name: str = "over_shoulder"
    height: int = 64
    width: int = 64
    resize: str = "squash_area"
    max_age: float = 0.3
    latency: float = 0.0

    def __post_init__(self) -> None:
        require_types(self, ContractError, f"camera {str(self.name)[:80]!r}: ")
        if not _CAMERA_NAME.fullmatch(self.name):
            raise ContractError(f"a camera is called {self.name[:80]!r}; use letters, digits and '_', 64 at most")
        for field in ("height", "width"):
            require_range(f"camera {self.name}: {field}", getattr(self, field), 1, MAX_IMAGE_SIDE, ContractError)
        require_range(f"camera {self.name}: max_age", self.max_age, 0.001, LONGEST_AGE, ContractError)


@dataclass(frozen=True)
class Contract:
    """The observation, the action and the clock of a policy.

    Attributes:
        cameras: image streams, in the order in which they are stacked.
        proprioception: names of the state vector; Euler angles are fixed-axis XYZ of the end effector's
            rotation relative to "gripper straight down" (Bridge's DEFAULT_ROTATION).
        action: names of the action vector; the six deltas are per control step, along the axes of base_link,
            and integrate on the last commanded pose; the gripper is absolute.
        action_low, action_high: bounds of the action in those units, mapped to [-1, 1] for the networks.
        control_rate: Hz.
        state_max_age: s; an older arm state is not used.
        frame, end_effector: TF frames in which poses are given.
        gripper_closed, gripper_open: finger joint (m) that means 0 and 1.
        command_latency: s from the stamp of a command to the motion that it causes. No observation depends on it.
        objects: names of OBJECT_FEATURES that follow the proprioception in the state vector; only a simulator has
            them. A contract with objects needs no cameras.
    """

    version: int = 1
    cameras: tuple[Camera, ...] = (Camera(),)
    proprioception: tuple[str, ...] = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    action: tuple[str, ...] = ("dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper")
    action_low: tuple[float, ...] = (-0.05, -0.05, -0.05, -0.25, -0.25, -0.25, 0.0)
    action_high: tuple[float, ...] = (0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1.0)
    control_rate: float = 5.0
    state_max_age: float = 0.3
    frame: str = "base_link"
    end_effector: str = "ee_gripper_link"
    gripper_closed: float = 0.015
    gripper_open: float = 0.037
    command_latency: float = 0.0
    objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_types(self, ContractError, "the contract's ")
        if not len(self.action) == len(self.action_low) == len(self.action_high):
            raise ContractError(
                f"the contract names {len(self.action)} action dimensions but bounds {len(self.action_low)} "
                f"from below and {len(self.action_high)} from above; give one bound per dimension"
            )
        if not self.control_rate > 0:
            raise ContractError(f"control_rate is {self.control_rate} Hz; it must be positive")
        require_range("control_rate", self.control_rate, MIN_CONTROL_RATE, MAX_CONTROL_RATE, ContractError)
        require_range("state_max_age", self.state_max_age, 0.001, LONGEST_AGE, ContractError)
        for name, low, high in zip(self.action, self.action_low, self.action_high, strict=True):
            if not low < high:
                raise ContractError(f"action {name} has the bounds {low:g} and {high:g}; the first must be lower")
        for camera in self.cameras:
            if camera.resize != "squash_area":
                raise ContractError(f"camera {camera.name}: unknown resize {camera.resize!r}; known: squash_area")
        sizes = {camera.name: (camera.height, camera.width) for camera in self.cameras}
        unknown = [name for name in self.objects if name not in OBJECT_FEATURES]
        if unknown:
            raise ContractError(f"unknown object features {unknown}; known: {', '.join(OBJECT_FEATURES)}")
        if len(set(sizes.values())) != 1 and (sizes or not self.objects):
            raise ContractError(f"cameras are stacked and need one common image size, not {sizes or 'none'}")
        if len(sizes) != len(self.cameras):
            raise ContractError(f"camera names must differ: {[camera.name for camera in self.cameras]}")
        latencies = {"command_latency": self.command_latency}
        latencies |= {f"the latency of camera {camera.name}": camera.latency for camera in self.cameras}
        for name, value in latencies.items():
            if not (isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= LONGEST_LATENCY):
                raise ContractError(f"{name} is {value!r}; it must be from 0 to {LONGEST_LATENCY:g} s")

    @property
    def period(self) -> float:
        """Control period in s."""
        return 1.0 / self.control_rate

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state vector: proprioception, then objects."""
        return self.proprioception + self.objects

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the stacked images; (0, 0, 0) without cameras."""
        if not self.cameras:
            return (0, 0, 0)
        return (self.cameras[0].height, self.cameras[0].width, 3 * len(self.cameras))

    @property
    def observation_delay(self) -> float:
        """s by which an observation trails the world if it has to wait for the slowest camera."""
        return max((camera.latency for camera in self.cameras), default=0.0)

    def low_dim(self) -> Contract:
        """The same with the positions of simulated objects in place of images."""
        return dataclasses.replace(self, cameras=(), objects=OBJECT_FEATURES)

    def to_dict(self) -> dict[str, Any]:
        """A plain mapping, from which `from_dict` makes the same contract.

        Latencies of zero and an empty list of objects are left out, so that contracts keep the hash that they had
        before there were any.
        """
        fields = dataclasses.asdict(self)
        if not self.objects:
            del fields["objects"]
        for holder, name in [(fields, "command_latency"), *((camera, "latency") for camera in fields["cameras"])]:
            if not holder[name]:
                del holder[name]
        return fields

    def to_json(self) -> str:
        """The canonical form: `to_dict` with sorted keys and no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical form."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Parse the canonical form (or any JSON with the same keys).

        Raises:
            ContractError: not JSON, an unknown or a missing key, or invalid values.
        """
        return cls.from_dict(parse_object(text, "the contract", ContractError))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Contract:
        """Build a contract from a plain mapping, as `json` or `yaml` give it."""
        known = {field.name for field in dataclasses.fields(cls)}
        require_type(dict[str, Any], fields, "the contract", ContractError)
        unknown, missing = sorted(set(fields) - known), sorted(known - set(fields) - {"command_latency", "objects"})
        if unknown or missing:
            raise ContractError(f"the contract has unknown keys {unknown} and lacks {missing}")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
        }
        try:
            require_type(tuple[dict[str, Any], ...], fields["cameras"], "the contract's cameras", ContractError)
            values["cameras"] = tuple(Camera(**camera) for camera in fields["cameras"])
            return cls(**values)
        except TypeError as error:
            raise ContractError(f"the contract is malformed: {error}") from error

    def with_latencies(self, robot: Contract) -> Contract:
        """This contract on another robot: the same in everything but the latencies, which are that robot's.

        Raises:
            ContractError: the robot lacks one of the cameras.
        """
        known = {camera.name: camera.latency for camera in robot.cameras}
        absent = [camera.name for camera in self.cameras if camera.name not in known]
        if absent:
            raise ContractError(f"the robot has no camera {', '.join(absent)}; it has: {', '.join(known)}")
        cameras = tuple(dataclasses.replace(camera, latency=known[camera.name]) for camera in self.cameras)
        return dataclasses.replace(self, cameras=cameras, command_latency=robot.command_latency)

    def without_latencies(self) -> Contract:
        """What has to be the same for all parties."""
        cameras = tuple(dataclasses.replace(camera, latency=0.0) for camera in self.cameras)
        return dataclasses.replace(self, cameras=cameras, command_latency=0.0)

    def reaction(self) -> float:
        """s by which a motion trails the moment that its observation showed, without the time to compute."""
        return self.observation_delay + self.command_latency

    def latency_warning(self, robot: Contract) -> str:
        """A sentence if a robot reacts later or sooner than the one whose data trained this policy; otherwise empty.

        Cameras that are faster than those of the data are waited for; slower ones can't be compensated for. Beyond half
        a control period, an image is nearer to another step than to the one that it was paired with.
        """
        delay = max(self.observation_delay, robot.observation_delay)
        late = delay + robot.command_latency - self.reaction()
        if abs(late) <= 0.5 * self.period:
            return ""
        return (
            f"the robot reacts {1e3 * abs(late):.0f} ms {'later' if late > 0 else 'sooner'} than in the training data "
            f"(camera {1e3 * robot.observation_delay:.0f} ms and command {1e3 * robot.command_latency:.0f} ms, not "
            f"{1e3 * self.observation_delay:.0f} and {1e3 * self.command_latency:.0f}): more than half a control step; "
            "measure with `ptr calibrate latency`, and train with data of this robot"
        )

    def differences(self, other: Contract, source: bool = False) -> list[str]:
        """Fields that differ, each as `field: mine != theirs`; latencies may differ.

        The other may offer more than this one needs: cameras if this one has none, and objects. Whether a bag has
        objects is checked when it is read.

        Args:
            source: the other belongs to a bag or a robot, which provides the images. Its full images can be resized to
                any size, and cameras that this one does not use are ignored.
        """
        mine, theirs = (dataclasses.asdict(contract.without_latencies()) for contract in (self, other))
        compared = [key for key in mine if key not in ("objects", "cameras")]
        found = [f"{key}: {_shown(mine[key])} != {_shown(theirs[key])}" for key in compared if mine[key] != theirs[key]]
        return found + (_of_cameras(self.cameras, other.cameras, source) if self.cameras else [])

    def require(self, other: Contract, who: str, source: bool = False) -> None:
        """Raise ContractError if any field differs; it names each of them with both values."""
        found = self.differences(other, source)
        if found:
            raise ContractError(f"{who} follows another contract ({other.hash}, not {self.hash}): " + "; ".join(found))

    def with_cameras(self, names: Sequence[str]) -> Contract:
        """The same with cameras of these names; new ones are like its first one."""
        known = {camera.name: camera for camera in self.cameras}
        usual = self.cameras[0] if self.cameras else Camera()
        cameras = tuple(known.get(name, dataclasses.replace(usual, name=name, latency=0.0)) for name in names)
        return dataclasses.replace(self, cameras=cameras)

    def with_image_size(self, height: int, width: int) -> Contract:
        """The same with images of another size."""
        cameras = tuple(dataclasses.replace(camera, height=height, width=width) for camera in self.cameras)
        return dataclasses.replace(self, cameras=cameras)


def _of_cameras(mine: tuple[Camera, ...], theirs: tuple[Camera, ...], source: bool) -> list[str]:
    """What differs between the cameras of two contracts, latencies aside."""
    names = [[camera.name for camera in cameras] for cameras in (mine, theirs)]
    if not set(names[0]) <= set(names[1]) if source else names[0] != names[1]:
        return [f"cameras: {_shown(names[0])} != {_shown(names[1])}"]
    found, known = [], {camera.name: camera for camera in theirs}
    for one in mine:
        two = known[one.name]
        if not source and (one.width, one.height) != (two.width, two.height):
            found.append(f"camera {one.name}, size: {one.width}x{one.height} != {two.width}x{two.height}")
        for field in ("resize", "max_age"):
            if getattr(one, field) != getattr(two, field):
                found.append(f"camera {one.name}, {field}: {getattr(one, field)} != {getattr(two, field)}")
    return found


def _shown(value: Any) -> str:
    """A value in a sentence."""
    return ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)
