# SPDX-License-Identifier: Apache-2.0
"""Loading a checkpoint for serving: its contract must be the robot's, and it must be able to act."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ptr_models.contract import Contract
from ptr_models.inference.acting import ServedPolicy
from ptr_models.inference.goal import set_goal
from ptr_models.inference.loading import load_policy
from ptr_models.inference.policy import Policy
from ptr_models.latency_file import with_measured_latencies
from ptr_models.training.devices import resolve_device
from ptr_policy.server.run import RunOptions, ServerError, rehearse

WARM_UPS = 3  # decisions before the first real one: allocation and the choice of kernels are slow once
SLOWEST, FASTEST = 1.0, 50.0  # Hz, control rates that are served


@dataclass(frozen=True)
class Wanted:
    """What to load, and for which robot.

    Attributes:
        checkpoint: folder of a checkpoint or of a run, or KIND:ADDRESS of an external policy.
        new_task: gets a spare slot, where fine-tuning would begin; empty: none.
        goal: bag or image file that shows the desired end; empty: none.
        cameras: of the robot.
        contract_file: JSON of the robot's contract; empty: the suite's, with these cameras.
        latency_file: YAML of the robot's measured latencies; empty: none.
        device: auto, cpu, cuda or cuda:NUMBER.
        threads: of inference on a processor.
    """

    checkpoint: str
    new_task: str = ""
    goal: str = ""
    cameras: tuple[str, ...] = ("over_shoulder",)
    contract_file: str = ""
    latency_file: str = ""
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Loaded:
    """A policy that is ready to act.

    Attributes:
        name: the folder, as it was asked for.
        policy: warmed up.
        contract: the policy's, with the latencies of the robot.
        delay: s by which its observations trail the world.
        warning: about latencies that differ from those of its demonstrations; empty: none.
        device: where it computes.
    """

    name: str
    policy: ServedPolicy
    contract: Contract
    delay: float
    warning: str
    device: str


def load(wanted: Wanted) -> Loaded:
    """Load a checkpoint, compare its contract with the robot's, and warm it up.

    Raises:
        PtrError: no such checkpoint, a damaged one, another contract, weights that are not finite, no such device.
    """
    if not wanted.checkpoint:
        raise ServerError("parameter `checkpoint` is empty; give the folder of a checkpoint")
    torch.set_num_threads(wanted.threads)
    device = resolve_device(wanted.device)
    policy = load_policy(wanted.checkpoint, device)
    try:
        return _ready(policy, wanted, device)
    except Exception:
        policy.close()
        raise


def _ready(policy: ServedPolicy, wanted: Wanted, device: str) -> Loaded:
    if isinstance(policy, Policy) and wanted.new_task:
        tasks = policy.checkpoint.tasks.extended([wanted.new_task])
        policy.checkpoint = dataclasses.replace(policy.checkpoint, tasks=tasks)
    contract = policy.contract
    if contract.objects:
        raise ServerError(
            f"the checkpoint {wanted.checkpoint} sees the poses of simulated objects, which no camera gives; try it "
            "with ptr sim evaluate"
        )
    robot = with_measured_latencies(robot_contract(wanted.contract_file, wanted.cameras), wanted.latency_file)
    contract.require(robot, f"the robot (for the checkpoint {wanted.checkpoint})", source=True)
    _require_servable(policy, wanted.checkpoint)
    _warm_up(policy)
    set_goal(policy, wanted.checkpoint, wanted.goal)
    return Loaded(
        name=wanted.checkpoint,
        policy=policy,
        contract=contract.with_latencies(robot),
        delay=max(contract.observation_delay, robot.observation_delay),
        warning=contract.latency_warning(robot),
        device=device,
    )


def _warm_up(policy: ServedPolicy) -> None:
    """Decide a few times about nothing."""
    if isinstance(policy, Policy) and policy.by_goal_image:
        policy.goal = np.zeros(policy.contract.image_shape, np.uint8)
    known = policy.tasks[:1] or ("warm up",)
    for task in known * WARM_UPS:
        rehearse(policy, RunOptions(task, "mode", max_steps=1, max_holds=1))


def _require_servable(policy: ServedPolicy, name: str) -> None:
    rate = policy.contract.control_rate
    if not SLOWEST <= rate <= FASTEST:
        raise ServerError(
            f"the checkpoint {name} wants a control rate of {rate:g} Hz; {SLOWEST:g} to {FASTEST:g} Hz are served"
        )
    broken = policy.weights_not_finite() if isinstance(policy, Policy) else []
    if broken:
        raise ServerError(
            f"the checkpoint {name} has weights that are not finite ({broken[0]} and {len(broken) - 1} more); take an "
            "earlier checkpoint of its run"
        )


def robot_contract(path: str, cameras: Sequence[str]) -> Contract:
    """The robot's contract from a JSON file; without one the suite's with these cameras."""
    if path:
        try:
            return Contract.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ServerError(f"contract file {path} cannot be read: {error.strerror}") from error
    return Contract().with_cameras(cameras)
