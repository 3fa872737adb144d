# SPDX-License-Identifier: Apache-2.0
"""A camera's health as the standard diagnostic status, and its settings as a message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.parameter import Parameter

from ptr_bringup.camera.health import Problem, Report
from ptr_models.common.processor_use import BUSY
from ptr_msgs.msg import CameraSettings

_SENTENCES = {
    Problem.MISSING: "No images received; {cure_missing}.",
    Problem.FROZEN: "Image stream frozen; {cure_frozen}.",
    Problem.TORN: "Images damaged: {detail}; {cure_torn}.",
    Problem.DARK: "Images black; check the lens cap and the light.",
    Problem.SLOW: "{rate:.1f} images a second instead of {asked:g}; {cure_slow}.",
}
_OF_DEVICE = {
    "cure_missing": "check the cable",
    "cure_frozen": "reconnect the camera if this persists",
    "cure_torn": "try another cable or USB port",
    "cure_slow": "use more light, or a separate USB port",
}
_OF_COMPUTER = {"cure_missing": "the computer is busy", "cure_slow": "the computer is busy: stop other programs"}
_OF_SIMULATOR = {
    "cure_missing": "check that the simulator is running",
    "cure_frozen": "a fault may have been injected",
    "cure_torn": "a fault may have been injected",
    "cure_slow": "this computer is too slow: request fewer or smaller images",
}
_TIMES = {1: "once", 2: "twice"}
_MILD = {Problem.DARK, Problem.SLOW}


def diagnostic(
    name: str,
    report: Report,
    asked: float,
    settings: Mapping[str, Any] = MappingProxyType({}),
    reopened: int = 0,
    processor_use: float | None = None,
    simulated: bool = False,
    prefix: str = "",
) -> DiagnosticStatus:
    """The status `camera NAME`: ERROR if images are unusable, WARN if they are poor.

    Args:
        asked: requested rate, Hz.
        settings: from `Source.settings`.
        processor_use: share of the computer's processors in use; None: unknown.
        simulated: there is no device that could be at fault.
        reopened: number of times the camera was reopened since the start.
        prefix: of the name in a namespace.
    """
    level = DiagnosticStatus.OK
    if report.problems:
        level = DiagnosticStatus.WARN if _MILD.issuperset(report.problems) else DiagnosticStatus.ERROR
    cures = _OF_SIMULATOR if simulated else _OF_DEVICE
    if processor_use is not None and processor_use >= BUSY:
        cures = cures | _OF_COMPUTER
    found = {"detail": report.detail, "rate": report.rate, "asked": asked, **cures}
    sentences = [_SENTENCES[problem].format(**found) for problem in report.problems]
    message = " ".join(sentences) or f"{report.rate:.1f} images a second."
    if reopened:
        message += f" Reopened {_TIMES.get(reopened, f'{reopened} times')} since the start."
    values = {
        "problems": ", ".join(map(str, report.problems)),
        "rate": f"{report.rate:.1f}",
        "age": "" if math.isinf(report.age) else f"{report.age:.3f}",
        "lost": str(report.lost),
        "torn": str(report.torn),
        "reopened": str(reopened),
        "brightness": "" if math.isnan(report.brightness) else f"{report.brightness:.0f}",
    }
    if "exposure" in settings:
        values["exposure"] = f"{settings['exposure']:g} ms" + (" (auto)" if "automatic_exposure" in settings else "")
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=f"{prefix}camera {name}", message=message, values=pairs)


def settings_message(
    name: str, width: int, height: int, rate: float, settings: Mapping[str, Any], simulated: bool = False
) -> CameraSettings:
    """Requested format and current settings of a camera; `simulated`: there is no device.

    Args:
        settings: from `Source.settings`: strings, numbers or booleans; anything else is sent as text.
    """
    plain = {key: value if isinstance(value, (str, int, float)) else str(value) for key, value in settings.items()}
    parameters = [Parameter(key, value=value).to_parameter_msg() for key, value in sorted(plain.items())]
    return CameraSettings(
        camera=name, width=width, height=height, rate=float(rate), simulated=simulated, settings=parameters
    )
