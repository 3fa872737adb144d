# SPDX-License-Identifier: Apache-2.0
"""Simulation in bulk, in process and without a clock: pre-training data, and evaluation by the hundred."""
