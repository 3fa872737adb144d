# SPDX-License-Identifier: Apache-2.0
"""The latency file: measurements are merged into it, and the contract accepts it."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.calibrate.lag import Lag
from ptr_bringup.calibrate.latency_report import plot, sentence, write_latencies
from ptr_models.contract import Camera, Contract
from ptr_models.latency_file import with_measured_latencies

DAY = datetime.date(2026, 11, 23)


def lag(value: float) -> Lag:
    candidates = np.linspace(-0.05, 0.4, 226)
    return Lag(value, value - 0.002, value + 0.003, 0.97, candidates, 0.97 - (candidates - value) ** 2)


def test_a_second_camera_is_added_to_the_first_and_the_contract_takes_both(tmp_path: Path) -> None:
    path = tmp_path / "robot" / "latency.yaml"
    write_latencies(path, lag(0.1), {"over_shoulder": lag(0.0834)}, DAY)
    write_latencies(path, lag(0.09), {"wrist": lag(-0.004)}, DAY)
    contract = with_measured_latencies(Contract(cameras=(Camera("over_shoulder"), Camera("wrist"))), str(path))
    assert [camera.latency for camera in contract.cameras] == [0.083, 0.0]
    assert contract.command_latency == 0.09
    measured = yaml.safe_load(path.read_text())["measured"]["camera over_shoulder"]
    assert measured == {"date": "2026-11-23", "interval_95": [0.0814, 0.0864], "explained": 0.97}


@pytest.mark.parametrize("text", ["cameras: [", "- 1", "cameras: 3"])
def test_a_file_that_is_something_else_is_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "latency.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match="exists but"):
        write_latencies(path, lag(0.1), {}, DAY)
    assert path.read_text() == text


def test_a_measurement_is_one_line_and_an_image(tmp_path: Path) -> None:
    assert sentence("command to motion", lag(0.1)) == (
        "command to motion: 100 ms, 95 % interval 98 to 103 ms (97 % explained)"
    )
    plot(tmp_path / "latency.png", lag(0.1), {"over_shoulder": lag(0.08)})
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")
