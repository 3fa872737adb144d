# SPDX-License-Identifier: Apache-2.0
"""The robot for RViz and Foxglove: its URDF and the transforms of its links and cameras."""
