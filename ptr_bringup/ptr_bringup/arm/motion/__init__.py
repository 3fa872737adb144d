# SPDX-License-Identifier: Apache-2.0
"""Moves to a pose: planning, execution and the action server."""
