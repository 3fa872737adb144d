# SPDX-License-Identifier: Apache-2.0
"""When a camera that runs, but whose pictures are of no use, is closed and opened again.

A stream that repeats one picture, or that is out of step so that every picture is torn, often stays so until the
device is opened anew. That does not help where it is the view that makes all pictures equal (a test pattern, a sensor
under a cap), and it delays the first picture after the view has changed: so each wait is twice the one before.
"""

from __future__ import annotations

FIRST, LONGEST = 2.0, 60.0
"""s of pictures of no use after which the camera is opened anew, at first and at most."""
STEADY = 60.0
"""s of useful pictures after which the waits begin anew: what has frozen again by then was not mended."""


class Reopening:
    """Watches the pictures of one camera, also across its openings.

    Attributes:
        patience: s of nothing but pictures of no use after which it is to be opened anew.
    """

    def __init__(self) -> None:
        self.patience = FIRST
        self._useless_since: float | None = None
        self._useful_since: float | None = None

    def opened(self) -> None:
        """The camera was opened: it gets the whole patience from its next picture on."""
        self._useless_since = self._useful_since = None

    def due(self, now: float, useful: bool) -> bool:
        """Take a picture into account; says whether the camera is to be closed and opened again.

        Args:
            now: s of a steady clock.
            useful: whether the picture is neither frozen nor torn.
        """
        if useful:
            self._useless_since = None
            self._useful_since = now if self._useful_since is None else self._useful_since
            if now - self._useful_since >= STEADY:
                self.patience = FIRST
            return False
        self._useful_since = None
        self._useless_since = now if self._useless_since is None else self._useless_since
        if now - self._useless_since < self.patience:
            return False
        self.patience = min(2 * self.patience, LONGEST)
        return True
