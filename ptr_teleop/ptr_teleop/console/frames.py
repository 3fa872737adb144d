# SPDX-License-Identifier: Apache-2.0
"""The newest image of each camera, and a way to wait for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class NewestFrame:
    """A place for one image: a new one replaces the old, however slowly it is read.

    `put` is called by any thread; `after` by coroutines of one event loop.
    """

    def __init__(self) -> None:
        self._held: tuple[int, Callable[[], bytes]] | None = None  # replaced as a whole: no lock is needed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None

    def put(self, jpeg: Callable[[], bytes]) -> int:
        """Replace the image, and return the new one's number.

        Args:
            jpeg: gives its bytes; called only when somebody looks.
        """
        number = 1 if self._held is None else self._held[0] + 1
        self._held = (number, jpeg)
        loop, changed = self._loop, self._changed
        if loop is not None and changed is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:  # the loop was closed just now: nobody waits any more
                pass
        return number

    def newest(self) -> bytes | None:
        """The image that is held now; None before the first one."""
        held = self._held
        return None if held is None else held[1]()

    async def after(self, number: int) -> tuple[int, bytes]:
        """The newest image, once there is one whose number is not `number`, and its own number."""
        if self._loop is not asyncio.get_running_loop():
            self._changed, self._loop = asyncio.Event(), asyncio.get_running_loop()
        while (held := self._held) is None or held[0] == number:
            self._changed.clear()
            if self._held is held:
                await self._changed.wait()
        return held[0], held[1]()
