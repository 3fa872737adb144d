# SPDX-License-Identifier: Apache-2.0
"""Text that is for the person at the terminal alone, and for no log."""

from __future__ import annotations

import os
import sys

MARK = "PTR_TERMINAL_MARK"
"""Variable by which `ptr launch` says how lines begin that it shows on the terminal and keeps out of its logs."""


def show_on_terminal(text: str) -> None:
    """Print a text where only the person at the terminal sees it; nothing where output goes to a file or a pipe."""
    mark = os.environ.get(MARK, "")
    if not mark and not sys.stdout.isatty():
        return
    print("".join(f"{mark}{line}\n" for line in text.splitlines()), end="", flush=True)
