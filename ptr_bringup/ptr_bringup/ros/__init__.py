# SPDX-License-Identifier: Apache-2.0
"""What nodes and commands share: start and end, parameters, QoS, time, calls with time-outs. Imports rclpy."""
