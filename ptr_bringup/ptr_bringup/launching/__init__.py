# SPDX-License-Identifier: Apache-2.0
"""Launch files in ROS 2's XML format, run without ROS 2's own launch system.

This is an exact subset: whatever is supported behaves as under `ros2 launch`, and everything else is refused by name.
`documents` reads and checks the XML, `substitutions` evaluates `$(…)`, `interpreter` turns a file into a list of
processes, `supervisor` runs them, `cli` is `ptr launch`.
"""
