# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium for the tests of the operator's console."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EMULATOR = Path(__file__).resolve().parents[1] / "browser/node_modules/iwer/build/iwer.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def need(condition: object, what: str) -> None:
    """Skip the test when something is missing, unless PTR_REQUIRE_BROWSER says that it must be there."""
    if not condition:
        sentence = f"{what} is missing: run `make browser`"
        if os.environ.get("PTR_REQUIRE_BROWSER"):
            pytest.fail(sentence)
        pytest.skip(sentence)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a profile of its own, gone afterwards."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    need(executable, "Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def address(ros: Any, console: Any) -> str:
    """Where a console serves its page, once it says so."""
    pattern = re.compile(r"the console is at (http://\S+)")
    ros.wait(lambda: pattern.search(console.output), "the console's address", timeout=30.0)
    return pattern.search(console.output)[1]


def until(ros: Any, page: Any, expression: str, what: str, timeout: float = 60.0) -> None:
    """Wait until a JavaScript expression is true in the page, and let ROS run meanwhile.

    The page is asked ten times a second: asked without a pause, a browser on a busy machine answers, and does nothing
    else.
    """

    def look() -> bool:
        ros.spin(0.1)
        return bool(page.evaluate(f"Boolean({expression})"))

    ros.wait(look, f"{what} in the page", timeout)


def position(ros: Any) -> np.ndarray:
    """Where the arm's newest state says that the gripper is, m."""
    at = ros.states[-1].measured_pose.position
    return np.array([at.x, at.y, at.z])


def assert_it_holds(ros: Any) -> None:
    """The arm comes to rest, and stays where it is for half a second of its own states."""

    def rests() -> bool:
        places = [state.measured_pose.position for state in ros.states[-25:]]
        path = np.array([[at.x, at.y, at.z] for at in places])
        return len(places) == 25 and np.ptp(path, axis=0).max() < 0.0005

    ros.wait(rests, "the arm to rest")
    held, count = position(ros), len(ros.states)
    ros.wait(lambda: len(ros.states) >= count + 25, "half a second of states")
    assert np.abs(position(ros) - held).max() < 0.002
