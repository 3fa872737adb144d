# SPDX-License-Identifier: Apache-2.0
"""The file in which a robot's measured latencies are kept; `ptr calibrate latency` writes it.

cameras: {NAME: s}   from an event to the stamp of the image that shows it
command: s           from the stamp of a command to the motion that it causes
measured: …          when and how well they were measured; for people, not read
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ptr_models.contract import Contract, ContractError
from ptr_models.yaml_input import read_yaml


def with_measured_latencies(contract: Contract, path: str) -> Contract:
    """A contract with the latencies of a robot; without a path it is left as it is.

    Raises:
        ContractError: the file can't be read, is malformed, or lacks a camera of the contract.
    """
    if not path:
        return contract
    fields = _read(path)
    measured = fields.get("cameras") or {}
    if not isinstance(measured, dict) or set(fields) - {"cameras", "command", "measured"}:
        raise ContractError(f"the latencies in {path} are malformed; `ptr calibrate latency` writes such a file")
    absent = [camera.name for camera in contract.cameras if camera.name not in measured]
    if absent:
        raise ContractError(
            f"{path} has no latency of camera {', '.join(absent)}; measure it with `ptr calibrate latency`"
        )
    try:
        cameras = tuple(dataclasses.replace(camera, latency=measured[camera.name]) for camera in contract.cameras)
        return dataclasses.replace(contract, cameras=cameras, command_latency=fields.get("command", 0.0))
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error


def _read(path: str) -> dict[str, Any]:
    fields = read_yaml(path, "the file of latencies", ContractError)
    if not isinstance(fields, dict):
        raise ContractError(f"the latencies in {path} are malformed; `ptr calibrate latency` writes such a file")
    return fields
