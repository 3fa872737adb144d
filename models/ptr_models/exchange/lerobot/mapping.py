# SPDX-License-Identifier: Apache-2.0
"""Do the features of a data set fit a WidowX with end-effector displacements, and which column is which?"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Camera, Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.exchange.lerobot import layout

STATE_AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
ACTION_AXES = ("dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper")
_PLAIN = re.compile(r"[^a-z0-9]+")
_JOINTS = re.compile(r"joint|motor|waist|shoulder|elbow|wrist|forearm")
NEEDED = (
    "needed: state x, y, z (m), roll, pitch, yaw (rad, relative to the gripper pointing down) and gripper; "
    "action dx, dy, dz (m), droll, dpitch, dyaw (rad) per step and gripper (0 closed, 1 open)"
)


@dataclass(frozen=True)
class Fit:
    """Which columns make the state and the action, and which feature each camera uses.

    Attributes:
        state, action: (7,) columns in the order of `STATE_AXES` and `ACTION_AXES`.
        cameras: camera of the bags to feature.
        left_out: features of images that are not used, and why.
    """

    state: tuple[int, ...]
    action: tuple[int, ...]
    cameras: dict[str, str]
    left_out: dict[str, str]


def names_of(feature: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a vector's numbers: a list, or a list in a mapping such as {"motors": [...]}; empty: not given."""
    names = feature.get("names")
    if isinstance(names, dict):
        names = next((value for value in names.values() if isinstance(value, list)), None)
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return ()


def match(
    features: Mapping[str, Mapping[str, Any]],
    robot: str,
    contract: Contract,
    cameras: Mapping[str, str],
    state_names: tuple[str, ...] | None = None,
    action_names: tuple[str, ...] | None = None,
) -> Fit:
    """Columns and cameras of a data set.

    Args:
        robot: its robot_type. For a widowx, an action called x, y, z, ... is a displacement, as in the Bridge data.
        contract: of the bags; if it has only one camera, that uses `image_0` or the data set's only image.
        cameras: camera to feature, as requested; the rest is chosen here.
        state_names, action_names: in place of the data set's.
    Raises:
        EpisodeError: it does not match; the message says why, and what would match.
    """
    state, action = columns(features, robot, state_names, action_names)
    chosen, left_out = _cameras(features, contract, cameras)
    return Fit(state, action, chosen, left_out)


def columns(
    features: Mapping[str, Mapping[str, Any]],
    robot: str,
    state_names: tuple[str, ...] | None = None,
    action_names: tuple[str, ...] | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The indices of the state's and the action's numbers, in the order of the contract; as in `match`."""
    return (
        _axes(features, layout.STATE, STATE_AXES, robot, state_names),
        _axes(features, layout.ACTION, ACTION_AXES, robot, action_names),
    )


def _axes(
    features: Mapping[str, Mapping[str, Any]],
    key: str,
    axes: tuple[str, ...],
    robot: str,
    told: tuple[str, ...] | None,
) -> tuple[int, ...]:
    feature = features.get(key)
    if feature is None:
        raise EpisodeError(f"the data set has no {key}; {NEEDED}")
    shape = feature.get("shape")
    if not (isinstance(shape, list) and len(shape) == 1 and str(feature.get("dtype", "")).startswith("float")):
        raise EpisodeError(f"{key} is {feature.get('dtype')} of shape {shape}, not a row of floats; {NEEDED}")
    names = told or names_of(feature)
    option = f"--{key.removeprefix('observation.')}-names"
    if len(names) != shape[0]:
        raise EpisodeError(f"{key} has {shape[0]} numbers and {len(names)} names; give them with {option}; {NEEDED}")
    plain = [_PLAIN.sub("", name.lower()) for name in names]
    displaced = axes is ACTION_AXES
    bare = displaced and not told and not robot.lower().startswith(("widowx", "wx250"))
    places = []
    for axis in axes:
        known = {axis}
        if displaced and axis != "gripper":
            known |= {f"delta{axis[1:]}"} | (set() if bare else {axis[1:]})
        if axis == "gripper":
            known |= {"grip", "gripperpos", "gripperposition", "gripperopening"}
        place = next((index for index, name in enumerate(plain) if name in known), None)
        if place is None:
            raise EpisodeError(f"{key} of the robot {robot or 'unknown'} {_reason(names, axis, displaced)}; {NEEDED}")
        places.append(place)
    return tuple(places)


def _reason(names: tuple[str, ...], axis: str, displaced: bool) -> str:
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    if any(_JOINTS.search(name.lower()) for name in names):
        return f"holds joints ({shown}), which only the arm's kinematics could turn into end-effector motion"
    if displaced and axis[1:] in names:
        return (
            f"is called {shown}, which may be poses as well as displacements: if they are displacements per step, say "
            "so with --action-names dx,dy,dz,droll,dpitch,dyaw,gripper"
        )
    return f"has no {axis} among {shown}"


def _cameras(
    features: Mapping[str, Mapping[str, Any]], contract: Contract, asked: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    images, left_out = {}, {}
    for key, feature in features.items():
        if feature.get("dtype") in ("video", "image"):
            info = feature.get("info") or feature.get("video_info") or {}
            if isinstance(info, dict) and (info.get("video.is_depth_map") or info.get("is_depth_map")):
                left_out[key] = "it is a depth image"
            else:
                images[key.removeprefix(layout.IMAGES)] = key
    chosen: dict[str, str] = {}
    for name, key in asked.items():
        if key not in images:
            raise EpisodeError(f"the data set has no camera {key!r}; it has: {', '.join(images) or 'none'}")
        chosen[Camera(name).name] = images[key]
    wanted = [camera.name for camera in contract.cameras if camera.name not in chosen]
    rest = {name: key for name, key in images.items() if key not in chosen.values()}
    for name in [name for name in wanted if name in rest]:
        chosen[name] = rest.pop(name)
        wanted.remove(name)
    if len(wanted) == 1 and rest:
        other = "image_0" if "image_0" in rest else next(iter(rest)) if len(rest) == 1 else None
        if other is not None:
            chosen[wanted.pop()] = rest.pop(other)
    if wanted:
        raise EpisodeError(
            f"no image of the data set is camera {wanted[0]} of the contract; it has: {', '.join(images) or 'none'}; "
            f"select one with --camera {wanted[0]}=KEY"
        )
    for name, key in rest.items():
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", name)[:64]
        if plain and plain not in chosen:
            chosen[plain] = key
        else:
            left_out[key] = "another camera has its name"
    return chosen, left_out


def contract_at(contract: Contract, fps: int) -> Contract:
    """The same at the data set's rate."""
    return dataclasses.replace(contract, control_rate=float(fps))


def look_absolute(states: NDArray[np.float64], actions: NDArray[np.float64]) -> bool:
    """Whether the positions of actions (T, 7) are near those of states (T, 7): poses, not displacements."""
    size = np.median(np.linalg.norm(actions[:, :3], axis=1))
    return bool(np.median(np.linalg.norm(actions[:, :3] - states[:, :3], axis=1)) < 0.5 * size)
