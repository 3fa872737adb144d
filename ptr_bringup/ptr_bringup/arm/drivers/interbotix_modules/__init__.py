# SPDX-License-Identifier: Apache-2.0
"""The driver of the real WidowX 250 on top of Interbotix's Python API, for labs that have it.

What is sent and asked goes through an `InterbotixManipulatorXS`: its publishers, its clients. Everything that decides
is that of the package `interbotix`: profile, gripper, ramp, registers, the conversations that nobody waits for.
"""
