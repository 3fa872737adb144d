# SPDX-License-Identifier: Apache-2.0
"""The WidowX 250 6-DoF: its numbers, kinematics and collision shapes."""
