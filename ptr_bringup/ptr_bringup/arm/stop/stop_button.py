# SPDX-License-Identifier: Apache-2.0
"""A stop button of hardware: any Linux input device with a key, such as a foot pedal, a USB button or a keyboard.

Read straight from /dev/input/event*: `struct input_event` of linux/input.h, 24 bytes on a 64-bit machine. A press
stops the arm; so does the loss of the device, since then nobody can stop it with that button.
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
"""EVIOCGKEY: a bit for each code that is down; a locking button may be down when the node begins."""


class StopButton:
    """Reads the keys of one input device, without waiting.

    Args:
        path: best one below /dev/input/by-id, which does not change at the next start.
        key: code of the key that counts (linux/input-event-codes.h), 0: every key.

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
            bitmap = bytearray()  # a pipe, or an old kernel: what is down shows when it changes
        self._down = {8 * k + bit for k, byte in enumerate(bitmap) for bit in range(8) if byte >> bit & 1}
        return file

    @property
    def lost(self) -> bool:
        """True while the device is gone."""
        return self._file is None

    @property
    def pressed(self) -> bool:
        """True while a key that counts is down."""
        return any(self._key in (0, code) for code in self._down)

    def poll(self) -> str:
        """Take in what has happened.

        Returns:
            Why the arm has to stop, or empty.
        """
        if self._file is None:
            return self._reopened()
        hit = self.pressed
        while True:
            try:
                data = os.read(self._file, 64 * _EVENT.size)
            except BlockingIOError:
                break
            except OSError as error:
                return self._lose(errno.errorcode.get(error.errno or 0, "unknown error"))
            if len(data) % _EVENT.size or not data:
                return self._lose("end of its stream")
            for _, _, kind, code, value in _EVENT.iter_unpack(data):
                if kind == _KEY:
                    (self._down.discard if value == 0 else self._down.add)(code)
                    hit |= value == 1 and self._key in (0, code)
        return f"the stop button {self.path} was pressed" if hit else ""

    def _lose(self, why: str) -> str:
        self.close()
        return self._gone(why)

    def _gone(self, why: str) -> str:
        return f"the stop button {self.path} is lost ({why})"

    def _reopened(self) -> str:
        try:
            self._file = self._open()
        except OSError as error:
            return self._gone(errno.errorcode.get(error.errno or 0, "unknown error"))
        return ""

    def refusal(self) -> str:
        """Why the stop must not be cleared, or empty."""
        if self.lost:
            return f"The stop button {self.path} is lost; plug it in again."
        if self.pressed:
            return f"The stop button {self.path} is still pressed; release it."
        return ""

    def close(self) -> None:
        """Give back the device."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._down = None, set()
