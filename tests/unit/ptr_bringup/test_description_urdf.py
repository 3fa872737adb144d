# SPDX-License-Identifier: Apache-2.0
"""The shipped URDF matches the suite's kinematics, and an invalid URDF is refused with a reason."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ptr_bringup.arm.model import kinematics as k
from ptr_bringup.description.urdf import Joint, RobotModel, UrdfError, parse_urdf, read_urdf

FILE = Path(__file__).resolve().parents[3] / "ptr_bringup" / "urdf" / "wx250s.urdf"
ROBOT = read_urdf(FILE)
JOINTS = {joint.name: joint for joint in ROBOT.joints}
INTERBOTIX = {
    "waist": ("base_link", "shoulder_link"),
    "shoulder": ("shoulder_link", "upper_arm_link"),
    "elbow": ("upper_arm_link", "upper_forearm_link"),
    "forearm_roll": ("upper_forearm_link", "lower_forearm_link"),
    "wrist_angle": ("lower_forearm_link", "wrist_link"),
    "wrist_rotate": ("wrist_link", "gripper_link"),
    "ee_arm": ("gripper_link", "ee_arm_link"),
    "gripper": ("ee_arm_link", "gripper_prop_link"),
    "gripper_bar": ("ee_arm_link", "gripper_bar_link"),
    "ee_bar": ("gripper_bar_link", "fingers_link"),
    "left_finger": ("fingers_link", "left_finger_link"),
    "right_finger": ("fingers_link", "right_finger_link"),
    "ee_gripper": ("fingers_link", "ee_gripper_link"),
}
"""Links of each joint in wx250s.urdf.xacro of interbotix_xsarm_descriptions, without their prefix."""

inside = arrays(float, 6, elements=st.floats(0.0, 1.0)).map(
    lambda share: k.JOINT_LOWER + share * (k.JOINT_UPPER - k.JOINT_LOWER)
)


def pose_of(link: str, positions: dict[str, float], robot: RobotModel = ROBOT) -> k.Pose:
    """Pose of a link in the root, by its chain of joints."""
    above = {joint.child: joint for joint in robot.joints}
    pose = k.Pose(np.zeros(3), np.eye(3))
    while link in above:
        translation, rotation = above[link].place(positions.get(above[link].name, 0.0))
        pose = k.Pose(translation + rotation @ pose.position, rotation @ pose.rotation)
        link = above[link].parent
    return pose


@pytest.fixture(scope="module")
def simulated() -> mujoco.MjModel:
    """The same file as MuJoCo reads it: a reader of URDF that is not ours."""
    robot = ElementTree.fromstring(FILE.read_text())
    options = {"fusestatic": "false", "discardvisual": "false", "boundmass": "1e-3", "boundinertia": "1e-6"}
    ElementTree.SubElement(ElementTree.SubElement(robot, "mujoco"), "compiler", options)
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(robot, encoding="unicode"))


def test_joints_and_links_have_the_names_that_interbotix_gives_them() -> None:
    assert {name: (joint.parent, joint.child) for name, joint in JOINTS.items()} == INTERBOTIX


@given(inside)
def test_the_chain_of_the_urdf_ends_where_the_kinematics_say(joints: np.ndarray) -> None:
    found = pose_of("ee_gripper_link", dict(zip(k.JOINT_NAMES, joints, strict=True)))
    expected = k.forward(joints)
    assert found.position == pytest.approx(expected.position, abs=1e-6)
    assert found.rotation == pytest.approx(expected.rotation, abs=1e-6)


@given(joints=inside, opening=st.floats(0.0, 1.0))
def test_another_reader_of_urdf_puts_every_link_at_the_same_place(
    simulated: mujoco.MjModel, joints: np.ndarray, opening: float
) -> None:
    finger = k.finger_from_gripper(opening)
    positions = ROBOT.positions(dict(zip(k.JOINT_NAMES, joints, strict=True)) | {"left_finger": finger, "gripper": 1.0})
    data = mujoco.MjData(simulated)
    for name, position in positions.items():
        data.joint(name).qpos[0] = position
    mujoco.mj_kinematics(simulated, data)
    assert k.forward(joints).position == pytest.approx(data.body("ee_gripper_link").xpos, abs=1e-6)
    for joint in ROBOT.joints:
        body, pose = data.body(joint.child), pose_of(joint.child, positions)
        assert pose.position == pytest.approx(body.xpos, abs=1e-6), joint.child
        assert pose.rotation.ravel() == pytest.approx(body.xmat, abs=1e-6), joint.child


def test_limits_are_those_of_the_kinematics() -> None:
    arm = [JOINTS[name] for name in k.JOINT_NAMES]
    assert [joint.lower for joint in arm] == pytest.approx(k.JOINT_LOWER, abs=1e-12)
    assert [joint.upper for joint in arm] == pytest.approx(k.JOINT_UPPER, abs=1e-12)
    assert [joint.velocity for joint in arm] == [k.JOINT_VELOCITY_LIMIT] * 6
    left, right = JOINTS["left_finger"], JOINTS["right_finger"]
    assert (left.lower, left.upper) == (-right.upper, -right.lower) == (k.FINGER_CLOSED, k.FINGER_OPEN)


def test_a_joint_that_is_not_measured_follows_the_one_that_it_mimics() -> None:
    assert ROBOT.positions({"left_finger": 0.02}) == {"left_finger": 0.02, "right_finger": -0.02}
    assert ROBOT.positions({"left_finger": 0.02, "right_finger": -0.03})["right_finger"] == -0.03
    assert ROBOT.positions({"elbow": 1.0, "a_motor_of_ours": 2.0}) == {"elbow": 1.0}


def test_every_link_that_is_drawn_has_a_material_that_is_defined() -> None:
    robot = ElementTree.fromstring(FILE.read_text())
    defined = {material.get("name") for material in robot.findall("material")}
    visuals = robot.findall("link/visual")
    assert len(visuals) > 10
    assert {visual.find("material").get("name") for visual in visuals} == defined


def turned(rpy: str) -> Joint:
    text = '<robot name="r"><link name="a"/><link name="b"/><joint name="j" type="revolute"><parent link="a"/>'
    text += f'<child link="b"/><origin xyz="1 2 3" rpy="{rpy}"/><axis xyz="0 0 2"/></joint></robot>'
    return parse_urdf(text).joints[0]


def test_an_origin_that_is_turned_turns_the_axis() -> None:
    translation, rotation = turned("0 1.5707963267948966 0").place(np.pi / 2)
    assert translation == pytest.approx([1.0, 2.0, 3.0])
    assert rotation @ [1.0, 0.0, 0.0] == pytest.approx([0.0, 1.0, 0.0])
    assert rotation @ [0.0, 0.0, 1.0] == pytest.approx([1.0, 0.0, 0.0])


LINKS = '<link name="a"/><link name="b"/>'
JOINT = '<joint name="j" type="fixed"><parent link="a"/><child link="b"/></joint>'
CIRCLE = JOINT + JOINT.replace('"a"', '"c"').replace('"b"', '"d"') + JOINT.replace('"a"', '"d"').replace('"b"', '"c"')


def with_part(part: str, kind: str = "fixed") -> str:
    """Two links and a joint that has one more element."""
    return f"<robot>{LINKS}{JOINT.replace('fixed', kind).replace('</joint>', part + '</joint>')}</robot>"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("<robot>", "invalid XML"),
        ("<mujoco/>", "its root element is 'mujoco'"),
        (f"<robot>{LINKS}</robot>", "2 links and 0 joints don't form a tree"),
        (f'<robot><link name="a"/>{JOINT}</robot>', "names the link 'b', which does not exist"),
        (f'<robot>{LINKS}<link name="c"/><link name="d"/>{CIRCLE}</robot>', "the link 'c' is not connected to 'a'"),
        (f'<robot>{LINKS}<joint name="j" type="fixed"/></robot>', "joint j has no parent"),
        (with_part("", kind="floating"), "joint j has the type floating"),
        (with_part('<origin xyz="1 2"/>'), "xyz is '1 2'; it must have 3 numbers"),
        (with_part('<origin rpy="0 0 nan"/>'), "rpy is '0 0 nan'; it must have 3 numbers"),
        (with_part('<axis xyz="0 0 0"/>', kind="revolute"), "axis of length 0"),
    ],
)
def test_what_is_no_urdf_is_refused_with_a_reason(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "robot.urdf"
    file.write_text(text)
    with pytest.raises(UrdfError) as caught:
        read_urdf(file)
    assert part in str(caught.value) and str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UrdfError, match=r"nothing\.urdf can't be read: No such file"):
        read_urdf(tmp_path / "nothing.urdf")
