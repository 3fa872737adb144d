# SPDX-License-Identifier: Apache-2.0
"""A camera's health as the standard diagnostic status, and its settings as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from ptr_bringup.camera.health import Problem, Report

_SENTENCES = {
    Problem.MISSING: "It gives no pictures; look at its plug and cable.",
    Problem.FROZEN: "It repeats one picture; plug it in anew if it stays so.",
    Problem.TORN: "Its pictures are damaged: {detail}; try another cable or USB port.",
    Problem.DARK: "Its pictures are black; is there a cap on it, is the light on?",
    Problem.SLOW: "It gives {rate:.1f} pictures a second, fewer than asked for; more light, or a USB port of its own.",
}
_TIMES = {1: "once", 2: "twice"}
_MILD = {Problem.DARK, Problem.SLOW}


def diagnostic(name: str, report: Report, settings: Mapping[str, Any], reopened: int = 0) -> DiagnosticStatus:
    """The status `camera NAME`: ERROR where pictures are of no use, WARN where they are poor.

    Args:
        settings: as of `Source.settings`.
        reopened: how often the camera was opened anew since the start.
    """
    level = DiagnosticStatus.OK
    if report.problems:
        level = DiagnosticStatus.WARN if _MILD.issuperset(report.problems) else DiagnosticStatus.ERROR
    sentences = [_SENTENCES[problem].format(detail=report.detail, rate=report.rate) for problem in report.problems]
    message = " ".join(sentences) or f"{report.rate:.1f} pictures a second."
    if reopened:
        message += f" It was opened anew {_TIMES.get(reopened, f'{reopened} times')} since the start."
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
    return DiagnosticStatus(level=level, name=f"camera {name}", message=message, values=pairs)


def settings_text(name: str, settings: Mapping[str, Any], width: int, height: int) -> str:
    """The settings of a camera as one JSON object."""
    return json.dumps({"camera": name, "width": width, "height": height, **settings}, sort_keys=True)
