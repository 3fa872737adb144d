# SPDX-License-Identifier: Apache-2.0
"""Quality of service that topics of the suite share; rclpy has the one of sensors."""

from rclpy.qos import DurabilityPolicy, QoSProfile

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""The newest message also reaches those who subscribe after it was sent."""
