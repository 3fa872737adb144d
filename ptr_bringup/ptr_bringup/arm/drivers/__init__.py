# SPDX-License-Identifier: Apache-2.0
"""Drivers of the arm: what lies between the gate and the motors."""
