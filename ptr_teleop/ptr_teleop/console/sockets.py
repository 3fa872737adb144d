# SPDX-License-Identifier: Apache-2.0
"""The page's three kinds of WebSocket: state and requests, camera images, and driving.

No client can make the server's memory grow. A state is created when the previous one has been sent, an image is sent
when the page asks for it, and a page's messages are limited in size, rate and number.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.request_reader import MAX_MESSAGE, RequestError, check_packet, parse_request
from ptr_teleop.console.robot import Answer, Robot
from ptr_teleop.console.state import Cursors

PERIOD = 0.1  # s between two states
HEARTBEAT = 4.0  # s between two pings; a page that does not answer within half of it is closed
HARD_LIMIT = 16 * MAX_MESSAGE  # bytes; a longer message closes the socket before it is read
REQUESTS = (20.0, 40)  # Hz, burst: requests
PACKETS = (250.0, 60)  # Hz, burst: packets of a page that drives; headsets draw up to 120 frames a second
IMAGES = (120.0, 20)  # Hz, burst: requests for images
STRIKES = 100  # refused messages in a row after which a socket is closed
MAX_SOCKETS = 48  # of all pages together

Act = Callable[[web.WebSocketResponse, str], Awaitable[None]]


class TokenBucket:
    """Admits `rate` messages a second on average and `burst` at once.

    Args:
        rate: Hz.   burst: messages.   now: s, steady clock.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, float(burst)
        self._tokens, self._at = self._burst, now

    def admits(self, now: float) -> bool:
        """Whether a message at `now` (s) is within the limit; if so, it is counted."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Sockets:
    """WebSocket handlers of one robot."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._driver: web.WebSocketResponse | None = None
        self._open_sockets: set[web.WebSocketResponse] = set()

    async def close(self) -> None:
        """Close every socket; the pages then show that the connection is lost."""
        for socket in list(self._open_sockets):
            with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                await asyncio.wait_for(socket.close(code=WSCloseCode.GOING_AWAY), 0.5)

    @contextlib.asynccontextmanager
    async def _open(self, request: web.Request) -> AsyncIterator[web.WebSocketResponse]:
        """A socket without compression, so that a small message can't become a large one."""
        if len(self._open_sockets) >= MAX_SOCKETS:
            raise web.HTTPServiceUnavailable(text="Too many pages are open; close some.")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=HARD_LIMIT, compress=False)
        await socket.prepare(request)
        self._open_sockets.add(socket)
        try:
            yield socket
        finally:
            self._open_sockets.discard(socket)

    async def control(self, request: web.Request) -> web.WebSocketResponse:
        """Send the state ten times a second, and answer requests."""
        async with self._open(request) as socket, _beside(self._show(socket)):
            await self._receive(socket, REQUESTS, self._answer)
        return socket

    async def _show(self, socket: web.WebSocketResponse) -> None:
        """Send the state until the page is gone; a slow page gets it less often."""
        cursors = Cursors()
        await socket.send_str(json.dumps(self._robot.state.hello()))
        while not socket.closed:
            await socket.send_str(json.dumps(self._robot.state.snapshot(cursors, time.monotonic())))
            await asyncio.sleep(PERIOD)

    async def _answer(self, socket: web.WebSocketResponse, text: str) -> None:
        number, request = parse_request(text)
        answer = await self._robot.carry_out(request)
        await _reply(socket, answer, number)

    async def camera(self, request: web.Request) -> web.WebSocketResponse:
        """Send the newest image whenever the page asks for one, with any message."""
        frame = self._robot.frames.get(request.match_info["name"])
        if frame is None:
            raise web.HTTPNotFound(text="There is no such camera.")
        asked, bucket = asyncio.Event(), TokenBucket(*IMAGES, time.monotonic())
        async with self._open(request) as socket, _beside(_send_images(socket, frame, asked)):
            async for message in socket:
                if message.type is not WSMsgType.TEXT or not bucket.admits(time.monotonic()):
                    break
                asked.set()
        return socket

    async def driving(self, request: web.Request) -> web.WebSocketResponse:
        """Forward packets of the page that drives; one page at a time."""
        device = request.match_info["device"]
        async with self._open(request) as socket:
            if self._driver is None:
                await self._drive(socket, device, request.remote or "?")
            else:
                occupied = f"The page at {self._robot.state.driver} is driving; stop driving there first."
                await _reply(socket, Answer(False, occupied))
                await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        return socket

    async def _drive(self, socket: web.WebSocketResponse, device: str, address: str) -> None:
        async def pass_on(_: web.WebSocketResponse, text: str) -> None:
            check_packet(text)
            self._robot.drive(device, text)

        self._driver, self._robot.state.driver = socket, address
        try:
            await self._receive(socket, PACKETS, pass_on)
        finally:
            self._driver, self._robot.state.driver = None, ""

    async def _receive(self, socket: web.WebSocketResponse, limit: tuple[float, int], act: Act) -> None:
        """Act on each message, or report why it was refused, until the page is gone or has sent too many bad ones."""
        bucket = TokenBucket(*limit, time.monotonic())
        strikes = 0
        async for message in socket:
            if message.type is WSMsgType.ERROR:  # too long, or not a WebSocket message
                self._robot.state.refused += 1
                break
            try:
                await act(socket, _text(message, bucket))
            except RequestError as error:
                strikes += 1
                self._robot.state.refused += 1
                await _reply(socket, Answer(False, str(error)))
                if strikes >= STRIKES:
                    await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many refused messages")
            else:
                strikes = 0


def _text(message: WSMessage, bucket: TokenBucket) -> str:
    """The text of a message.

    Raises:
        RequestError: not a text message, or above the rate limit.
    """
    if not bucket.admits(time.monotonic()):
        raise RequestError("too many messages; this one was not read")
    if message.type is not WSMsgType.TEXT:
        raise RequestError("a message must be text")
    return str(message.data)


async def _send_images(socket: web.WebSocketResponse, frame: NewestFrame, asked: asyncio.Event) -> None:
    number = 0
    while not socket.closed:
        await asked.wait()
        asked.clear()
        number, jpeg = await frame.after(number)
        await socket.send_bytes(jpeg)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine concurrently with the body, and cancel it afterwards."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await task


async def _reply(socket: web.WebSocketResponse, answer: Answer, number: int | None = None) -> None:
    fields = {"kind": "answer", "id": number, "done": answer.done, "text": answer.text}
    with contextlib.suppress(ConnectionError):
        await socket.send_str(json.dumps(fields))
