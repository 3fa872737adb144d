# SPDX-License-Identifier: Apache-2.0
"""`ptr doctor` finds the arm's cable, a slow adapter, and Interbotix's software."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ptr_bringup.doctor import devices
from ptr_bringup.doctor.findings import AbsentError
from ptr_bringup.launching.errors import LaunchError


def plug(folder: Path, latency: int) -> tuple[Path, Path]:
    """/dev/ttyDXL as Interbotix's rules make it, and the adapter's place in sysfs."""
    (folder / "ttyUSB0").touch()
    (folder / "ttyDXL").symlink_to("ttyUSB0")
    timer = folder / "sysfs" / "ttyUSB0" / "latency_timer"
    timer.parent.mkdir(parents=True)
    timer.write_text(f"{latency}\n")
    return folder / "ttyDXL", folder / "sysfs"


def test_without_a_cable_the_page_is_named(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match=f"connect the U2D2.*{devices.ARM_PAGE}"):
        devices.arm_cable(tmp_path / "ttyDXL", tmp_path)
    assert (Path(__file__).resolve().parents[3] / devices.ARM_PAGE).is_file()


def test_a_quick_cable_is_found(tmp_path: Path) -> None:
    assert devices.arm_cable(*plug(tmp_path, 1)) == f"{tmp_path}/ttyDXL, latency 1 ms"


def test_a_slow_adapter_is_told_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match=r"latency of 16 ms: echo 1 \| sudo tee .*ttyUSB0/latency_timer"):
        devices.arm_cable(*plug(tmp_path, 16))


def test_a_cable_that_can_not_be_opened_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, sysfs = plug(tmp_path, 1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(AbsentError, match="usermod -aG dialout"):
        devices.arm_cable(device, sysfs)


def test_xs_sdk_is_found_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "package_prefix", lambda name: Path("/opt/interbotix"))
    assert devices.arm_software() == "xs_sdk in /opt/interbotix"


def test_without_it_the_stand_in_is_offered_or_the_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise LaunchError(name)

    monkeypatch.setattr(devices, "package_prefix", missing)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    with pytest.raises(AbsentError, match="xs_sdk:=stand_in"):
        devices.arm_software()
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AbsentError, match="make setup"):
        devices.arm_software()
