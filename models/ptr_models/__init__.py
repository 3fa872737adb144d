# SPDX-License-Identifier: Apache-2.0
"""The learning side of PTR (Pre-Training for Robots): episodes, networks, algorithms and training, without ROS."""

__version__ = "0.1.0"
