# SPDX-License-Identifier: Apache-2.0
"""Rewards without a person: a classifier that tells from an image whether a task is done."""
