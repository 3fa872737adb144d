# SPDX-License-Identifier: Apache-2.0
"""Names and folders among the parameters of the suite's nodes: what is wrong with them shows before anything starts.

The nodes' parameters are looked at, not the launch arguments: only with the simulator among the nodes must a task be
one of its own, and only a policy server on this machine has its checkpoint here.
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
    """Refuse a plan whose nodes would end at once.

    Raises:
        LaunchError: a task, kitchen or level is unknown, or a checkpoint isn't there; the text names the nearest.
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
                raise LaunchError(f"{name}:={value} is not possible: {error}") from None


def _parameters(process: Process) -> Iterator[tuple[str, object]]:
    """The parameters that the launch file itself gives to a node."""
    for word in process.command:
        if isinstance(word, ParameterFile):
            for node in yaml.safe_load(word.text).values():
                yield from node["ros__parameters"].items()


def _levels() -> Collection[str]:
    from ptr_bringup.sim.levels import LEVELS

    return tuple(LEVELS)


def _checkpoint(text: str) -> None:
    """A folder as the node itself will find it, which knows no names of shipped ones; or an external policy."""
    if is_external(text):
        return
    if (place := arguments.checkpoint(text)) != Path(text):
        raise argparse.ArgumentTypeError(f"it is the name of a shipped checkpoint; give its folder, {place}")


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
