# SPDX-License-Identifier: Apache-2.0
"""Write LeRobotDataset v3.0 from bags, and read v2.1 and v3.0 into bags, without LeRobot itself.

Needs the extra `lerobot` of the package (pyarrow and av); `layout.require_extra` raises an error if it is missing.
"""
