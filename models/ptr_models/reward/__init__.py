# SPDX-License-Identifier: Apache-2.0
"""Automatic rewards: a classifier that decides from an image whether a task is done."""
