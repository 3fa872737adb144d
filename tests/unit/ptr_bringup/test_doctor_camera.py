# SPDX-License-Identifier: Apache-2.0
"""`ptr doctor` names cameras by their persistent paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ptr_bringup.camera import v4l2
from ptr_bringup.doctor.devices import cameras
from ptr_bringup.doctor.findings import AbsentError


def test_cameras_are_named_by_their_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video0").touch()
    folder = tmp_path / "by-path"
    folder.mkdir()
    (folder / "pci-usb-0:2:1.0-video-index0").symlink_to("../video0")
    monkeypatch.setattr(v4l2, "_LINKS", (folder,))
    assert cameras() == f"{folder}/pci-usb-0:2:1.0-video-index0"


def test_without_a_camera_the_advice_is_to_plug_one_in() -> None:
    with pytest.raises(AbsentError, match="plug in a UVC camera"):
        cameras(lambda: [])


def test_a_camera_that_can_not_be_opened_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda name, _: name != "/dev/video2")
    with pytest.raises(AbsentError, match=r"no access to /dev/video2: sudo usermod -aG video"):
        cameras(lambda: ["/dev/video0", "/dev/video2"])
