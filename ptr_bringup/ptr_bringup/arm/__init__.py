# SPDX-License-Identifier: Apache-2.0
"""The arm: kinematics, the gate that every command passes, and the drivers under it."""
