# SPDX-License-Identifier: Apache-2.0
"""Named configurations: one YAML file each, which holds only what differs from its base.

`base` names another preset (none: the defaults of the dataclasses), `about` says in one sentence what it is.
Files whose name begins with an underscore are bases only and can't be chosen.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml

from ptr_models.training.config import ConfigError, TrainingConfig


def presets() -> dict[str, str]:
    """Names of the presets in alphabetical order, each with its sentence."""
    return {name: str(_read(name)["about"]) for name in sorted(_files()) if not name.startswith("_")}


def preset(name: str) -> TrainingConfig:
    """The configuration of that name.

    Raises:
        ConfigError: there is none; the message names the nearest and lists the known ones.
    """
    known = [known for known in _files() if not known.startswith("_")]
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"unknown preset {name!r}; the nearest is {nearest}; known: {', '.join(sorted(known))}")
    return TrainingConfig.from_dict({"preset": name}, _resolve(name, ()))


def _resolve(name: str, above: tuple[str, ...]) -> TrainingConfig:
    """The values of a file laid over those of its base."""
    if name in above:
        raise ConfigError(f"the presets {' -> '.join((*above, name))} are based on each other")
    values = _read(name)
    values.pop("about", None)
    base = values.pop("base", None)
    return TrainingConfig.from_dict(values, None if base is None else _resolve(base, (*above, name)))


def _files() -> dict[str, Path]:
    return {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}


def _read(name: str) -> dict[str, Any]:
    files = _files()
    if name not in files:
        raise ConfigError(f"a preset is based on {name!r}, which does not exist")
    return yaml.safe_load(files[name].read_text(encoding="utf-8")) or {}
