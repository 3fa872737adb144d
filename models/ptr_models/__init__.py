# SPDX-License-Identifier: Apache-2.0
"""The learner of PTR (Pre-Training for Robots): episodes, networks, algorithms and training, free of ROS."""

__version__ = "0.1.0"
