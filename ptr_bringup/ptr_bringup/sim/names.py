# SPDX-License-Identifier: Apache-2.0
"""Makes the simulator's tasks, kitchens and cameras known to the command line."""

from __future__ import annotations

from collections.abc import Collection

from ptr_models.common import arguments


def teach_names() -> None:
    """Register the names for checking and completing arguments that name a task, a kitchen or a camera."""
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
