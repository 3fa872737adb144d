# SPDX-License-Identifier: Apache-2.0
"""Shared by nodes and commands: start and shutdown, parameters, QoS, time, calls with timeouts. Imports rclpy."""
