# SPDX-License-Identifier: Apache-2.0
"""Output of a latency measurement: a file for other programs, and a plot."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.calibrate.lag import Lag
from ptr_bringup.calibrate.latency import latencies
from ptr_models.common.files import write_atomically

_HEAD = "# Latencies of a robot in s, measured by `ptr calibrate latency`; give this file as latency_file:=PATH.\n"


def write_latencies(path: Path, command: Lag, cameras: Mapping[str, Lag], today: datetime.date) -> None:
    """Write the latencies; those of other cameras in an existing file are kept.

    Raises:
        CalibrationError: the existing file can't be read, or the new one can't be written.
    """
    fields = _existing_fields(path)
    kept, of_cameras = latencies(command, cameras)
    found = {"command": command, **{f"camera {name}": lag for name, lag in cameras.items()}}
    measured = fields.get("measured", {}) | {name: _quality(lag, today) for name, lag in found.items()}
    text = _HEAD + yaml.safe_dump(
        {"cameras": fields.get("cameras", {}) | of_cameras, "command": kept, "measured": measured}, sort_keys=False
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise CalibrationError(f"can't write {path}: {error.strerror}") from error


def _existing_fields(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise CalibrationError(f"{path} exists but can't be read ({error}); move it away") from error
    if not isinstance(fields, dict) or not all(isinstance(fields.get(k, {}), dict) for k in ("cameras", "measured")):
        raise CalibrationError(f"{path} exists but contains no latencies; use another path")
    return fields


def _quality(lag: Lag, today: datetime.date) -> dict[str, Any]:
    return {
        "date": today.isoformat(),
        "interval_95": [round(lag.low, 4), round(lag.high, 4)],
        "explained": round(lag.explained, 3),
    }


def sentence(what: str, lag: Lag) -> str:
    """One line for the terminal."""
    return (
        f"{what}: {1e3 * lag.value:.0f} ms, 95 % interval {1e3 * lag.low:.0f} to {1e3 * lag.high:.0f} ms "
        f"({100 * lag.explained:.0f} % explained)"
    )


def plot(path: Path, command: Lag, cameras: Mapping[str, Lag]) -> None:
    """Plot how well each candidate explains the data, with the best one and its interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes half a second
    from matplotlib.figure import Figure

    every = {"command to motion": command, **{f"motion to image of {name}": lag for name, lag in cameras.items()}}
    figure = Figure(figsize=(7, 2.4 * len(every)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, lag) in zip(figure.subplots(len(every), squeeze=False)[:, 0], every.items(), strict=True):
        axes.plot(1e3 * lag.candidates, 100 * lag.curve, color="0.3")
        axes.axvspan(1e3 * lag.low, 1e3 * lag.high, color="tab:orange", alpha=0.4)
        axes.axvline(1e3 * lag.value, color="tab:orange")
        axes.set(title=f"{name}: {1e3 * lag.value:.0f} ms", xlabel="lag (ms)", ylabel="explained (%)")
    figure.savefig(path, dpi=120)
