# SPDX-License-Identifier: Apache-2.0
"""Bulk simulation without ROS and real time: pre-training data, and hundreds of trials."""
