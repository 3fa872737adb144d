# SPDX-License-Identifier: Apache-2.0
"""Checks names and folders in the parameters of the suite's nodes before anything starts.

The nodes' parameters are checked, not the launch arguments: a task has to be one of the simulator's only if the
simulator is launched, and a checkpoint has to exist here only if the policy server runs on this machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import yaml

from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.interpreter import Plan, Process
from ptr_bringup.launching.parameters import ParameterFile
from ptr_bringup.sim.names import teach_names
from ptr_models.common import arguments
from ptr_models.common.assets import is_external


def require_known(plan: Plan) -> None:
    """Refuse a plan whose nodes would fail at start.

    Raises:
        LaunchError: unknown task, kitchen or level, or a missing checkpoint; the message names the closest match.
    """
    teach_names()
    for process in plan.processes:
        for name, value in _parameters(process):
            check = _CHECKS.get((process.name, name))
            if check is None or value == "":
                continue
            try:
                check(str(value))
            except argparse.ArgumentTypeError as error:
                raise LaunchError(f"invalid {name}:={value}: {error}") from None


def _parameters(process: Process) -> Iterator[tuple[str, object]]:
    """The parameters that the launch file itself sets for a node."""
    for word in process.command:
        if isinstance(word, ParameterFile):
            for node in yaml.safe_load(word.text).values():
                yield from node["ros__parameters"].items()


def _levels() -> Collection[str]:
    from ptr_bringup.sim.levels import LEVELS

    return tuple(LEVELS)


def _checkpoint(text: str) -> None:
    """A folder, or an external policy; the node does not know the names of shipped checkpoints."""
    if is_external(text):
        return
    if (place := arguments.checkpoint(text)) != Path(text):
        raise argparse.ArgumentTypeError(f"it is the name of a shipped checkpoint; use its folder, {place}")


def _candidates(text: str) -> None:
    """One checkpoint, or several with names."""
    for part in filter(None, map(str.strip, text.split(","))):
        name, named, folder = part.partition("=")
        _checkpoint(folder.strip() if named else name)


_CHECKS: dict[tuple[str, str], Callable[[str], object]] = {
    ("simulator", "task"): arguments.task,
    ("simulator", "kitchen"): arguments.kitchen,
    ("simulator", "level"): arguments.OneOf("level", _levels),
    ("policy_server", "checkpoint"): _checkpoint,
    ("policy_server", "goal"): arguments.existing,
    ("evaluator", "checkpoint"): _candidates,
}
"""By executable and parameter."""
