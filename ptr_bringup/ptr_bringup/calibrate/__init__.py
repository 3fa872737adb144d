# SPDX-License-Identifier: Apache-2.0
"""`ptr calibrate`: measures what differs from robot to robot, and stores it."""
