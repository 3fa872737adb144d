# SPDX-License-Identifier: Apache-2.0
"""Packaging of ptr_teleop (ament_python)."""

from glob import glob

from setuptools import find_packages, setup

package_name = "ptr_teleop"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    package_data={package_name: ["console/web/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        (f"share/{package_name}/udev", sorted(glob("udev/*.rules"))),
    ],
    install_requires=["setuptools"],
    extras_require={"spacemouse": ["pyspacemouse>=2.1"]},
    zip_safe=False,
    maintainer="PTR for ROS 2 maintainers",
    maintainer_email="ptr@example.com",
    description="The human: teleoperation devices, the recorder and the operator's console",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "teleop = ptr_teleop.node:main",
            "recorder = ptr_teleop.recorder.node:main",
            "console = ptr_teleop.console.node:main",
        ],
        "ptr.commands": [
            "collect = ptr_teleop.cli:register",
            "teleop = ptr_teleop.terminal.cli:register",
            "record = ptr_teleop.recorder.cli:register",
            "replay = ptr_teleop.replay.cli:register",
        ],
    },
)
