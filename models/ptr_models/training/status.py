# SPDX-License-Identifier: Apache-2.0
"""The status of a run, read from the files in its folder; the run may be active or finished."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ptr_models.common.output_folder import in_use
from ptr_models.training.config import TrainingConfig
from ptr_models.training.jsonlines import read_lines
from ptr_models.training.progress_metrics import progress_metrics
from ptr_models.training.runs import (
    RunError,
    checkpoint_step,
    checkpoints_of,
    chosen_checkpoint,
    latest_checkpoint,
)


def describe_run(run: Path) -> str:
    """A few lines about a run: its method, progress, speed, last metrics and checkpoints.

    Raises:
        RunError: the folder is not a run.
        ConfigError: its configuration cannot be read.
    """
    if not (run / "config.yaml").is_file():
        raise RunError(f"{run} is not the folder of a run (it has no config.yaml); give the folder of --out")
    config = TrainingConfig.from_yaml(run / "config.yaml")
    metrics, timing = (read_lines(run / name) for name in ("metrics.jsonl", "timing.jsonl"))
    starts = read_lines(run / "environment.jsonl")
    state = "running" if in_use(run) else "not running"
    lines = [
        f"{run}: preset {config.preset}, {config.algorithm.name} on {config.device}, {state}, {_count(starts)}",
        _progress(config, timing),
        *([_metrics(config, metrics[-1])] if metrics else []),
        _checkpoints(run),
    ]
    return "\n".join(lines)


def _count(starts: list[dict[str, Any]]) -> str:
    return f"started {len(starts)} times" if len(starts) > 1 else "started once"


def _progress(config: TrainingConfig, timing: list[dict[str, Any]]) -> str:
    if not timing:
        return f"no update reported yet; every {config.schedule.log_every}th will be"
    last = timing[-1]
    left = (config.schedule.steps - last["step"]) / max(last["rate"], 1e-9)
    ago = time.time() - last["time"]
    text = f"update {last['step']} of {config.schedule.steps}, {last['rate']:.1f} per second, reported {_span(ago)} ago"
    return f"{text}; {_span(left)} to go" if left > 0 else text


def _metrics(config: TrainingConfig, entry: dict[str, Any]) -> str:
    values = {name: value for name, value in entry.items() if name != "step"}
    items = progress_metrics(config.algorithm.name, values)
    width = max((len(item.metric) for item in items), default=0)
    return "\n".join(f"  {item.metric:{width}}  {values[item.metric]:>10.4g}   {item.healthy}" for item in items)


def _checkpoints(run: Path) -> str:
    found = checkpoints_of(run)
    if not found:
        return "no checkpoint yet"
    chosen = chosen_checkpoint(run)
    steps = f"{len(found)} checkpoints, after {checkpoint_step(found[0])} to {checkpoint_step(found[-1])} updates"
    return f"{steps}\n" + (f"chosen: {chosen}" if chosen else f"newest: {latest_checkpoint(run)}")


def _span(seconds: float) -> str:
    """`1 h 05 min`, `12 min`, `40 s`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
