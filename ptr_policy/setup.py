# SPDX-License-Identifier: Apache-2.0
"""Packaging of ptr_policy (ament_python)."""

from setuptools import find_packages, setup

package_name = "ptr_policy"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    package_data={package_name: ["**/*.jinja", "**/*.html", "**/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="PTR for ROS 2 maintainers",
    maintainer_email="ptr@example.com",
    description="The policy: the server at control rate, evaluation with recorded trials, and the demonstration",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "policy_server = ptr_policy.server.node:main",
            "evaluator = ptr_policy.evaluation.node:main",
        ],
        "ptr.commands": [
            "sim = ptr_policy.bulk.cli:register",
            "policy = ptr_policy.server.cli:register",
            "evaluate = ptr_policy.evaluation.cli:register",
            "demo = ptr_policy.demo.cli:register",
            "table = ptr_policy.table.cli:register",
        ],
    },
)
