# SPDX-License-Identifier: Apache-2.0
"""The simulator's tasks, kitchens and cameras as names that the command line knows."""

from __future__ import annotations

from collections.abc import Collection

from ptr_models.common import arguments


def teach_names() -> None:
    """Let arguments that name a task, a kitchen or a camera be checked and completed."""
    arguments.teach("task", _tasks)
    arguments.teach("kitchen", _kitchens)
    arguments.teach("camera", _cameras)


def _tasks() -> Collection[str]:
    from ptr_bringup.sim.tasks import TASKS

    return tuple(TASKS)


def _kitchens() -> Collection[str]:
    from ptr_bringup.sim.kitchens import KITCHENS

    return tuple(KITCHENS)


def _cameras() -> Collection[str]:
    from ptr_bringup.sim.cameras import CAMERAS

    return CAMERAS
