# SPDX-License-Identifier: Apache-2.0
"""The suite's own quality-of-service profile; rclpy provides the one for sensors."""

from rclpy.qos import DurabilityPolicy, QoSProfile

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Late subscribers also get the newest message."""
