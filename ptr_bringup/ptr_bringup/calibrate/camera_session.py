# SPDX-License-Identifier: Apache-2.0
"""The session of `ptr calibrate camera`: lets a camera's settings settle, fixes them, and checks its images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.calibrate.quality import Quality, judge
from ptr_bringup.camera.opening import is_device, open_source
from ptr_bringup.camera.settings import AUTOMATIC, NAMES, Settings
from ptr_bringup.camera.source import CameraError, CaptureConfig, Source
from ptr_models.common.files import write_atomically

SETTLE = 3.0
"""s for the camera's automatic exposure, white balance and focus to settle."""
SKIPPED = 0.5
"""s of a device's first images that are ignored while the exposure settles."""
_HEAD = "# Written by `ptr calibrate camera`; give it as camera_config:=PATH.\n"

Opener = Callable[[str, CaptureConfig, Settings], Source]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A camera in the configuration: its name, the ROS parameters of its entry, the whole file, and its key there."""

    name: str
    parameters: dict[str, Any]
    file: dict[str, Any]
    key: str

    @property
    def requested(self) -> CaptureConfig:
        """The requested format."""
        known = {"width", "height", "rate", "rotate"} & set(self.parameters)
        return CaptureConfig(
            **{name: self.parameters[name] for name in known}, quality=self.parameters.get("jpeg_quality", 90)
        )

    @property
    def settings(self) -> Settings:
        """The settings that are fixed already."""
        return Settings(**{name: float(self.parameters[name]) for name in NAMES if name in self.parameters})


def read_entry(path: Path, name: str) -> Entry:
    """The entry of a camera.

    Raises:
        CalibrationError: the file can't be read or has no such entry.
    """
    try:
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        key = next((key for key in file if str(key).rpartition("/")[2] == name), name)
        return Entry(name, dict(file[key]["ros__parameters"]), file, key)
    except OSError as error:
        raise CalibrationError(f"can't read the configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CalibrationError(f"the configuration {path} has no entry for the camera {name} ({error!r})") from error


def settle(source_name: str, entry: Entry, fixed: Settings, open_: Opener = open_source) -> Settings:
    """Fixed settings for a device: the given ones, the rest from its automatic modes.

    Raises:
        CameraError: it provides no images.
    """
    source = open_(source_name, entry.requested, fixed)
    try:
        deadline = time.monotonic() + SETTLE
        while time.monotonic() < deadline:
            if source.read() is None:
                raise CameraError(f"{source_name} stopped sending images")
        found = source.settings()
    finally:
        source.close()
    values = {name: getattr(fixed, name) for name in NAMES}
    return Settings(**{n: found.get(n, AUTOMATIC) if value == AUTOMATIC else value for n, value in values.items()})


def check_images(
    source_name: str,
    entry: Entry,
    settings: Settings,
    seconds: float,
    open_: Opener = open_source,
    rate: float | None = None,
) -> tuple[Quality, dict[str, Any], list[str], bytes]:
    """Check a few seconds of images; returns their quality, the settings, notices and the last image.

    Args:
        rate: expected rate, Hz; None: the entry's, or any rate for a source without settings.
    Raises:
        CameraError: it provides no images.
        CalibrationError: it provides too few.
    """
    source = open_(source_name, entry.requested, settings)
    images = []
    try:
        start = time.monotonic() + (SKIPPED if source.period is None else 0.0)
        while time.monotonic() < start + seconds and (image := source.read()) is not None:
            if time.monotonic() >= start:
                images.append((image.taken, image.jpeg))
            if source.period is not None:
                time.sleep(source.period)
        current, notices = source.settings(), source.notices
    finally:
        source.close()
    wanted = rate or (entry.requested.rate if current else None)
    return judge(images, wanted, current), current, notices, images[-1][1]


def write_entry(path: Path, entry: Entry, source_name: str, settings: Settings) -> None:
    """Write the whole configuration with this camera's settings.

    Raises:
        CalibrationError: the file can't be written.
    """
    parameters = entry.parameters | {"source": source_name}
    if is_device(source_name):
        parameters |= {name: float(value) for name, value in dataclasses.asdict(settings).items()}
    text = yaml.safe_dump(entry.file | {entry.key: {"ros__parameters": parameters}}, sort_keys=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _HEAD + text)
    except OSError as error:
        raise CalibrationError(f"can't write {path}: {error.strerror}") from error
