# SPDX-License-Identifier: Apache-2.0
"""A server on this machine that speaks openpi's protocol, written from its description with msgpack alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from websockets.sync.server import ServerConnection, serve


def array(values: np.ndarray) -> dict[bytes, Any]:
    """An array as openpi writes it."""
    return {b"__ndarray__": True, b"data": values.tobytes(), b"dtype": values.dtype.str, b"shape": values.shape}


def decoded(value: dict[Any, Any]) -> Any:
    """And as it reads it."""
    if b"__ndarray__" in value:
        return np.ndarray(value[b"shape"], np.dtype(value[b"dtype"]), value[b"data"])
    return value


class OpenPiServer:
    """Answers each observation with what `answer` makes of it: bytes, or a text that stands for an error."""

    def __init__(self, answer: Callable[[dict[str, Any]], bytes | str | None]) -> None:
        self.answer = answer
        self.seen: list[dict[str, Any]] = []
        self._server = serve(self._talk, "127.0.0.1", 0, compression=None)
        self.address = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _talk(self, connection: ServerConnection) -> None:
        connection.send(msgpack.packb({"policy": "of a test"}))
        for message in connection:
            self.seen.append(msgpack.unpackb(message, object_hook=decoded))
            answer = self.answer(self.seen[-1])
            if answer is not None:
                connection.send(answer)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


@contextmanager
def openpi_server(actions: np.ndarray) -> Iterator[OpenPiServer]:
    """One that always answers with the same actions (h, A)."""
    server = OpenPiServer(lambda _: msgpack.packb({"actions": array(actions), "server_timing": {"infer_ms": 1.0}}))
    try:
        yield server
    finally:
        server.close()


def file_for(server: OpenPiServer, folder: Path, more: str = "") -> Path:
    """The file that describes a policy behind a server."""
    path = folder / "pi0.yaml"
    path.write_text(f"server: {server.address}\n{more}")
    return path
