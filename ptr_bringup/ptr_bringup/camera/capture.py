# SPDX-License-Identifier: Apache-2.0
"""A thread that takes pictures from a source as they come, and opens it again when it has gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ptr_bringup.camera.interface import CameraError, Picture, Source

FIRST_WAIT, LONGEST_WAIT = 0.5, 4.0
"""s between two tries to find a camera again; each wait is twice the one before."""


class CaptureThread:
    """Delivers each picture at once, from its own thread.

    Args:
        open_source: opens the source, anew after it has gone.
        returns: whether a source that gives nothing is to be waited for; else its end is the end.
        deliver: gets each picture.
        tell: gets a sentence when the source has gone, and when it is back.
        ended: called when there are no more pictures, with the reason of a failure or an empty string.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        returns: bool,
        deliver: Callable[[Picture], None],
        tell: Callable[[str], None],
        ended: Callable[[str], None],
    ) -> None:
        self._open, self._returns = open_source, returns
        self._deliver, self._tell, self._ended = deliver, tell, ended
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, source: Source | None) -> None:
        """Begin, with a source that is open, or by looking for one."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(source,), name="capture", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it closes the source."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def _run(self, source: Source | None) -> None:
        try:
            while not self._stop.is_set():
                source = source or self._find()
                if source is None:
                    return
                self._read_all(source)
                source.close()
                source = None
                if not self._returns:
                    break
                if not self._stop.is_set():
                    self._tell("The camera gives no pictures any more; waiting for it to come back.")
            if not self._stop.is_set():
                self._ended("")
        except CameraError as error:
            self._ended(str(error))
        except Exception as error:  # of a library: a node whose thread died unheard would look like a camera that hangs
            self._ended(f"The pictures can't be taken: {type(error).__name__}: {error}.")
        finally:
            if source is not None:
                source.close()

    def _read_all(self, source: Source) -> None:
        """Deliver until there is nothing more, at the source's own pace or at its period."""
        due = time.monotonic()
        while not self._stop.is_set():
            picture = source.read()
            if picture is None:
                return
            self._deliver(picture)
            if source.period is not None:
                due = max(due + source.period, time.monotonic() - source.period)
                self._stop.wait(max(0.0, due - time.monotonic()))

    def _find(self) -> Source | None:
        """Try to open the source until that succeeds; None when the thread is to end."""
        wait, reason = FIRST_WAIT, ""
        while not self._stop.wait(wait):
            try:
                source = self._open()
            except CameraError as error:
                if str(error) != reason:
                    reason = str(error)
                    self._tell(reason)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            self._tell("The camera is there.")
            return source
        return None
