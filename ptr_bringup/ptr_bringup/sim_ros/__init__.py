# SPDX-License-Identifier: Apache-2.0
"""The simulator's ROS interface: publishers, motor services, fault injection and setting up scenes."""
