# SPDX-License-Identifier: Apache-2.0
"""Moves to a pose: planned, executed and offered as an action."""
