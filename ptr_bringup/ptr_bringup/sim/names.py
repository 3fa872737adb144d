# SPDX-License-Identifier: Apache-2.0
"""The simulator's tasks and kitchens as names that the command line knows."""

from __future__ import annotations

from collections.abc import Collection

from ptr_models.common import arguments


def teach_names() -> None:
    """Let arguments that name a task or a kitchen be checked and completed."""
    arguments.teach("task", _tasks)
    arguments.teach("kitchen", _kitchens)


def _tasks() -> Collection[str]:
    from ptr_bringup.sim.tasks import TASKS

    return tuple(TASKS)


def _kitchens() -> Collection[str]:
    from ptr_bringup.sim.kitchens import KITCHENS

    return tuple(KITCHENS)
