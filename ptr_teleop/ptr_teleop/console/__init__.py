# SPDX-License-Identifier: Apache-2.0
"""The operator's console: one web page to see, record, label, drive and stop.

`node` and `ros_robot` know ROS; everything else is plain asyncio and is tested without it.
"""
