# SPDX-License-Identifier: Apache-2.0
"""The human: devices that drive the arm, and the recorder of episodes."""
