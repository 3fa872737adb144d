# SPDX-License-Identifier: Apache-2.0
"""Episodes: bags with everything a robot saw and did, and their way into arrays. No ROS, no torch."""
