# SPDX-License-Identifier: Apache-2.0
"""A hardware stop button: any Linux input device with a key, such as a foot pedal, a USB button or a keyboard.

Read directly from /dev/input/event*: `struct input_event` of linux/input.h, 24 bytes on a 64-bit machine. A press
stops the arm. Losing the device stops it too, because the button would no longer work.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_EVENT = struct.Struct("@llHHi")
"""seconds, microseconds, type, code, value."""
_KEY = 1
"""EV_KEY; its values are 0 released, 1 pressed, 2 repeated."""
_CODES = 0x2FF + 1
_PRESSED_NOW = 2 << 30 | _CODES // 8 << 16 | ord("E") << 8 | 0x18
"""EVIOCGKEY: one bit for each key that is down; a latching button may be down when the node starts."""


class StopButton:
    """Reads the keys of one input device without blocking.

    Args:
        path: preferably in /dev/input/by-id, where names survive a reboot.
        key: code of the key (linux/input-event-codes.h), 0: any key.

    Raises:
        OSError: the device can't be opened.
    """

    def __init__(self, path: str, key: int = 0) -> None:
        self.path, self._key = path, key
        self._down: set[int] = set()
        self._file: int | None = self._open()

    def _open(self) -> int:
        file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        bitmap = bytearray(_CODES // 8)
        try:
            fcntl.ioctl(file, _PRESSED_NOW, bitmap)
        except OSError:
            bitmap = bytearray()  # a pipe or an old kernel: keys that are down are only seen when they change
        self._down = {8 * k + bit for k, byte in enumerate(bitmap) for bit in range(8) if byte >> bit & 1}
        return file

    @property
    def lost(self) -> bool:
        """True while the device is gone."""
        return self._file is None

    @property
    def pressed(self) -> bool:
        """True while the key is down."""
        return any(self._key in (0, code) for code in self._down)

    def poll(self) -> str:
        """Read pending events.

        Returns:
            Why the arm must stop, or an empty string.
        """
        if self._file is None:
            return self._reopen()
        hit = self.pressed
        while True:
            try:
                data = os.read(self._file, 64 * _EVENT.size)
            except BlockingIOError:
                break
            except OSError as error:
                return self._on_lost(errno.errorcode.get(error.errno or 0, "unknown error"))
            if len(data) % _EVENT.size or not data:
                return self._on_lost("end of file")
            for _, _, kind, code, value in _EVENT.iter_unpack(data):
                if kind == _KEY:
                    (self._down.discard if value == 0 else self._down.add)(code)
                    hit |= value == 1 and self._key in (0, code)
        return f"the stop button {self.path} was pressed" if hit else ""

    def _on_lost(self, why: str) -> str:
        self.close()
        return self._lost_reason(why)

    def _lost_reason(self, why: str) -> str:
        return f"the stop button {self.path} is lost ({why})"

    def _reopen(self) -> str:
        try:
            self._file = self._open()
        except OSError as error:
            return self._lost_reason(errno.errorcode.get(error.errno or 0, "unknown error"))
        return ""

    def refusal(self) -> str:
        """Why the stop can't be cleared, or an empty string."""
        if self.lost:
            return f"The stop button {self.path} is lost; plug it in again."
        if self.pressed:
            return f"The stop button {self.path} is still pressed; release it."
        return ""

    def close(self) -> None:
        """Release the device."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._down = None, set()
