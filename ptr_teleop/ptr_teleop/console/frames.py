# SPDX-License-Identifier: Apache-2.0
"""The newest image of each camera, and a way to wait for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class _Readers:
    """The event loop of the waiting readers, and the event that wakes them."""

    loop: asyncio.AbstractEventLoop
    changed: asyncio.Event


class NewestFrame:
    """Holds one image; a new one replaces the old, however slow the readers are.

    Any thread may call `put`; `after` is for coroutines of one event loop.
    """

    def __init__(self) -> None:
        self._held: tuple[int, Callable[[], bytes]] | None = None  # replaced as a whole: no lock is needed
        self._readers: _Readers | None = None

    def put(self, jpeg: Callable[[], bytes]) -> int:
        """Replace the image and return its number.

        Args:
            jpeg: returns its bytes; called only when a reader wants them.
        """
        number = 1 if self._held is None else self._held[0] + 1
        self._held = (number, jpeg)
        readers = self._readers
        if readers is not None and not readers.loop.is_closed():
            try:
                readers.loop.call_soon_threadsafe(readers.changed.set)
            except RuntimeError:  # the loop was closed just now: nobody is waiting
                pass
        return number

    def newest(self) -> bytes | None:
        """The current image; None before the first one."""
        held = self._held
        return None if held is None else held[1]()

    async def after(self, number: int) -> tuple[int, bytes]:
        """Wait for an image other than `number`; returns its number and bytes."""
        readers, loop = self._readers, asyncio.get_running_loop()
        if readers is None or readers.loop is not loop:
            self._readers = readers = _Readers(loop, asyncio.Event())
        while (held := self._held) is None or held[0] == number:
            readers.changed.clear()
            if self._held is held:
                await readers.changed.wait()
        return held[0], held[1]()
