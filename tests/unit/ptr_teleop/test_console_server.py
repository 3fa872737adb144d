# SPDX-License-Identifier: Apache-2.0
"""The console's server in front of a robot that only takes notes, as clients on this machine see it."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from ptr_teleop.console.addresses import LOCAL_NAMES
from ptr_teleop.console.admission import DoorLimits
from ptr_teleop.console.credentials import obtain
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.request_reader import MAX_MESSAGE
from ptr_teleop.console.requests import Record, Request, Stop
from ptr_teleop.console.robot import Answer
from ptr_teleop.console.security import Guard
from ptr_teleop.console.server import ConsoleServer, Door, ServerError
from ptr_teleop.console.sockets import HARD_LIMIT, STRIKES
from ptr_teleop.console.state import ConsoleState

TOKEN = "a-token-of-this-test"


class NotedRobot:
    """Does nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.state = ConsoleState(["wrist"], ["put_knife_in_pot"], {"/camera/wrist": 0.5, "/arm/state": 0.5})
        self.frames = {"wrist": NewestFrame()}
        self.reference = NewestFrame()
        self.asked: list[Request] = []
        self.packets: list[tuple[str, str]] = []
        self.read_frames = 0
        self.recorder_hangs = False

    async def carry_out(self, request: Request) -> Answer:
        self.asked.append(request)
        while self.recorder_hangs and isinstance(request, Record):
            await asyncio.sleep(0.01)
        return Answer(True, f"{type(request).__name__} is done")

    def drive(self, device: str, packet: str) -> None:
        self.packets.append((device, packet))

    def show(self, jpeg: bytes) -> None:
        def read() -> bytes:
            self.read_frames += 1
            return jpeg

        self.frames["wrist"].put(read)


class Served:
    """A server with both doors, and clients of it."""

    def __init__(self, robot: NotedRobot, folder: Path) -> None:
        self.robot = robot
        made = obtain(folder, ["127.0.0.1"])
        remote = Guard("https", ["127.0.0.1"], TOKEN)
        doors = [Door("127.0.0.1", 0, Guard("http", LOCAL_NAMES)), Door("127.0.0.1", 0, remote, made.tls())]
        self.server = ConsoleServer(robot, doors)
        local, encrypted = self.server.start()
        self.local, self.remote = f"http://127.0.0.1:{local}", f"https://127.0.0.1:{encrypted}"
        self.trusted = ssl.create_default_context(cafile=str(made.certificate))

    def run(self, work: Callable[[aiohttp.ClientSession], Awaitable[None]], timeout: float = 20.0) -> None:
        async def within() -> None:
            jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of an IP address
            connector = aiohttp.TCPConnector(ssl=self.trusted)
            async with aiohttp.ClientSession(cookie_jar=jar, connector=connector) as session:
                await asyncio.wait_for(work(session), timeout)

        asyncio.run(within())

    @asynccontextmanager
    async def socket(
        self, session: aiohttp.ClientSession, path: str, base: str = ""
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        base = base or self.local
        async with session.ws_connect(base + path, origin=base, max_msg_size=0) as connected:
            yield connected


@pytest.fixture
def served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Served]:
    caplog.set_level(logging.WARNING)
    served = Served(NotedRobot(), tmp_path)
    yield served
    served.server.stop()
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def answer(connected: aiohttp.ClientWebSocketResponse) -> dict:
    """The next message that is an answer."""
    while True:
        message = json.loads(await connected.receive_str())
        if message["kind"] == "answer":
            return message


