# SPDX-License-Identifier: Apache-2.0
"""The motors: readings, health, torque, reboot and recovery."""
