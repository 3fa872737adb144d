# SPDX-License-Identifier: Apache-2.0
"""Renders a physics model without a screen: EGL where its library is installed, else OSMesa.

`MUJOCO_GL=egl` or `MUJOCO_GL=osmesa` in the environment decides otherwise. A process may hold several of them:
each makes its own context the current one before it draws, and before it gives its buffers back.
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
_MOST_GEOMS = 1000


def _backend() -> str:
    """Name of the library that draws.

    Raises:
        RuntimeError: there is none.
    """
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    if chosen in _LIBRARIES:
        return chosen
    for name, library in _LIBRARIES.items():
        if ctypes.util.find_library(library):
            return name
    raise RuntimeError(
        "The simulator can't draw: neither EGL nor OSMesa is installed. "
        "Install one, for example with: apt-get install libegl1 libgl1-mesa-dri"
    )


os.environ["MUJOCO_GL"] = _backend()  # before the import of mujoco, which otherwise looks for a screen

import mujoco  # noqa: E402

_open: weakref.WeakSet[Renderer] = weakref.WeakSet()


class Renderer:
    """Draws one model in one size.

    Args:
        model: whose offscreen buffer has at least that size.
        width, height: pixels.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self._context: mujoco.MjrContext | None = None
        most = (model.vis.global_.offwidth, model.vis.global_.offheight)
        if not (0 < width <= most[0] and 0 < height <= most[1]):
            raise ValueError(f"An image has at most {most[0]} x {most[1]} pixels, got {width} x {height}.")
        self._model, self._shape = model, (height, width, 3)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=_MOST_GEOMS)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[3] = 0  # shapes that touch, and are not seen
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._gl = importlib.import_module(f"mujoco.{os.environ['MUJOCO_GL']}").GLContext(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        if not _open:
            atexit.unregister(_close_all)  # to the end of the list: it must run before the display is given back
            atexit.register(_close_all)
        _open.add(self)

    def draw(self, data: mujoco.MjData, camera: int, near: float) -> NDArray[np.uint8]:
        """The image of a camera: RGB (height, width, 3).

        Args:
            near: what is nearer to the camera is not seen, as a share of the model's extent.
        """
        if self._context is None:
            raise RuntimeError("These images were closed; no more can be drawn.")
        self._gl.make_current()
        self._camera.fixedcamid, self._model.vis.map.znear = camera, near
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._options, None, self._camera, everything, self._scene)
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        pixels = np.empty(self._shape, dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._context)
        return np.ascontiguousarray(pixels[::-1])

    def close(self) -> None:
        """Give back the buffers; a second call does nothing."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None

    def __del__(self) -> None:
        self.close()


def _close_all() -> None:
    """Give back everything before the display goes."""
    for images in list(_open):
        images.close()
