# SPDX-License-Identifier: Apache-2.0
"""The scripted operator beside people: the first steps of real Bridge episodes and of simulated ones.

    .venv/bin/python tests/benchmarks/operator_against_bridge.py --bridge FOLDER --episodes 60

FOLDER holds RLDS shards of Bridge V2; the sample that Octo ships has 25 episodes, each cut to 10 steps, so the same
many steps of both are compared. The length of whole episodes is that of the published statistics. One Markdown table.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptr_bringup.sim.operator import MANNERS, ScriptedOperator
from ptr_bringup.sim.robot import SimulatedRobot
from ptr_bringup.sim.tasks import PRETRAINING_TASKS
from ptr_bringup.sim.world import World
from ptr_models.episodes.importing.bridge import find_files, read_bridge

Episodes = Sequence[np.ndarray]
IDLE = 0.002
"""m; a step that moves less is idle."""


def real(folder: Path) -> Episodes:
    """Actions (T, 7) of each Bridge episode."""
    return [np.asarray(episode.actions) for file in find_files(folder) for episode in read_bridge(file)]


def simulated(manner: str, level: str, count: int) -> tuple[Episodes, list[int]]:
    """Actions (T, 7) of successful demonstrations, and how often each closed the gripper."""
    episodes, grasps = [], []
    for index in range(count):
        with World(f"toykitchen{1 + index % 12}", PRETRAINING_TASKS[index % len(PRETRAINING_TASKS)], level) as world:
            robot = SimulatedRobot(world)
            for seed in range(30 * index, 30 * index + 30):
                robot.reset(seed)
                operator = ScriptedOperator(world.task, world.drop_spot, seed, MANNERS[manner])
                actions = []
                while not operator.done and len(actions) < 60:
                    actions.append(operator.act(robot.commanded, world.gripper, world.scene()))
                    robot.act(actions[-1])
                if world.successful():
                    episodes.append(np.array(actions))
                    grasps.append(operator.grasps)
                    break
    return episodes, grasps


def figures(episodes: Episodes, first: int) -> dict[str, str]:
    """What is compared, of the first steps of each episode."""
    actions = np.concatenate([episode[:first] for episode in episodes])
    speed = 1e3 * np.linalg.norm(actions[:, :3], axis=1)
    spread = 1e3 * actions.std(axis=0)
    switches = [int((np.diff(episode[:first, 6] > 0.5) != 0).sum()) for episode in episodes]
    return {
        "episodes": f"{len(episodes)}",
        "speed, median (mm per step)": f"{np.median(speed):.1f}",
        "speed, 10th to 90th percentile": f"{np.percentile(speed, 10):.1f} to {np.percentile(speed, 90):.1f}",
        f"idle steps (below {1e3 * IDLE:.0f} mm)": f"{100 * np.mean(speed < 1e3 * IDLE):.0f} %",
        "spread of x, y, z (mm per step)": ", ".join(f"{value:.1f}" for value in spread[:3]),
        "spread of roll, pitch, yaw (mrad per step)": ", ".join(f"{value:.0f}" for value in spread[3:6]),
        "gripper switches per episode": f"{np.mean(switches):.2f}",
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bridge", type=Path, required=True, metavar="DIR", help="RLDS shards of Bridge V2")
    parser.add_argument("--episodes", type=int, default=60, help="simulated, per manner (default: 60)")
    parser.add_argument("--level", default="standard", help="of the scenes (default: standard)")
    options = parser.parse_args()
    people = real(options.bridge)
    first = min(len(episode) for episode in people)
    columns = {"people (Bridge V2)": figures(people, first)}
    lengths = {"people (Bridge V2)": "38 (published mean)"}
    for manner in ("human", "machine"):
        episodes, grasps = simulated(manner, options.level, options.episodes)
        columns[f"operator, {manner}"] = figures(episodes, first)
        steps = [len(episode) for episode in episodes]
        low, high = np.percentile(steps, [5, 95])
        lengths[f"operator, {manner}"] = f"{np.mean(steps):.0f} ({low:.0f} to {high:.0f}), {np.mean(grasps):.2f} grasps"
    print(f"| first {first} steps | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name in next(iter(columns.values())):
        print(f"| {name} | " + " | ".join(column[name] for column in columns.values()) + " |")
    print("| steps of a whole episode | " + " | ".join(lengths.values()) + " |")


if __name__ == "__main__":
    main()
