# SPDX-License-Identifier: Apache-2.0
"""The operator's console: one web page to see, record, label, drive and stop.

Only `node`, `listener`, `ros_robot` and the views use ROS; everything else is plain asyncio, tested without it.
"""
