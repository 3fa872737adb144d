# SPDX-License-Identifier: Apache-2.0
"""Records demonstrations of the scripted operator in bulk, one bag each, faster than real time."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ptr_bringup.sim.cameras import OVER_SHOULDER
from ptr_bringup.sim.kitchens import kitchen_named, pretraining_kitchens
from ptr_bringup.sim.levels import DEFAULT_LEVEL, level_named
from ptr_bringup.sim.operator import DEFAULT_MANNER, MANNERS, Manner, manner_named
from ptr_bringup.sim.operators import manner_for, operator_for
from ptr_bringup.sim.robot import PERIOD, SimulatedRobot, Snapshot
from ptr_bringup.sim.tasks import PRETRAINING_TASKS, task_named
from ptr_bringup.sim.wordings import wordings
from ptr_bringup.sim.world import Variation, World
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import resumable
from ptr_models.common.output_folder import locked
from ptr_models.contract import Contract
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_models.episodes.trajectory import ObjectTracks, Trajectory, write_episode
from ptr_policy.bulk.sight import robot_for

MAX_DECISIONS = 60
"""Decisions of the operator after which an attempt has failed."""
ATTEMPTS = 30
"""Scenes to try until a demonstration succeeds; failures are left out, as they are with people."""
WIDE_START = Variation(start=(0.045, 0.045, 0.035))
"""Half of the demonstrations start further from the usual start, so that the data covers the way back to it."""
MACHINE = dataclasses.replace(MANNERS["machine"], tremor=0.004)
"""The clean operator for bulk data; a live one has less tremor, since the arm adds its own."""


@dataclass(frozen=True)
class Order:
    """One requested demonstration; these fields determine everything in it."""

    index: int
    kitchen: str
    task: str
    seed: int
    level: str = DEFAULT_LEVEL
    manner: str = DEFAULT_MANNER
    several_wordings: bool = False

    @property
    def instruction(self) -> str:
        """The task in words: the plainest wording, or that of one of several people."""
        texts = wordings(task_named(self.task))
        draw = np.random.default_rng([self.seed, self.index])
        return texts[int(draw.integers(len(texts)))] if self.several_wordings else texts[0]

    @property
    def episode_id(self) -> str:
        """Name of the episode; equal orders have equal names."""
        return f"{self.kitchen}-{self.task}-{self.level}-{self.manner}-s{self.seed}-{self.index:06d}"


def orders(
    episodes: int,
    seed: int,
    kitchens: Sequence[str] = (),
    tasks: Sequence[str] = (),
    level: str = DEFAULT_LEVEL,
    manner: str = DEFAULT_MANNER,
    several_wordings: bool = False,
) -> list[Order]:
    """Spread demonstrations evenly over kitchens and tasks (default: all of pre-training), in a seeded order.

    Args:
        several_wordings: draw the instructions from the wordings of several people.
    Raises:
        PtrError: a kitchen, a task, the level or the manner is unknown.
    """
    try:
        level_named(level), manner_named(manner)
        places = [kitchen_named(name).name for name in kitchens or pretraining_kitchens()]
        jobs = [task_named(name).name for name in tasks or [task.name for task in PRETRAINING_TASKS]]
    except ValueError as error:
        raise PtrError(str(error)) from error
    pairs = list(itertools.product(places, jobs))
    shuffled = np.random.default_rng(seed).permutation(len(pairs))
    chosen = (pairs[shuffled[i % len(pairs)]] for i in range(episodes))
    return [Order(i, kitchen, task, seed, level, manner, several_wordings) for i, (kitchen, task) in enumerate(chosen)]


def collect(
    root: Path, wanted: Sequence[Order], jobs: int, width: int, height: int, contract: Contract | None = None
) -> int:
    """Write a bag for each order that has none yet, with a progress bar; return how many were written.

    Args:
        width, height: size of the images, for a contract with cameras.
        contract: of the bags; None: the suite's.
    Raises:
        FolderInUseError: another process writes into the folder.
        PtrError: the operator failed in every attempt of a demonstration, or does not support the contract's rate.
    """
    contract = contract or Contract()
    decision_steps(contract.period)
    with locked(root):
        return _write_missing(root, wanted, jobs, (width, height), contract)


def _write_missing(root: Path, wanted: Sequence[Order], jobs: int, size: tuple[int, int], contract: Contract) -> int:
    missing = [order for order in wanted if not (root / order.episode_id).exists()]
    for order in missing:
        _remove_partial(root / f"{order.episode_id}.partial")
    groups = [list(group) for _, group in itertools.groupby(sorted(missing, key=_pair), key=_pair)]
    work = [(root, group, *size, contract) for group in groups]
    written = 0
    bar = track(_run(work, jobs), "simulating demonstrations", total=len(missing), disable=not missing)
    with resumable(lambda: f"{_existing(root, wanted)} of {len(wanted)} demonstrations are in {root}"):
        for path in bar:
            written += path is not None
    return written


def _existing(root: Path, wanted: Sequence[Order]) -> int:
    return sum((root / order.episode_id).exists() for order in wanted)


def decision_steps(period: float) -> int:
    """Control steps per decision of the scripted operator, which makes one every 0.2 s, like a person.

    Raises:
        PtrError: not a whole number.
    """
    steps = round(PERIOD / period)
    if steps < 1 or abs(steps * period - PERIOD) > 1e-6:
        raise PtrError(
            f"the scripted operator decides {1 / PERIOD:g} times a second; a control rate of {1 / period:g} Hz is not "
            "a multiple of that"
        )
    return steps


def demonstrate(
    robot: SimulatedRobot, seed: int, manner: Manner, cameras: Sequence[str] = (OVER_SHOULDER,)
) -> list[Snapshot] | None:
    """One attempt: the snapshot at each instant (T+1); None: it failed.

    Rendering takes most of the time, so images are rendered afterwards, only for a successful attempt.
    """
    steps = decision_steps(robot.period)
    world = robot.world
    robot.reset(seed, WIDE_START if seed % 2 else None)
    operator = operator_for(world, seed, manner)
    seen, appearances = [robot.observe(())], [world.appearance()]
    while not operator.done and len(seen) <= MAX_DECISIONS * steps:
        action = operator.act(robot.commanded, world.gripper, world.scene())
        action[:6] /= steps
        for _ in range(steps):
            robot.act(action)
            seen.append(robot.observe(()))
            appearances.append(world.appearance())
    if not world.successful():
        return None
    pairs = zip(seen, appearances, strict=True)
    return [dataclasses.replace(it, images=robot.images(cameras, appearance)) for it, appearance in pairs]


def _pair(order: Order) -> tuple[str, str]:
    return order.kitchen, order.task


def _run(work: list[tuple], jobs: int) -> Iterator[Path]:
    if jobs <= 1 or len(work) <= 1:
        for part in work:
            yield from _collect_group(part)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_worker) as pool:
        for paths in pool.imap_unordered(_collect_group, work):
            yield from paths


def _worker() -> None:
    """Leave Ctrl-C to the parent process, and limit the threads of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's software rendering: one process per core, one thread each


