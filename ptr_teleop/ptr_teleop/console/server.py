# SPDX-License-Identifier: Apache-2.0
"""The console's web server: its routes, its two doors, and its thread."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import html
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from ptr_models.common.errors import PtrError
from ptr_teleop.console.admission import LOCAL, DoorLimits, OncePerInterval
from ptr_teleop.console.door_keeper import DoorKeeper, reserve_files
from ptr_teleop.console.episode_pages import EpisodePages, image_response
from ptr_teleop.console.requests import DEVICES, Stop
from ptr_teleop.console.robot import Robot
from ptr_teleop.console.security import COOKIE, HEADERS, Guard, path_refusal
from ptr_teleop.console.sockets import Sockets

PAGES = Path(__file__).parent / "web"
MAX_BODY = 16 * 1024  # bytes
KEEPALIVE = 15.0  # s for which a connection may wait for its next request
LINGERING = 2.0  # s for which the rest of a request's body is still read
LOGGERS = ("aiohttp.server", "aiohttp.web", "asyncio", "ptr_teleop.console.server", "ptr_teleop.console.door_keeper")
MONTH = 30 * 86400  # s that a browser keeps the token
LOG = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ServerError(PtrError):
    """The server can't start; the message says why and what to do."""


@dataclass(frozen=True)
class Door:
    """One address at which the server listens.

    Attributes:
        port: 0: any free port.
        tls: None: unencrypted.
        ports: number of ports to try, from `port` on, if it is in use.
        limits: maximum number of connections.
    """

    host: str
    port: int
    guard: Guard
    tls: ssl.SSLContext | None = None
    ports: int = 1
    limits: DoorLimits = LOCAL


class ConsoleServer:
    """Serves a robot's page in its own thread.

    Args:
        doors: addresses at which it listens.
    """

    def __init__(self, robot: Robot, doors: Sequence[Door]) -> None:
        self._robot, self._doors = robot, doors
        self._sockets = Sockets(robot)
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._ports: Future[list[int]] = Future()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._keepers: list[DoorKeeper] = []

    def start(self) -> list[int]:
        """Start listening, and return the port of each door.

        Raises:
            ServerError: a door's address is in use or does not exist.
        """
        self._thread.start()
        try:
            return self._ports.result()
        except BaseException:
            self._thread.join(timeout=5.0)  # it ends by itself, since nothing listens
            raise

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the thread has just closed its loop itself
                self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:
            if self._ports.done():
                raise
            self._ports.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        runners: list[web.AppRunner] = []
        reserve_files()
        once = OncePerInterval()
        for name in LOGGERS:
            logging.getLogger(name).addFilter(once)
        try:
            ports = [await self._open(door, runners) for door in self._doors]
            self._ports.set_result(ports)
            await self._end.wait()
        finally:
            for keeper in self._keepers:
                keeper.close()
            await self._sockets.close()
            for runner in runners:
                await runner.cleanup()
            await _end_tasks()

    async def _open(self, door: Door, runners: list[web.AppRunner]) -> int:
        admitted = _Admitted()
        runner = web.AppRunner(
            self._application(door.guard, admitted),
            access_log=None,
            shutdown_timeout=1.0,
            keepalive_timeout=KEEPALIVE,
            lingering_time=LINGERING,
        )
        runners.append(runner)
        await runner.setup()
        make = cast(web.Server, runner.server)  # set by `setup`
        for port in range(door.port, door.port + door.ports):
            try:
                keeper = DoorKeeper(door.host, port, make, door.tls, door.limits)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or port == door.port + door.ports - 1:
                    raise ServerError(
                        f"the console can't listen at {door.host}, port {port} ({error.strerror}); "
                        "stop the process that uses the port, or choose another one"
                    ) from error
            else:
                break
        admitted.keeper = keeper
        self._keepers.append(keeper)
        keeper.start()
        return keeper.port

    def _application(self, guard: Guard, admitted: _Admitted) -> web.Application:
        middlewares = [_guarding(guard, self._robot, admitted)]
        application = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
        application.on_response_prepare.append(_set_headers)
        application.router.add_get("/", _front_page(guard))
        application.router.add_get("/stop", _file("stop.html"))
        application.router.add_post("/stop", self._on_stop)
        application.router.add_get("/reference", self._on_reference)
        application.router.add_get("/socket", self._sockets.control)
        application.router.add_get("/camera/{name}", self._sockets.camera)
        application.router.add_get(f"/drive/{{device:{'|'.join(DEVICES)}}}", self._sockets.driving)
        EpisodePages(self._robot).add_to(application.router)
        application.router.add_static("/static", PAGES)
        return application

    async def _on_stop(self, request: web.Request) -> web.Response:
        """Stop the arm; responds to the page's script with JSON, to a plain form with a page."""
        answer = await self._robot.carry_out(Stop())
        status = 200 if answer.done else 503
        if "application/json" in request.headers.get("Accept", ""):
            return web.json_response({"done": answer.done, "text": answer.text}, status=status)
        text = (PAGES / "stopped.html").read_text(encoding="utf-8")
        text = text.replace("{{ sentence }}", html.escape(answer.text))
        return web.Response(text=text, content_type="text/html", status=status)

    async def _on_reference(self, _: web.Request) -> web.Response:
        """The start image that a trial's scene has to match."""
        return image_response(self._robot.reference.newest() or b"")


async def _end_tasks() -> None:
    """Cancel the remaining tasks of this loop, for example a connection that is being accepted."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _front_page(guard: Guard) -> Handler:
    """The page. A token in its address moves to a cookie that scripts and other sites can't read."""

    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.FileResponse(PAGES / "index.html")
        if guard.token and "token" in request.query:
            secure = guard.scheme == "https"
            response.set_cookie(COOKIE, guard.token, max_age=MONTH, httponly=True, secure=secure, samesite="Strict")
        return response

    return respond


def _file(name: str) -> Handler:
    async def respond(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGES / name)

    return respond


class _Admitted:
    """Reports to a door's keeper, once there is one, which clients have sent a request."""

    keeper: DoorKeeper | None = None

    def confirm(self, request: web.Request) -> None:
        if self.keeper is not None and request.transport is not None:
            self.keeper.confirm(request.transport.get_extra_info("peername"))


def _guarding(guard: Guard, robot: Robot, admitted: _Admitted) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        admitted.confirm(request)
        upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
        tokens = [request.cookies.get(COOKIE, ""), request.query.get("token", "")]
        refusal = guard.refusal(request.method, upgrade, request.headers, tokens) or path_refusal(request.raw_path)
        if refusal is not None:
            robot.state.refused += 1
            response = web.Response(status=refusal.status, text=refusal.text)
            response.force_close()
            return response
        try:
            return await handler(request)
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except OSError as error:  # a name that no file can have
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
                raise
            return web.Response(status=404, text="There is no such page.")
        except Exception:
            LOG.exception("a request failed: %s %s", request.method, request.path)
            return web.Response(status=500, text="Internal server error; see the console's log.")

    return middleware


async def _set_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
