# SPDX-License-Identifier: Apache-2.0
"""Saved episodes over HTTP: the list, thumbnails, and the player's data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from ptr_models.common.errors import PtrError
from ptr_teleop.console.robot import Robot

IMAGES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}  # by magic number
MAX_READERS = 2  # requests that read the disk at the same time

T = TypeVar("T")


def image_response(image: bytes) -> web.Response:
    """An image, only of types that a browser displays and does not execute.

    Raises:
        web.HTTPNotFound: not an image.
    """
    kind = next((kind for magic, kind in IMAGES.items() if image.startswith(magic)), None)
    if kind is None:
        raise web.HTTPNotFound(text="There is no image.")
    return web.Response(body=image, content_type=kind)


class EpisodePages:
    """Serves a robot's `EpisodeLibrary`. It reads in threads: disks are slow, and the stop button must not wait."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._free = asyncio.Semaphore(MAX_READERS)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/episodes", self._on_list)
        router.add_get("/episodes/{name}/thumbnail", self._on_thumbnail)
        router.add_get("/episodes/{name}/recording", self._on_recording)
        router.add_get("/episodes/{name}/values", self._on_values)
        router.add_get(r"/episodes/{name}/images/{camera}/{index:\d{1,9}}", self._on_image)

    async def _on_list(self, _: web.Request) -> web.Response:
        return web.json_response(await self._read(self._robot.episodes.listing))

    async def _on_thumbnail(self, request: web.Request) -> web.Response:
        return image_response(await self._read(self._robot.episodes.thumbnail, request.match_info["name"]))

    async def _on_recording(self, request: web.Request) -> web.Response:
        episodes = self._robot.episodes
        recording = await self._read(episodes.recording, request.match_info["name"])
        return web.json_response({**recording.view, "values": episodes.values.known})

    async def _on_values(self, request: web.Request) -> web.Response:
        return web.json_response(await self._read(self._robot.episodes.values_along, request.match_info["name"]))

    async def _on_image(self, request: web.Request) -> web.Response:
        name, camera, index = (request.match_info[key] for key in ("name", "camera", "index"))

        def read() -> bytes:
            return self._robot.episodes.recording(name).image(camera, int(index))

        return image_response(await self._read(read))

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        """The result of a blocking call; an error becomes a page with its message."""
        async with self._free:
            try:
                return await asyncio.to_thread(read, *arguments)
            except (PtrError, OSError) as error:
                raise web.HTTPNotFound(text=str(error)) from error
