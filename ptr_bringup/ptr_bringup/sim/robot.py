# SPDX-License-Identifier: Apache-2.0
"""The simulated robot in one process: physics and the arm's gate, without ROS and without a clock.

For bulk data and bulk evaluation. Commands pass the same `Gate` as those that arrive over topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_bringup.arm.gate.arbiter import Command, Kind
from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.model.kinematics import Pose, finger_from_gripper, state_from_pose
from ptr_bringup.arm.types import JointMeasurement, MoveReport
from ptr_bringup.sim.cameras import OVER_SHOULDER
from ptr_bringup.sim.world import Appearance, Variation, World

Array = NDArray[np.float64]
PERIOD = 0.2
"""Control period (s), unless a contract says otherwise."""
TICK = 0.05
"""Period of the gate (s)."""


@dataclass(frozen=True)
class Snapshot:
    """The robot at the start of a control step.

    Attributes:
        images: (height, width, 3) uint8 RGB by camera; only the requested cameras.
        state: (7,) float64, see the contract's proprioception.
        measured, commanded: end-effector poses.
        gripper, gripper_commanded: openings.
        joints: (6,) rad.
        objects: (K, 7) of item, target and other objects: position (m), quaternion x y z w, in base_link.
    """

    images: dict[str, NDArray[np.uint8]]
    state: Array
    measured: Pose
    commanded: Pose
    gripper: float
    gripper_commanded: float
    joints: Array
    objects: Array


class SimulatedRobot:
    """A World behind the arm's gate.

    Args:
        world: kitchen and task.
        width, height: pixels of the images.
        period: s of a control step, a whole number of TICKs.
        command_delay: s from the start of a step until the arm follows its action, a whole number of TICKs; until then
            it follows the previous one.
    Raises:
        ValueError: period or delay is not a multiple of TICK.
    """

    def __init__(
        self, world: World, width: int = 320, height: int = 240, period: float = PERIOD, command_delay: float = 0.0
    ) -> None:
        self._ticks = round(period / TICK)
        if self._ticks < 1 or abs(self._ticks * TICK - period) > 1e-6:
            raise ValueError(
                f"a control period of {period:g} s can't be simulated; use a multiple of {TICK:g} s "
                f"(control_rate {1 / TICK:g}, {0.5 / TICK:g}, {0.25 / TICK:g} Hz, ...)"
            )
        self._delay = round(command_delay / TICK)
        if not 0 <= self._delay < self._ticks or abs(self._delay * TICK - command_delay) > 1e-6:
            raise ValueError(
                f"a command delay of {command_delay:g} s can't be simulated; use a multiple of {TICK:g} s below "
                f"{period:g} s"
            )
        self.world, self._size, self.period = world, (width, height), period
        self._gate, self._now = Gate(), 0.0

    def reset(self, seed: int, variation: Variation | None = None) -> None:
        """Set up the scene of a seed, with the arm at its start."""
        self.world.reset(seed, variation)
        self._gate, self._now = Gate(), 0.0
        self._tick()

    def observe(self, cameras: Sequence[str] = (OVER_SHOULDER,)) -> Snapshot:
        """Arm, objects and the images of some cameras, which take most of the time."""
        world, gate = self.world, self._gate
        measured = world.tool_pose
        return Snapshot(
            self.images(cameras),
            state_from_pose(measured, world.gripper),
            measured,
            self.commanded,
            world.gripper,
            gate.gripper,
            world.joint_positions,
            np.stack([np.concatenate([at, turn[[1, 2, 3, 0]]]) for at, turn in world.object_poses().values()]),
        )

    def images(
        self, cameras: Sequence[str] = (OVER_SHOULDER,), appearance: Appearance | None = None
    ) -> dict[str, NDArray[np.uint8]]:
        """RGB (height, width, 3) by camera, now or for an earlier `World.appearance` of this scene."""
        return {name: self.world.render(*self._size, appearance, name) for name in cameras}

    def act(self, action: ArrayLike, source: str = "scripted") -> None:
        """Execute an action (7,) in m, rad and opening, for one control period."""
        action = np.asarray(action, dtype=float)
        for tick in range(self._ticks):
            if tick == self._delay:
                command = Command(self._now, source, action[:6] / self.period, float(action[6]), True, self.period)
                self._gate.command(Kind.HUMAN if source == "scripted" else Kind.POLICY, command, self._now)
            self._now += TICK
            self._tick()

    def move(self, goal: Pose, gripper: float = 1.0) -> bool:
        """Move slowly to a pose, like the arm node's MoveTo; returns whether the arm arrived.

        Raises:
            MoveError: the arm can't go there.
        """
        if self._gate.move_to_pose(goal, gripper, 0.0, self._now):
            return False
        report = None
        while report is None or not report.done:
            self._now += TICK
            report = self._tick()
        return report.success

    @property
    def commanded(self) -> Pose:
        """The pose that the next displacement is added to; before the first step, the measured one."""
        target = self._gate.target
        return self.world.tool_pose if target is None else target

    def _tick(self) -> MoveReport | None:
        world = self.world
        measured = JointMeasurement(
            self._now, world.joint_positions, world.joint_velocities, world.joint_efforts[:6], world.finger
        )
        output = self._gate.tick(self._now, measured)
        if output.joints is not None:
            self.world.step(output.joints, finger_from_gripper(output.gripper), TICK)
        return output.move
