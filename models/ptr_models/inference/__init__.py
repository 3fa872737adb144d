# SPDX-License-Identifier: Apache-2.0
"""Trained policies at work: what they answer, and what may stand in their place."""
