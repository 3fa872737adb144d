# SPDX-License-Identifier: Apache-2.0
"""Loading a checkpoint for serving: its contract must be the robot's, and it must be able to act."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from ptr_models.contract import Contract
from ptr_models.latency_file import with_measured_latencies
from ptr_models.training.devices import resolve_device
from ptr_models.training.policy import Policy
from ptr_policy.server.core import RunOptions, ServerError, rehearse

WARM_UPS = 3  # decisions before the first real one: allocation and the choice of kernels are slow once
SLOWEST, FASTEST = 1.0, 50.0  # Hz, control rates that are served


@dataclass(frozen=True)
class Wanted:
    """What to load, and for which robot.

    Attributes:
        checkpoint: folder of a checkpoint or of a run.
        new_task: gets a spare slot, where fine-tuning would begin; empty: none.
        contract_file: JSON of the robot's contract; empty: the suite's, with the checkpoint's image size.
        latency_file: YAML of the robot's measured latencies; empty: none.
        device: auto, cpu, cuda or cuda:NUMBER.
        threads: of inference on a processor.
    """

    checkpoint: str
    new_task: str = ""
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
    policy: Policy
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
    policy = Policy.load(wanted.checkpoint, device)
    if wanted.new_task:
        tasks = policy.checkpoint.tasks.extended([wanted.new_task])
        policy.checkpoint = dataclasses.replace(policy.checkpoint, tasks=tasks)
    contract = policy.contract
    if contract.objects:
        raise ServerError(
            f"the checkpoint {wanted.checkpoint} sees the poses of simulated objects, which no camera gives; try it "
            "with ptr sim evaluate"
        )
    robot = with_measured_latencies(robot_contract(wanted.contract_file, contract), wanted.latency_file)
    robot.require(contract, f"the checkpoint {wanted.checkpoint}", sizes=False)
    _require_servable(policy, wanted.checkpoint)
    for task in policy.tasks[:1] * WARM_UPS:
        rehearse(policy, RunOptions(task, "mode", max_steps=1, max_holds=1))
    return Loaded(
        name=wanted.checkpoint,
        policy=policy,
        contract=contract.with_latencies(robot),
        delay=max(contract.observation_delay, robot.observation_delay),
        warning=contract.latency_warning(robot),
        device=device,
    )


def _require_servable(policy: Policy, name: str) -> None:
    rate = policy.contract.control_rate
    if not SLOWEST <= rate <= FASTEST:
        raise ServerError(
            f"the checkpoint {name} wants a control rate of {rate:g} Hz; {SLOWEST:g} to {FASTEST:g} Hz are served"
        )
    broken = policy.weights_not_finite()
    if broken:
        raise ServerError(
            f"the checkpoint {name} has weights that are not finite ({broken[0]} and {len(broken) - 1} more); take an "
            "earlier checkpoint of its run"
        )


def robot_contract(path: str, wanted: Contract) -> Contract:
    """The robot's contract from a JSON file; without one the suite's, whose images come in any size.

    Args:
        wanted: the checkpoint's contract, from which the suite's takes the image size.
    """
    if path:
        try:
            return Contract.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ServerError(f"contract file {path} cannot be read: {error.strerror}") from error
    height, width = wanted.cameras[0].height, wanted.cameras[0].width
    suite = Contract()
    cameras = tuple(dataclasses.replace(camera, height=height, width=width) for camera in suite.cameras)
    return dataclasses.replace(suite, cameras=cameras)
