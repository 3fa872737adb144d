# SPDX-License-Identifier: Apache-2.0
"""Playback of a recorded episode on the arm."""
