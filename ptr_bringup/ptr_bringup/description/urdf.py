# SPDX-License-Identifier: Apache-2.0
"""The joints of a URDF and their transforms. No ROS."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.common.rotations import matrix_from_rotation_vector, matrix_from_rpy

Array = NDArray[np.float64]
FIXED, PRISMATIC = "fixed", "prismatic"
KINDS = (FIXED, PRISMATIC, "revolute", "continuous")


class UrdfError(PtrError):
    """A robot description can't be used; the message says why."""


@dataclass(frozen=True)
class Mimic:
    """A joint that follows another one: multiplier times its position plus offset (rad or m)."""

    joint: str
    multiplier: float
    offset: float


@dataclass(frozen=True)
class Joint:
    """A joint between two links.

    Attributes:
        kind: one of KINDS.
        parent, child: names of links.
        translation, rotation: of the child in the parent at position 0: (3,) m and (3, 3).
        axis: (3,) unit vector in the child; meaningless for fixed joints.
        lower, upper: limits (rad or m), velocity: limit (rad/s or m/s); NaN: none.
        mimic: the joint that it follows, if any.
    """

    name: str
    kind: str
    parent: str
    child: str
    translation: Array
    rotation: Array
    axis: Array
    lower: float
    upper: float
    velocity: float
    mimic: Mimic | None = None

    def place(self, position: float) -> tuple[Array, Array]:
        """Translation (3,) in m and rotation matrix (3, 3) of the child in the parent, at a position in rad or m."""
        if self.kind == FIXED:
            return self.translation, self.rotation
        if self.kind == PRISMATIC:
            return self.translation + self.rotation @ self.axis * position, self.rotation
        return self.translation, self.rotation @ matrix_from_rotation_vector(self.axis * position)


@dataclass(frozen=True)
class RobotModel:
    """A robot described by a URDF.

    Attributes:
        text: the URDF.
        joints: parents before children.
    """

    text: str
    joints: tuple[Joint, ...]

    @property
    def moving(self) -> tuple[Joint, ...]:
        """Joints with a position."""
        return tuple(joint for joint in self.joints if joint.kind != FIXED)

    @property
    def fixed(self) -> tuple[Joint, ...]:
        """Joints without a position."""
        return tuple(joint for joint in self.joints if joint.kind == FIXED)

    def positions(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Positions of the measured joints, and of unmeasured ones that follow one of them."""
        found = {joint.name: measured[joint.name] for joint in self.moving if joint.name in measured}
        for joint in self.moving:
            if joint.mimic is not None and joint.name not in found and joint.mimic.joint in measured:
                found[joint.name] = joint.mimic.multiplier * measured[joint.mimic.joint] + joint.mimic.offset
        return found


def read_urdf(path: Path) -> RobotModel:
    """The robot of a URDF file.

    Raises:
        UrdfError: it can't be read, or is not a URDF with a single tree of links.
    """
    try:
        return parse_urdf(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UrdfError(f"the robot description {path} can't be read: {error.strerror}") from error
    except (UrdfError, UnicodeDecodeError) as error:
        raise UrdfError(f"the robot description {path} can't be used: {error}") from error


def parse_urdf(text: str) -> RobotModel:
    """The robot of a URDF.

    Raises:
        UrdfError: it is not a URDF with a single tree of links.
    """
    try:
        robot = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UrdfError(f"invalid XML: {error}") from error
    if robot.tag != "robot":
        raise UrdfError(f"its root element is {robot.tag!r}, not 'robot'; a xacro file must be expanded first")
    links = [_attribute(link, "name") for link in robot.findall("link")]
    joints = [_joint(element) for element in robot.findall("joint")]
    return RobotModel(text, _in_order(links, joints))


def _in_order(links: list[str], joints: list[Joint]) -> tuple[Joint, ...]:
    """The joints, parents before children.

    Raises:
        UrdfError: they don't form a single tree of these links.
    """
    for joint in joints:
        if missing := {joint.parent, joint.child} - set(links):
            raise UrdfError(f"joint {joint.name} names the link {min(missing)!r}, which does not exist")
    roots = set(links) - {joint.child for joint in joints}
    if len(roots) != 1 or len(joints) != len(links) - 1:
        raise UrdfError(f"its {len(links)} links and {len(joints)} joints don't form a tree with one root")
    reached, found = roots, list[Joint]()
    while waiting := [joint for joint in joints if joint.parent in reached and joint.child not in reached]:
        reached |= {joint.child for joint in waiting}
        found += waiting
    if len(reached) != len(links):
        raise UrdfError(f"the link {min(set(links) - reached)!r} is not connected to {min(roots)!r}")
    return tuple(found)


def _joint(element: ElementTree.Element) -> Joint:
    name, kind = _attribute(element, "name"), _attribute(element, "type")
    if kind not in KINDS:
        raise UrdfError(f"joint {name} has the type {kind}; supported: {', '.join(KINDS)}")
    axis = _numbers(element.find("axis"), "xyz", (1.0, 0.0, 0.0))
    length = float(np.linalg.norm(axis))
    if kind != FIXED and length < 1e-6:
        raise UrdfError(f"joint {name} has an axis of length 0")
    limit, mimic = element.find("limit"), element.find("mimic")
    lower, upper, velocity = (_number(limit, key, float("nan")) for key in ("lower", "upper", "velocity"))
    joint = Joint(
        name=name,
        kind=kind,
        parent=_attribute(_child(element, "parent"), "link"),
        child=_attribute(_child(element, "child"), "link"),
        translation=_numbers(element.find("origin"), "xyz", (0.0, 0.0, 0.0)),
        rotation=matrix_from_rpy(_numbers(element.find("origin"), "rpy", (0.0, 0.0, 0.0))),
        axis=axis / max(length, 1e-6),
        lower=lower,
        upper=upper,
        velocity=velocity,
    )
    if mimic is None:
        return joint
    follows = Mimic(_attribute(mimic, "joint"), _number(mimic, "multiplier", 1.0), _number(mimic, "offset", 0.0))
    return dataclasses.replace(joint, mimic=follows)


def _child(element: ElementTree.Element, tag: str) -> ElementTree.Element:
    child = element.find(tag)
    if child is None:
        raise UrdfError(f"{element.tag} {element.get('name')} has no {tag}")
    return child


def _attribute(element: ElementTree.Element, key: str) -> str:
    value = element.get(key)
    if not value:
        raise UrdfError(f"an element {element.tag!r} has no {key}")
    return value


def _number(element: ElementTree.Element | None, key: str, default: float) -> float:
    return float(_numbers(element, key, (default,))[0])


def _numbers(element: ElementTree.Element | None, key: str, default: tuple[float, ...]) -> Array:
    text = None if element is None else element.get(key)
    if text is None:
        return np.array(default)
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.array([])
    if len(values) != len(default) or not np.isfinite(values).all():
        raise UrdfError(f"{key} is {text!r}; it must have {len(default)} number{'s' * (len(default) > 1)}")
    return values
