# SPDX-License-Identifier: Apache-2.0
"""The plan of a table in its folder, `plan.json`, to which later commands add methods, tasks and seeds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptr_bringup.sim.kitchens import kitchen_named
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.contract import Contract
from ptr_models.episodes.metadata import check_name
from ptr_models.json_input import read_object
from ptr_models.training.renamed_keys import present_assignment
from ptr_models.typed_values import require_types
from ptr_policy.table.external import external
from ptr_policy.table.methods import METHODS, Method, methods
from ptr_policy.table.plan import TablePlan

_FILE = "plan.json"


@dataclass(frozen=True)
class _Growing:
    """What later commands may add to, as in the file.

    Attributes:
        tasks: kitchen by task, empty if a person judges.   policies: address by name.   checkpoints: path by method.
    """

    methods: tuple[str, ...]
    policies: Mapping[str, str]
    tasks: Mapping[str, str]
    seeds: tuple[int, ...]
    checkpoints: Mapping[str, str]

    def __post_init__(self) -> None:
        require_types(self, PtrError)


_GROWING = tuple(_Growing.__dataclass_fields__)


def with_existing(plan: TablePlan, usual: Collection[str] = ()) -> TablePlan:
    """The plan, merged with that of its folder: methods, tasks, seeds and checkpoints of earlier commands stay.

    Args:
        usual: of `methods`, `tasks` and `seeds` those that no option names; the folder's are kept.
    Raises:
        PtrError: the folder belongs to another plan; the message names the first value that differs. Or its file is
            damaged.
    """
    file = plan.out / _FILE
    if not file.is_file():
        return plan
    stored = read_object(file, advice="choose another --out")
    _require_same(plan, stored)
    try:
        before, rows = _growing(stored, plan)
    except (PtrError, ValueError, argparse.ArgumentTypeError) as error:
        raise PtrError(f"{file} is damaged: {error}; choose another --out") from error
    named = ("methods", "tasks", "seeds")
    new = {key: () if key in usual and getattr(before, key) else getattr(plan, key) for key in named}
    for name, address in ((method.name, method.address) for method in plan.methods if method.address):
        if (known := before.policies.get(name, address)) != address:
            raise PtrError(f"{plan.out} holds trials of {name} = {known}, not {address}; choose another name")
    for task, kitchen in new["tasks"]:
        if (known := before.tasks.get(task, kitchen)) != kitchen:
            raise PtrError(f"{plan.out} holds {task} in {known}, not in {kitchen}; choose another --out")
    for name in set(before.methods) & set(plan.checkpoints):
        earlier = Path(before.checkpoints.get(name, plan.out / name))
        if earlier != plan.checkpoints[name] and earlier.exists():
            raise PtrError(f"{plan.out} has {name} from {earlier}, not {plan.checkpoints[name]}; choose another --out")
    return replace(
        plan,
        methods=tuple(dict.fromkeys((*rows, *new["methods"]))),
        tasks=tuple((dict(before.tasks) | dict(new["tasks"])).items()),
        seeds=tuple(dict.fromkeys((*before.seeds, *new["seeds"]))),
        checkpoints={name: Path(path) for name, path in before.checkpoints.items()} | dict(plan.checkpoints),
    )


def write_plan(out: Path, plan: Mapping[str, object]) -> None:
    """Store a plan in its folder."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / _FILE, plan)


def _growing(stored: Mapping[str, Any], plan: TablePlan) -> tuple[_Growing, list[Method]]:
    """What the folder has, and its rows. Names become folders and words of commands, so they are checked."""
    usual = {
        "methods": [method.name for method in METHODS if (plan.out / method.name).is_dir()],  # of an earlier version
        "policies": {},
        "tasks": {},
        "seeds": [],
        "checkpoints": {},
    }
    found = {key: stored.get(key, usual[key]) for key in _GROWING}
    found |= {key: tuple(found[key]) for key in ("methods", "seeds") if isinstance(found[key], list)}
    before = _Growing(**found)
    for task, kitchen in before.tasks.items():
        check_name(task, "task name")
        if kitchen:
            kitchen_named(kitchen)
    if any(seed < 0 for seed in before.seeds):
        raise PtrError(f"a seed is {min(before.seeds)}, below 0")
    rows = methods(before.methods, plan.size) if before.methods else []
    return before, [*rows, *(external(f"{name}={address}") for name, address in before.policies.items())]


def _require_same(plan: TablePlan, stored: Mapping[str, Any]) -> None:
    """Compare all that can't be added to."""
    settings = stored.get("settings", [])
    usual_cameras = [] if stored.get("size") == "low_dim" else [camera.name for camera in Contract().cameras]
    before = {
        "exclude": [],  # a table of an earlier version left nothing out
        "targets": {},  # simulated all demonstrations
        "cameras": usual_cameras,  # and had one camera
        **stored,
        "settings": [present_assignment(str(it)) for it in settings] if isinstance(settings, list) else settings,
    }
    for key, value in json.loads(json.dumps(plan.to_dict())).items():
        if key not in _GROWING and before.get(key) != value:
            raise PtrError(
                f"{plan.out} holds a table with {key} = {before.get(key)!r}, not {value!r}; choose another --out"
            )
