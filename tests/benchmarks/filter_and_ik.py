# SPDX-License-Identifier: Apache-2.0
"""How long do inverse kinematics and the whole safety filter take? One JSON line each.

    python tests/benchmarks/filter_and_ik.py

`inverse` is the inverse kinematics alone: for reachable poses (made by forward kinematics of random joints within the
limits) from the neutral pose, for the next pose of a 5 mm step from the joints before, and for poses out of reach.
`filter` is `limit_pose` for such steps: box, shell, table, inverse kinematics, joint limits, collisions, joint speed;
`tick` is the whole gate with a command in force. Limits at the 99th percentile: 2 ms for inverse kinematics, 3 ms for
the filter with it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ptr_bringup.arm.gate.arbiter import Command, Kind
from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.gate.limits import Limits, limit_pose
from ptr_bringup.arm.model import kinematics
from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import advance
from ptr_bringup.arm.types import JointMeasurement

NEUTRAL = np.array([-0.13192235, -0.76238847, 0.44485444, -0.01994175, 1.7564081, -0.15953401])
START = np.array([0.0, 0.02201199, 0.18310092, 0.0, 1.36568341, 0.0])
SPREAD = np.array([0.5, 0.3, 0.3, 0.2, 0.3, 0.5])  # rad about START


def timed(what: str, calls: Iterable[tuple[Any, ...]], function: Callable[..., Any], limit_ms: float) -> None:
    """Print the line of one function over many arguments."""
    gc.collect()
    took, answered = [], 0
    for arguments in calls:
        begin = time.perf_counter()
        answer = function(*arguments)
        took.append((time.perf_counter() - begin) * 1e3)
        answered += answer is not None
    p50, p99 = np.percentile(took, [50, 99])
    line = {"benchmark": "filter_and_ik", "what": what, "calls": len(took), "answered": answered}
    line |= {"p50_ms": round(p50, 4), "p99_ms": round(p99, 4), "max_ms": round(max(took), 3), "limit_ms": limit_ms}
    print(json.dumps(line | {"load": round(os.getloadavg()[0], 2)}), flush=True)


def steps(count: int, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Wishes a step of 5 mm and 0.025 rad away, each with target and joints before."""
    made = []
    for joints in START + rng.uniform(-SPREAD, SPREAD, (count, 6)):
        target = kinematics.forward(joints)
        requested = advance(target, rng.uniform(-1.0, 1.0, 6) * [*[0.005] * 3, *[0.025] * 3], 1.0)
        made.append((requested, target, joints))
    return made


def ticks(count: int) -> Iterable[tuple[Any, ...]]:
    """Ticks of a gate at 50 Hz whose arm follows; a command every tenth, in circles."""
    core, now, joints = Gate(), 0.0, START
    for k in range(count):
        now += 0.02
        if k % 10 == 0:
            angle = 0.3 * k
            twist = np.array([0.1 * np.cos(angle), 0.1 * np.sin(angle), 0.0, 0.0, 0.0, 0.3 * np.sin(angle)])
            core.command(Kind.POLICY, Command(now, "policy", twist, 1.0), now)
        yield core, now, JointMeasurement(now, joints, np.zeros(6), np.zeros(6), kinematics.FINGER_OPEN)
        joints = core.joints.copy()


def main() -> None:
    """Parse the options and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=10_000, help="calls of each kind (10000)")
    count, rng = parser.parse_args().poses, np.random.default_rng(0)
    joints = rng.uniform(kinematics.JOINT_LOWER, kinematics.JOINT_UPPER, (count, 6))
    poses = [kinematics.forward(q) for q in joints]
    timed("inverse, reachable poses from the neutral pose", [(pose, NEUTRAL) for pose in poses], inverse, 2.0)
    far = [kinematics.Pose(pose.position * 0.1 + [0.7, 0.3, 0.2], pose.rotation) for pose in poses]
    timed("inverse, poses out of reach", [(pose, NEUTRAL) for pose in far], inverse, 2.0)
    near = steps(count, rng)
    timed("inverse, steps", [(requested, before) for requested, _, before in near], inverse, 2.0)
    limits = Limits(workspace_min=(0.05, -0.4, 0.0), workspace_max=(0.5, 0.4, 0.5))
    timed(
        "filter, steps", near, lambda requested, target, q: limit_pose(requested, target, q, limits, 0.02).joints, 3.0
    )
    timed("tick of the gate", ticks(count), lambda core, now, state: core.tick(now, state).joints, 3.0)


if __name__ == "__main__":
    main()
