# SPDX-License-Identifier: Apache-2.0
"""Packaging of ptr_models: an ament_python package, and plain `pip install ./models` without ROS."""

from pathlib import Path

from setuptools import find_packages, setup

package_name = "ptr_models"


def checkpoint_files() -> list[tuple[str, list[str]]]:
    """Shipped checkpoints, folder by folder, for share/ptr_models/checkpoints."""
    folders: dict[str, list[str]] = {}
    for path in sorted(Path("checkpoints").rglob("*")):
        if path.is_file():
            folders.setdefault(f"share/{package_name}/{path.parent.as_posix()}", []).append(path.as_posix())
    return list(folders.items())


setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    package_data={package_name: ["**/*.msg", "**/*.yaml", "**/*.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        *checkpoint_files(),
    ],
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.11",
        "opencv-python-headless>=4.9",
        "rosbags>=0.11.9,<0.12",
        "protobuf>=4.25",
        "google-crc32c>=1.5",
        "torch>=2.4",
        "safetensors>=0.4.3",
        "rich>=13.7",
        "argcomplete>=2.0",
        "pyyaml>=6.0",
        "tensorboard>=2.16",
        "matplotlib>=3.8",
    ],
    extras_require={
        "lerobot": ["pyarrow>=21,<27", "av>=15,<19"],
        "view": ["av>=15,<19", "pillow>=10"],
        "language": ["sentence-transformers>=6,<7"],
        "lerobot-policies": ["lerobot>=0.4,<0.5"],
        "openpi": ["msgpack>=1.1", "websockets>=13"],
        "rerun": ["rerun-sdk>=0.23"],
    },
    zip_safe=False,
    maintainer="PTR for ROS 2 maintainers",
    maintainer_email="ptr@example.com",
    description="Offline RL from bags: episodes, replay, networks, algorithms, training; free of ROS",
    license="Apache-2.0",
    entry_points={
        "console_scripts": ["ptr = ptr_models.cli:main"],
        "ptr.checks": ["ptr_models = ptr_models.doctor:checks"],
    },
)
