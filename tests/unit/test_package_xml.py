# SPDX-License-Identifier: Apache-2.0
"""What each package.xml declares, against what the package imports: `rosdep install` brings no more than that."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from test_import_direction import FOLDERS, ROOT, imported, sources

FROM_PIP = {
    "argcomplete": "argcomplete",
    "av": "av",
    "aiohttp": "aiohttp",
    "backports": "rosbags",  # its dependencies: compression of MCAP files
    "compression": "rosbags",
    "cryptography": "cryptography",
    "cv2": "opencv-python-headless",
    "google": "protobuf",
    "google_crc32c": "google-crc32c",
    "jinja2": "jinja2",
    "lz4": "rosbags",
    "matplotlib": "matplotlib",
    "msgpack": "msgpack",
    "mujoco": "mujoco",
    "PIL": "pillow",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "pyspacemouse": "pyspacemouse",
    "rich": "rich",
    "rosbags": "rosbags",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "segno": "segno",
    "tensorboard": "tensorboard",
    "torch": "torch",
    "websockets": "websockets",
    "yaml": "pyyaml",
}
"""Modules that requirements/python.in brings also where ROS is installed, by the name of the requirement."""
OPTIONAL = {"lerobot", "pyrealsense2", "rerun", "sentence_transformers"}
"""Modules that a person installs for one device, viewer or kind of policy; docs/how-to says how."""
ROSDEP = {"python3-opencv": "cv2"}
"""Modules behind keys of rosdep that have another name than the key says."""
STARTED = {"ptr_bringup": {"ros2launch", "launch_xml"}}
"""Packages that are declared for the launch files, and not imported."""


def manifest(package: str) -> set[str]:
    """Names that a package's package.xml says it depends on when it runs."""
    root = ElementTree.parse(FOLDERS[package].parent / "package.xml").getroot()
    return {element.text for tag in ("depend", "exec_depend") for element in root.iter(tag)}


def imported_from_outside(package: str) -> set[str]:
    """Names of the packages and modules that a package imports, other than itself and the standard library."""
    tops = {name.partition(".")[0] for path in sources(package).values() for name in imported(path)}
    return tops - set(sys.stdlib_module_names) - {package}


@pytest.mark.parametrize("package", FOLDERS)
def test_every_import_is_declared(package: str) -> None:
    requirements = (ROOT / "requirements" / "python.in").read_text()
    known = set(re.findall(r"^[\w-]+", requirements, re.MULTILINE))
    from_pip = {name for name, requirement in FROM_PIP.items() if requirement in known}
    assert imported_from_outside(package) - from_pip - OPTIONAL - manifest(package) == set()


@pytest.mark.parametrize("package", FOLDERS)
def test_nothing_is_declared_that_is_not_imported(package: str) -> None:
    declared = {ROSDEP.get(name, name.removeprefix("python3-")) for name in manifest(package)}
    assert declared - imported_from_outside(package) == STARTED.get(package, set())
