# SPDX-License-Identifier: Apache-2.0
"""The simulator's side of ROS: what its node publishes, its motors as messages, and laying out a scene from outside."""
