# SPDX-License-Identifier: Apache-2.0
"""The arm's distance from itself and the table, against another implementation's geometry."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ptr_bringup.arm.gate.limits import Limits, Reason, limit_joints
from ptr_bringup.arm.model import collision, kinematics
from ptr_bringup.arm.model.collision import CAPSULES, clearance
from ptr_bringup.arm.motion.trajectory import NAMED_JOINTS

inside = arrays(float, 6, elements=st.floats(0.0, 1.0)).map(
    lambda share: kinematics.JOINT_LOWER + share * (kinematics.JOINT_UPPER - kinematics.JOINT_LOWER)
)
NO_TABLE = -10.0
FOLDED = np.array([0.0, -1.0, 1.5, 0.0, 0.7, 0.0])  # the hand bent back to the upper arm


class Physics:
    """The same capsules as a MuJoCo model: its kinematic tree and its distances are not ours."""

    def __init__(self) -> None:
        axes = ("0 0 1", "0 1 0", "0 1 0", "1 0 0", "0 1 0", "1 0 0")
        origins = np.array(
            [[0, 0, 0.072], [0, 0, 0.11065], [0.04975, 0, 0.36065], [0.22475, 0, 0.36065]]
            + [[0.29975, 0, 0.36065], [0.36475, 0, 0.36065]]
        )
        xml, before = self._geoms(0, np.zeros(3)), np.zeros(3)
        for k, (axis, origin) in enumerate(zip(axes, origins, strict=True), start=1):
            place = " ".join(map(str, origin - before))
            xml += f'<body pos="{place}"><joint axis="{axis}"/>' + self._geoms(k, origin)
            before = origin
        self.model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{xml}{'</body>' * 6}</worldbody></mujoco>")
        self.data = mujoco.MjData(self.model)

    @staticmethod
    def _geoms(joint: int, origin: np.ndarray) -> str:
        return "".join(
            f'<geom name="{k}" type="capsule" mass="0.1" size="{c.radius}" '
            f'fromto="{" ".join(map(str, [*(c.begin - origin), *(c.end - origin)]))}"/>'
            for k, c in enumerate(CAPSULES)
            if c.joint == joint
        )

    def distance(self, joints: np.ndarray) -> float:
        self.data.qpos[:] = joints
        mujoco.mj_kinematics(self.model, self.data)
        pairs = zip(collision._FIRST, collision._SECOND, strict=True)
        return min(
            mujoco.mj_geomDistance(
                self.model, self.data, self.model.geom(str(i)).id, self.model.geom(str(j)).id, 2.0, None
            )
            for i, j in pairs
        )


@pytest.fixture(scope="module")
def physics() -> Physics:
    return Physics()


@given(joints=inside)
def test_distances_are_those_of_mujoco(physics: Physics, joints: np.ndarray) -> None:
    ours, theirs = clearance(joints, NO_TABLE).distance, physics.distance(joints)
    assert max(ours, -0.03) == pytest.approx(max(theirs, -0.03), abs=2e-4)


@pytest.mark.parametrize("name", NAMED_JOINTS)
def test_the_named_poses_are_free(name: str) -> None:
    assert clearance(NAMED_JOINTS[name], 0.0).distance > 0.0


def test_a_hand_folded_back_to_the_upper_arm_may_only_unfold() -> None:
    assert clearance(FOLDED, 0.0).distance < -0.005
    pose = kinematics.forward(FOLDED)
    for bend, refused in ((0.02, True), (-0.02, False)):
        requested = FOLDED + [0.0, 0.0, 0.0, 0.0, bend, 0.0]
        limits = Limits(reach_min=0.0)
        verdict = limit_joints(requested, pose, pose, FOLDED, limits, 1.0)
        assert (verdict.reason == Reason.COLLISION) is refused, verdict.detail


def test_an_elbow_near_the_end_of_its_range_of_92_degrees_does_not_touch_the_upper_arm() -> None:
    """With the hand bent away: the joint itself stops the forearm (Interbotix's limit is 1.606 rad)."""
    assert clearance(np.array([0.0, -1.0, 1.58, 0.0, -1.0, 0.0]), NO_TABLE).distance > 0.0


def test_the_elbow_and_forearm_stay_above_the_table() -> None:
    low = np.array([0.0, 1.9, -0.2, 0.0, -1.5, 0.0])  # stretched forward and down, the gripper bent up again
    tight = clearance(low, 0.0)
    assert tight.distance < 0.0
    assert tight.parts[1] == "table"
    assert clearance(low, tight.distance - 0.001).distance > 0.0


def test_a_step_that_ends_free_passes_from_a_place_that_is_too_near() -> None:
    start = NAMED_JOINTS["start"]
    limits = Limits(reach_min=0.0, max_joint_velocity=100.0)
    verdict = limit_joints(start, kinematics.forward(start), kinematics.forward(FOLDED), FOLDED, limits, 1.0)
    assert verdict.joints is start
