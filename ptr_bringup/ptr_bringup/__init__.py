# SPDX-License-Identifier: Apache-2.0
"""The robot: arm, cameras, simulator, launch files and configuration."""