def _collect_group(part: tuple[Path, list[Order], int, int, Contract]) -> list[Path]:
    """Demonstrations of one task in one kitchen, which share a physics model."""
    root, group, width, height, contract = part
    with World(group[0].kitchen, group[0].task, group[0].level) as world:
        robot = robot_for(world, contract, width, height)
        return [_collect_one(root, robot, order, contract) for order in group]


def _collect_one(root: Path, robot: SimulatedRobot, order: Order, contract: Contract) -> Path:
    manner = MACHINE if order.manner == MACHINE.name else manner_named(order.manner)
    for attempt in range(ATTEMPTS):
        sequence = np.random.SeedSequence([order.seed, order.index, attempt])
        scene = int(sequence.generate_state(1)[0])
        seen = demonstrate(robot, scene, manner, [camera.name for camera in contract.cameras])
        if seen is not None:
            trajectory = trajectory_of(seen, tuple(robot.world.object_poses()))
            return write_episode(root, _metadata(order, manner, scene, contract), trajectory)
    raise PtrError(f"the scripted operator failed {ATTEMPTS} times at {order.episode_id}; try another --seed")


def _metadata(order: Order, manner: Manner, scene: int, contract: Contract) -> EpisodeMetadata:
    return EpisodeMetadata(
        episode_id=order.episode_id,
        task=order.task,
        instruction=order.instruction,
        outcome="success",
        operator="scripted",
        device="scripted",
        robot="sim",
        kitchen=order.kitchen,
        seed=scene,
        contract=contract,
        labels=(Label("success", 0, "simulator"),),
        extra={"level": order.level, "manner": dataclasses.asdict(manner_for(task_named(order.task), manner))},
    )


def trajectory_of(
    seen: Sequence[Snapshot],
    names: Sequence[str],
    images: Sequence[Mapping[str, bytes]] = (),
    source: str = "scripted",
) -> Trajectory:
    """Snapshots at T+1 instants as the streams of a bag.

    Args:
        names: (K,) of the objects.   images: (T+1,) existing JPEGs by camera.   source: source of the commands.
    """
    views: Sequence[Mapping[str, bytes | NDArray[np.uint8]]] = images or [it.images for it in seen]
    return Trajectory(
        images={camera: [view[camera] for view in views] for camera in views[0]},
        measured_position=np.stack([it.measured.position for it in seen]),
        measured_rotation=np.stack([it.measured.rotation for it in seen]),
        commanded_position=np.stack([it.commanded.position for it in seen]),
        commanded_rotation=np.stack([it.commanded.rotation for it in seen]),
        gripper=np.array([it.gripper for it in seen]),
        gripper_commanded=np.array([it.gripper_commanded for it in seen]),
        joint_positions=np.stack([it.joints for it in seen]),
        source=source,
        objects=ObjectTracks(tuple(names), np.stack([it.objects for it in seen])),
    )


def _remove_partial(partial: Path) -> None:
    """Remove an incomplete episode of an interrupted run."""
    if partial.is_dir():
        for file in partial.iterdir():
            file.unlink()
        partial.rmdir()
