# SPDX-License-Identifier: Apache-2.0
"""Renders a physics model off screen, with EGL if its library is installed, else with OSMesa.

The environment variable `MUJOCO_GL` (egl or osmesa) overrides this. A process may have several renderers: each makes
its own context current before it draws or frees its buffers.
"""

from __future__ import annotations

import atexit
import ctypes.util
import importlib
import os
import weakref

import numpy as np
from numpy.typing import NDArray

_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
_MAX_GEOMS = 1000


def _backend() -> str:
    """Name of the rendering library.

    Raises:
        RuntimeError: none is installed.
    """
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    if chosen in _LIBRARIES:
        return chosen
    for name, library in _LIBRARIES.items():
        if ctypes.util.find_library(library):
            return name
    raise RuntimeError(
        "the simulator can't render, because neither EGL nor OSMesa is installed; "
        "install one, for example with: apt-get install libegl1 libgl1-mesa-dri"
    )


os.environ["MUJOCO_GL"] = _backend()  # before mujoco is imported, which otherwise needs a screen

import mujoco  # noqa: E402

_open: weakref.WeakSet[Renderer] = weakref.WeakSet()


class Renderer:
    """Renders one model at one size.

    Args:
        model: its offscreen buffer must have at least that size.
        width, height: pixels.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self._context: mujoco.MjrContext | None = None
        largest = (model.vis.global_.offwidth, model.vis.global_.offheight)
        if not (0 < width <= largest[0] and 0 < height <= largest[1]):
            raise ValueError(f"the image size is {width} x {height}; the maximum is {largest[0]} x {largest[1]} pixels")
        self._model, self._shape = model, (height, width, 3)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[3] = 0  # invisible collision shapes
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._gl = importlib.import_module(f"mujoco.{os.environ['MUJOCO_GL']}").GLContext(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        if not _open:
            atexit.unregister(_close_all)  # move to the end of the list: it must run before the display is closed
            atexit.register(_close_all)
        _open.add(self)

    def draw(self, data: mujoco.MjData, camera: int, near: float) -> NDArray[np.uint8]:
        """The image of a camera: RGB (height, width, 3).

        Args:
            near: near clipping distance, as a share of the model's extent.
        """
        if self._context is None:
            raise RuntimeError("the renderer is closed; create a new one")
        self._gl.make_current()
        self._camera.fixedcamid, self._model.vis.map.znear = camera, near
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._options, None, self._camera, everything, self._scene)
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        pixels = np.empty(self._shape, dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._context)
        return np.ascontiguousarray(pixels[::-1])

    def close(self) -> None:
        """Free the buffers; a second call does nothing."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None

    def __del__(self) -> None:
        self.close()


def _close_all() -> None:
    """Free everything before the display is closed."""
    for renderer in list(_open):
        renderer.close()
