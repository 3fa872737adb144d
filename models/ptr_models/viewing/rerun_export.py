# SPDX-License-Identifier: Apache-2.0
"""Bags in Rerun (https://rerun.io), if its package is installed: written as .rrd and opened."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.common.plotting import COLORS
from ptr_models.viewing.recording import Recording

APPLICATION = "ptr"
MOTION, ROTATION = ("x", "y", "z"), ("roll", "pitch", "yaw")


def require_rerun() -> None:
    """Raise PtrError when rerun-sdk is not installed."""
    if importlib.util.find_spec("rerun") is None:
        raise PtrError(
            "--rerun needs the package rerun-sdk, which set-up does not install: pip install rerun-sdk; "
            "without --rerun a video is written"
        )


def write_rrd(recording: Recording, path: Path) -> Path:
    """Write a recording for Rerun: images as they were recorded, curves, and events as text."""
    require_rerun()
    import rerun

    path.parent.mkdir(parents=True, exist_ok=True)
    stream = rerun.RecordingStream(APPLICATION, recording_id=recording.path.name)
    stream.save(path)

    def log(stamp: int, entity: str, what: Any) -> None:
        stream.set_time("episode", duration=float(recording.seconds(stamp)))
        stream.log(entity, what)

    for name, images in recording.images.items():
        for stamp, data in (images[index] for index in range(len(images))):
            log(stamp, f"camera/{name}", rerun.EncodedImage(contents=bytes(data), media_type=_media_type(data)))
    for stamp, action in zip(recording.action_stamps.tolist(), recording.actions, strict=True):
        for axis, value in zip(MOTION, action[:3], strict=True):
            log(stamp, f"action/translation/{axis}", rerun.Scalars(float(value)))
        for axis, value in zip(ROTATION, action[3:6], strict=True):
            log(stamp, f"action/rotation/{axis}", rerun.Scalars(float(value)))
        log(stamp, "gripper/commanded", rerun.Scalars(float(action[6])))
    for stamp, opening in zip(recording.gripper_stamps.tolist(), recording.gripper, strict=True):
        log(stamp, "gripper/measured", rerun.Scalars(float(opening)))
    for name, values in recording.values.items():
        for stamp, value in zip(recording.value_stamps.tolist(), values, strict=True):
            log(stamp, f"q/{name.replace(' ', '_')}", rerun.Scalars(float(value)))
    for stamp, text in recording.events:
        log(stamp, "events", rerun.TextLog(text, color=COLORS[1]))
    stream.flush()
    stream.disconnect()
    return path


def open_rerun(paths: Sequence[Path]) -> None:
    """Open recordings in Rerun's viewer, which only listens on this machine, until it is closed.

    Raises:
        PtrError: the viewer could not be opened, for example without a screen.
    """
    viewer = "import sys, rerun_cli.__main__ as viewer; sys.exit(viewer.main())"
    command = [sys.executable, "-c", viewer, "--bind", "127.0.0.1", *map(str, paths)]
    if subprocess.run(command, check=False).returncode:
        names = " ".join(map(str, paths))
        raise PtrError(f"Rerun could not be opened here; open the recording on a machine with a screen: rerun {names}")


def _media_type(data: Any) -> str:
    return "image/png" if bytes(data[:4]) == b"\x89PNG" else "image/jpeg"
