# SPDX-License-Identifier: Apache-2.0
"""Driving and recording at a terminal: its keys, and a status line."""
