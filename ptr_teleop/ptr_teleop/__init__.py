# SPDX-License-Identifier: Apache-2.0
"""Teleoperation: input devices that drive the arm, the episode recorder and the operator's console."""
