# SPDX-License-Identifier: Apache-2.0
"""No device: the node waits until one is chosen."""

from __future__ import annotations

from ptr_teleop.devices.base import Outbox, Reading


class NoDevice(Outbox):
    """Wishes nothing."""

    source = "none"
    horizon = 0.1

    def read(self, now: float) -> Reading:
        """See `Device.read`."""
        return Reading()