def test_a_page_is_told_its_settings_then_the_state_again_and_again(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        served.robot.state.events.append({"at": 0, "level": "info", "text": "before"})
        async with served.socket(session, "/socket") as page:
            hello, first = json.loads(await page.receive_str()), json.loads(await page.receive_str())
            assert (hello["kind"], hello["cameras"]) == ("hello", ["wrist"])
            assert [event["text"] for event in first["events"]] == ["before"]
            assert [(row["name"], row["alive"]) for row in first["streams"]][0] == ("/camera/wrist", False)
            served.robot.state.streams.receive("/camera/wrist", time.monotonic())
            later = json.loads(await page.receive_str())
            assert later["events"] == []
            assert later["streams"][0]["alive"]

    served.run(work)


def test_a_request_is_carried_out_and_answered_under_its_number(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/socket") as page:
            await page.send_str('{"id": 4, "request": "record", "task": "put_knife_in_pot"}')
            said = await answer(page)
            assert (said["id"], said["done"], said["text"]) == (4, True, "Record is done")

    served.run(work)
    assert served.robot.asked == [Record("put_knife_in_pot", "", "")]


def test_stop_is_answered_while_another_request_hangs(served: Served) -> None:
    served.robot.recorder_hangs = True

    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/socket") as page:
            await page.send_str('{"id": 1, "request": "record", "task": "x"}')
            headers = {"Origin": served.local, "Accept": "application/json"}
            async with session.post(f"{served.local}/stop", headers=headers) as response:
                assert await response.json() == {"done": True, "text": "Stop is done"}
            async with session.post(f"{served.local}/stop", headers={"Origin": served.local}) as response:
                assert "Stop is done" in await response.text()
            served.robot.recorder_hangs = False
            assert (await answer(page))["text"] == "Record is done"

    served.run(work, timeout=5.0)
    assert served.robot.asked[-2:] == [Stop(), Stop()]


def test_the_reference_image_is_served_as_what_it_is_and_nothing_else_is(served: Served) -> None:
    jpeg, png = b"\xff\xd8\xff\xe0 a JPEG", b"\x89PNG\r\n\x1a\n a PNG"
    seen: list[tuple[int, str]] = []

    async def work(session: aiohttp.ClientSession) -> None:
        for image in (None, jpeg, png, b"<script>alert(1)</script>"):
            if image is not None:
                served.robot.reference.put(lambda image=image: image)
            async with session.get(f"{served.local}/reference?1") as response:
                seen.append((response.status, response.content_type))
                assert response.status == 404 or await response.read() == image

    served.run(work)
    assert seen == [(404, "text/plain"), (200, "image/jpeg"), (200, "image/png"), (404, "text/plain")]


@pytest.mark.parametrize("path", ["/socket", "/camera/wrist", "/drive/webxr"])
def test_a_page_of_another_origin_gets_no_socket(served: Served, path: str) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for headers in ({"Origin": "https://evil.example"}, {}, {"Origin": served.local, "Host": "evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(served.local + path, headers=headers)
            assert caught.value.status in (403, 421)

    served.run(work)


def test_another_machine_needs_the_token_and_then_a_cookie_holds_it(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for path, status in (("/", 401), ("/static/main.js", 401), ("/?token=wrong", 403), ("/stop", 401)):
            async with session.get(served.remote + path) as response:
                assert response.status == status
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{served.remote}/drive/webxr", origin=served.remote)
        async with session.post(f"{served.remote}/stop", headers={"Origin": served.remote}) as response:
            assert response.status == 401
        async with session.get(f"{served.remote}/?token={TOKEN}") as response:
            cookie = response.headers["Set-Cookie"]
            assert response.status == 200
        assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=Strict"))
        async with served.socket(session, "/drive/webxr", served.remote) as page:
            await page.send_str('{"v": 1}')
            await until(lambda: served.robot.packets)

    served.run(work)
    assert served.robot.asked == []


def test_packets_of_a_page_that_drives_are_passed_on_unchanged(served: Served) -> None:
    text = '{"v": 1,  "hands":{"right":{"position":[0.1,1e-3,-2.50]}}, "é":"\\u0000"}'

    async def work(session: aiohttp.ClientSession) -> None:
        for device in ("webxr", "page_keyboard"):
            async with served.socket(session, f"/drive/{device}") as page:
                await page.send_str(text)
                await until(lambda: served.robot.packets)
            await until(lambda: served.robot.state.driver == "")

    served.run(work)
    assert served.robot.packets == [("webxr", text), ("page_keyboard", text)]


def test_a_second_page_that_would_drive_is_refused_with_the_address_of_the_first(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/drive/webxr") as first:
            await until(lambda: served.robot.state.driver)
            async with served.socket(session, "/drive/page_keyboard") as second:
                assert "127.0.0.1 is driving" in (await answer(second))["text"]
                assert (await second.receive()).type is aiohttp.WSMsgType.CLOSE
            await first.send_str('{"v": 1}')
            await until(lambda: served.robot.packets)
        await until(lambda: served.robot.state.driver == "")
        async with served.socket(session, "/drive/page_keyboard") as third:
            await third.send_str('{"v": 2}')
            await until(lambda: len(served.robot.packets) == 2)

    served.run(work)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (b"\x00\xff", "must be text"),
        ("hello", "not JSON"),
        ('{"x": NaN}', "NaN is not a finite number"),
        ("[1]", "must be a JSON object"),
        ("x" * (MAX_MESSAGE + 1), f"may have at most {MAX_MESSAGE} bytes"),
    ],
)
def test_a_malformed_packet_is_answered_in_one_sentence_counted_and_not_passed_on(
    served: Served, message: str | bytes, sentence: str
) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/drive/webxr") as page:
            await (page.send_str(message) if isinstance(message, str) else page.send_bytes(message))
            assert sentence in (await answer(page))["text"]
            await page.send_str('{"v": 1}')
            await until(lambda: served.robot.packets)

    served.run(work)
    assert served.robot.packets == [("webxr", '{"v": 1}')]
    assert served.robot.state.refused == 1


def test_an_oversized_message_closes_the_socket_before_it_is_read(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/socket") as page:
            await page.send_str("x" * (HARD_LIMIT + 1))
            while not page.closed:
                await page.receive()
            assert page.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        await until(lambda: served.robot.state.refused == 1)

    served.run(work)


def test_a_flood_is_cut_to_the_allowed_rate_and_then_closed(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/socket") as page:
            for number in range(10 * STRIKES):
                if page.closed:
                    break
                await page.send_str(f'{{"id": {number}, "request": "release"}}')
            while not page.closed:
                await page.receive()
            assert page.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION

    served.run(work)
    assert 40 <= len(served.robot.asked) < 100


def test_a_camera_sends_the_newest_image_each_time_it_is_asked(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/camera/wrist") as page:
            await page.send_str("next")
            await asyncio.sleep(0.05)
            for number in range(20):
                served.robot.show(b"image %d" % number)
            first = await page.receive_bytes()
            for number in range(20, 40):
                served.robot.show(b"image %d" % number)
            await page.send_str("next")
            assert await page.receive_bytes() == b"image 39"
            assert first.startswith(b"image ")
            await page.send_str("next")
            with pytest.raises(asyncio.TimeoutError):  # the same image is not sent twice
                await page.receive_bytes(timeout=0.1)
        async with session.get(f"{served.local}/camera/nowhere", headers={"Origin": served.local}) as response:
            assert response.status == 404

    served.run(work)
    assert served.robot.read_frames <= 3


def test_a_client_that_asks_and_never_reads_is_not_sent_more_than_its_buffers_hold(served: Served) -> None:
    """With 100 kB an image and 4 MB of buffers on the way, a thousand images would be 100 MB."""
    with socket.create_connection(("127.0.0.1", int(served.local.rpartition(":")[2]))) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        handshake = (
            "GET /camera/wrist HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        client.sendall(handshake.encode())
        assert b"101" in client.recv(64)
        next_ = b"\x81\x84\x00\x00\x00\x00next"
        for _ in range(1000):
            served.robot.show(bytes(100_000))
            client.sendall(next_)
            time.sleep(0.001)
        assert served.robot.read_frames < 100


def test_headers_keep_other_pages_from_framing_or_feeding_this_one(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for path in ("/", "/static/style.css", "/stop", "/static/nothing"):
            async with session.get(served.local + path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
        async with session.get(f"{served.local}/static/%2e%2e/server.py") as response:
            assert response.status in (403, 404)

    served.run(work)


def test_a_port_that_is_taken_is_said_in_one_sentence_or_the_next_one_is_used(served: Served) -> None:
    port = int(served.local.rpartition(":")[2])
    second = ConsoleServer(NotedRobot(), [Door("127.0.0.1", port, Guard("http", LOCAL_NAMES))])
    with pytest.raises(ServerError, match=f"can't listen at 127.0.0.1, port {port}"):
        second.start()
    second.stop()
    third = ConsoleServer(NotedRobot(), [Door("127.0.0.1", port, Guard("http", LOCAL_NAMES), ports=10)])
    assert port < third.start()[0] < port + 10
    third.stop()


def test_stopping_the_server_closes_the_pages(served: Served) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with served.socket(session, "/socket") as page, served.socket(session, "/drive/webxr"):
            stopping = asyncio.get_running_loop().run_in_executor(None, served.server.stop)
            while not page.closed:
                await page.receive()
            await stopping

    served.run(work, timeout=5.0)


PACKET = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=300),
    st.sampled_from(['{"id": 1, "request": "stop"}', '{"id": 1, "request": "record", "task": "t"}', '{"v": 1}']),
    st.dictionaries(st.text(max_size=8), st.floats() | st.text(max_size=8) | st.none()).map(json.dumps),
)


@pytest.mark.parametrize("path", ["/socket", "/drive/webxr", "/drive/page_keyboard", "/camera/wrist"])
def test_whatever_a_socket_is_sent_the_server_goes_on(served: Served, path: str) -> None:
    """Fuzzing: text, bytes, half a JSON; and raw bytes instead of WebSocket frames."""

    @settings(max_examples=40)
    @given(st.lists(PACKET, max_size=12), st.binary(max_size=60))
    def fuzz(messages: list[str | bytes], raw: bytes) -> None:
        async def work(session: aiohttp.ClientSession) -> None:
            async with served.socket(session, path) as page:
                for message in messages:
                    await (page.send_str(message) if isinstance(message, str) else page.send_bytes(message))
                page._writer.transport.write(raw)
                page._writer.transport.abort()
            async with served.socket(session, "/socket") as page:
                await page.send_str('{"id": 9, "request": "release"}')
                assert (await answer(page))["id"] == 9

        served.run(work)

    fuzz()
    assert bool(served.robot.packets) == path.startswith("/drive")
    assert all(isinstance(json.loads(packet), dict) for _, packet in served.robot.packets)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("path", ["/" + 5000 * "a", "/static/" + 300 * "a", "/static/a%00b", "/camera/" + 1500 * "a"])
def test_a_path_that_no_file_can_have_is_answered_without_a_traceback(served: Served, path: str) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with session.get(URL(served.local + path, encoded=True)) as response:
            assert 400 <= response.status < 500

    served.run(work)


def test_a_client_that_asks_for_nothing_is_dropped_and_another_is_served(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptr_teleop.console.door_keeper.HEADER", 0.2)
    port = int(served.local.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20.0) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")  # a header that never ends
        assert silent.recv(1) == b"", "it is closed without an answer"

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.get(served.local + "/stop") as response:
            assert response.status == 200

    served.run(work)


def test_an_address_that_holds_too_many_connections_gets_no_more_and_the_other_door_is_open(tmp_path: Path) -> None:
    few = DoorLimits(connections=3, per_address=3)
    guard = Guard("http", LOCAL_NAMES)
    server = ConsoleServer(NotedRobot(), [Door("127.0.0.1", 0, guard), Door("127.0.0.1", 0, guard, limits=few)])
    local, limited = server.start()
    try:
        held = [socket.create_connection(("127.0.0.1", limited), timeout=20.0) for _ in range(4)]
        assert held[3].recv(1) == b""
        with socket.create_connection(("127.0.0.1", local), timeout=20.0) as other:
            other.sendall(b"GET /stop HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200")
        for client in held:
            client.close()
    finally:
        server.stop()
