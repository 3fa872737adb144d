# SPDX-License-Identifier: Apache-2.0
"""Packaging of ptr_bringup (ament_python)."""

import os.path
from glob import glob

from setuptools import find_packages, setup

package_name = "ptr_bringup"


def files(pattern: str) -> list[str]:
    """Files of a pattern; links that an earlier build has left to files that are gone are none."""
    return [path for path in sorted(glob(pattern)) if os.path.exists(path)]


setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    package_data={package_name: ["**/*.yaml", "**/*.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml", *files("interbotix.*.repos")]),
        (f"share/{package_name}/launch", files("launch/*.launch.xml")),
        (f"share/{package_name}/config", files("config/*.*")),
        (f"share/{package_name}/urdf", files("urdf/*.urdf")),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="PTR for ROS 2 maintainers",
    maintainer_email="ptr@example.com",
    description="The robot: arm, safety gate, cameras, simulator, launch files and configuration",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "arm = ptr_bringup.arm.node:main",
            "camera = ptr_bringup.camera.node:main",
            "cameras = ptr_bringup.camera.cameras_node:main",
            "camera_monitor = ptr_bringup.camera.monitor_node:main",
            "raw_camera = ptr_bringup.camera.raw_node:main",
            "robot_description = ptr_bringup.description.node:main",
            "simulator = ptr_bringup.sim.node:main",
            "xs_sdk_stand_in = ptr_bringup.xs_sdk.node:main",
            "scripted_operator = ptr_bringup.sim.operator_node:main",
            "scene = ptr_bringup.sim_ros.scene_node:main",
        ],
        "ptr.commands": [
            "launch = ptr_bringup.launching.cli:register",
            "doctor = ptr_bringup.doctor.cli:register",
            "calibrate = ptr_bringup.calibrate.cli:register",
            "arm = ptr_bringup.arm.cli:register",
            "inject = ptr_bringup.sim_ros.inject_cli:register",
        ],
    },
)
