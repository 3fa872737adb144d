# SPDX-License-Identifier: Apache-2.0
"""Episodes: bags of what a robot saw and did, and their conversion to arrays. Needs neither ROS nor PyTorch."""
