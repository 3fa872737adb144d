# SPDX-License-Identifier: Apache-2.0
"""The robot as RViz and Foxglove show it: its URDF, and where its links and cameras are."""
