# SPDX-License-Identifier: Apache-2.0
"""`ptr doctor` finds a SpaceMouse by its vendor, and says the command when it can't be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ptr_bringup.doctor import devices as module
from ptr_bringup.doctor.devices import spacemouse
from ptr_bringup.doctor.findings import AbsentError

RULES = Path(__file__).resolve().parents[3] / "ptr_teleop" / "udev" / "60-ptr-spacemouse.rules"


def plug(folder: Path, number: int, identifier: str, name: str) -> None:
    device = folder / "class" / f"hidraw{number}" / "device"
    device.mkdir(parents=True)
    (device / "uevent").write_text(f"DRIVER=hid-generic\nHID_ID={identifier}\nHID_NAME={name}\nHID_PHYS=usb-1\n")
    (folder / "dev").mkdir(exist_ok=True)
    (folder / "dev" / f"hidraw{number}").touch()


def look(folder: Path) -> str:
    return spacemouse(folder / "class", folder / "dev")


def test_without_one_other_devices_are_named(tmp_path: Path) -> None:
    plug(tmp_path, 0, "0003:0000046D:0000C31C", "Logitech keyboard")
    with pytest.raises(AbsentError, match="none is plugged in"):
        look(tmp_path)


@pytest.mark.parametrize("identifier", ["0003:0000256F:0000C635", "0005:0000256F:0000C638", "0003:0000046D:0000C62B"])
def test_one_is_found_by_its_identifier(tmp_path: Path, identifier: str) -> None:
    plug(tmp_path, 3, identifier, "3Dconnexion SpaceMouse Compact")
    assert look(tmp_path) == f"3Dconnexion SpaceMouse Compact at {tmp_path}/dev/hidraw3"


def test_without_permission_the_command_installs_the_rules_that_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(tmp_path, 3, "0003:0000256F:0000C635", "SpaceMouse")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(module, "package_share", lambda name: RULES.parents[1])
    with pytest.raises(AbsentError, match="no access to .*hidraw3: sudo cp ") as caught:
        look(tmp_path)
    named = Path(str(caught.value).split("sudo cp ")[1].split()[0])
    assert named == RULES
    assert named.is_file()


def test_the_rules_cover_hidraw_and_usb_and_come_before_uaccess_is_evaluated() -> None:
    lines = [line for line in RULES.read_text().splitlines() if line and not line.startswith("#")]
    assert int(RULES.name.split("-")[0]) < 73
    assert {line.split(",")[0] for line in lines} == {'SUBSYSTEM=="hidraw"', 'SUBSYSTEM=="usb"'}
    assert all('TAG+="uaccess"' in line and 'GROUP="plugdev"' in line for line in lines)
