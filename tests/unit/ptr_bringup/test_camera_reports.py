# SPDX-License-Identifier: Apache-2.0
"""Camera reports name the likely cause: the device, the computer or the simulation."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("diagnostic_msgs.msg")

from rclpy.parameter import parameter_value_to_python  # noqa: E402

from ptr_bringup.camera.health import Problem, Report  # noqa: E402
from ptr_bringup.camera.reports import diagnostic, settings_message  # noqa: E402

SLOW = Report((Problem.SLOW,), 4.2, 0.1, 30, 0, 90.0, "")


def said(**options: object) -> str:
    return diagnostic("over_shoulder", SLOW, 15.0, **options).message


def test_a_slow_camera_is_blamed_only_while_the_computer_is_not_busy() -> None:
    begin = "4.2 images a second instead of 15; "
    assert said(processor_use=0.4) == begin + "use more light, or a separate USB port."
    assert said() == begin + "use more light, or a separate USB port."
    assert said(processor_use=0.96) == begin + "the computer is busy: stop other programs."


@pytest.mark.parametrize("problem", list(Problem))
@pytest.mark.parametrize("use", [None, 0.3, 1.0])
def test_no_hardware_is_blamed_for_a_simulated_camera(problem: Problem, use: float | None) -> None:
    report = Report((problem,), 4.2, 0.1, 30, 0, 90.0, "its bottom part is missing")
    message = diagnostic("over_shoulder", report, 15.0, processor_use=use, simulated=True).message
    assert not any(word in message for word in ("cable", "USB", "plug"))
    assert "{" not in message


def test_the_settings_say_what_was_asked_for() -> None:
    device = {"gain": 2.0, "fourcc": "MJPG", "automatic_exposure": True}
    said = settings_message("wrist", 640, 480, 30.0, device)
    assert (said.camera, said.width, said.height, said.rate, said.simulated) == ("wrist", 640, 480, 30.0, False)
    assert {item.name: parameter_value_to_python(item.value) for item in said.settings} == device
    other = settings_message("wrist", 640, 480, 30.0, {"roi": (0, 4), "serial": None, "gain": np.float64(2.0)})
    plain = {item.name: parameter_value_to_python(item.value) for item in other.settings}
    assert plain == {"roi": "(0, 4)", "serial": "None", "gain": 2.0}  # a plug-in's
