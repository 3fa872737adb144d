# SPDX-License-Identifier: Apache-2.0
"""Launch files in ROS 2's XML format, run without ROS 2's own launch system.

An exact subset: what is supported means what it means under `ros2 launch`, everything else is
refused by name. `documents` reads and checks the XML, `substitutions` evaluates `$(…)`, `interpreter` turns a
file into a list of processes, `supervisor` runs them, `cli` is `ptr launch`.
"""
