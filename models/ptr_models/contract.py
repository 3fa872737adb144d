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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptr_models.errors import PtrError


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
        max_age: s; an older image is no observation.
    """

    name: str = "over_shoulder"
    height: int = 64
    width: int = 64
    resize: str = "squash_area"
    max_age: float = 0.3


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
        state_max_age: s; an older arm state is no observation.
        frame, end_effector: TF frames in which poses are given.
        gripper_closed, gripper_open: finger joint (m) that means 0 and 1.
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

    def __post_init__(self) -> None:
        if not len(self.action) == len(self.action_low) == len(self.action_high):
            raise ContractError(
                f"the contract names {len(self.action)} action dimensions but bounds {len(self.action_low)} "
                f"from below and {len(self.action_high)} from above; give one bound per dimension"
            )
        if not self.control_rate > 0:
            raise ContractError(f"control_rate is {self.control_rate} Hz; it must be positive")
        for camera in self.cameras:
            if camera.resize != "squash_area":
                raise ContractError(
                    f"camera {camera.name}: unknown resize {camera.resize!r}; known: squash_area"
                )
        sizes = {camera.name: (camera.height, camera.width) for camera in self.cameras}
        if len(set(sizes.values())) != 1:
            raise ContractError(f"cameras are stacked and need one common image size, not {sizes or 'none'}")
        if len(sizes) != len(self.cameras):
            raise ContractError(f"camera names must differ: {[camera.name for camera in self.cameras]}")

    @property
    def period(self) -> float:
        """Control period in s."""
        return 1.0 / self.control_rate

    def to_json(self) -> str:
        """The canonical form: sorted keys, no spaces."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical form."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Parse the canonical form (or any JSON with the same keys).

        Raises:
            ContractError: not JSON, an unknown or a missing key, or values that make no contract.
        """
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ContractError(f"the contract is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ContractError(f"the contract is a JSON {type(fields).__name__}, not an object")
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Contract:
        """Build a contract from a plain mapping, as `json` or `yaml` give it."""
        known = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != known:
            unknown, missing = sorted(set(fields) - known), sorted(known - set(fields))
            raise ContractError(f"the contract has unknown keys {unknown} and lacks {missing}")
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        try:
            values["cameras"] = tuple(Camera(**camera) for camera in fields["cameras"])
            return cls(**values)
        except TypeError as error:
            raise ContractError(f"the contract is malformed: {error}") from error

    def differences(self, other: Contract) -> list[str]:
        """Fields that differ, each as `field: mine != theirs`."""
        if self == other:
            return []
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{key}: {mine[key]!r} != {theirs[key]!r}" for key in mine if mine[key] != theirs[key]]

    def require(self, other: Contract, who: str) -> None:
        """Raise ContractError naming each field that differs, with both values, unless there is none."""
        found = self.differences(other)
        if found:
            raise ContractError(
                f"{who} follows another contract ({other.hash}, not {self.hash}): " + "; ".join(found)
            )
