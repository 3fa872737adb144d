# SPDX-License-Identifier: Apache-2.0
"""The driver of the real WidowX 250 via Interbotix's Python API, for labs that use it.

Messages and calls go through the publishers and clients of an `InterbotixManipulatorXS`. All logic is shared with the
package `interbotix`: profile, gripper, catch-up limiter, registers, service sequences.
"""
