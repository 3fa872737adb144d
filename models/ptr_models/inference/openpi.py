# SPDX-License-Identifier: Apache-2.0
"""A policy served by openpi: `scripts/serve_policy.py` of https://github.com/Physical-Intelligence/openpi.

Its protocol (see packages/openpi-client there) runs over a WebSocket. The server first sends its metadata. Then each
message is an observation, and each response holds `actions` (h, A). Both are msgpack; an array is a map with the byte
keys `__ndarray__`, `data`, `dtype` and `shape`. A text response is an error of the server.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.inference.chunks import ChunkedPolicy, Image, Vector
from ptr_models.inference.policy_file import PolicyFile, PolicyFileError

LARGEST = 64 * 2**20
"""Maximum bytes of a response; a chunk of actions has a few thousand."""
NUMBERS = "biuf"
"""Kinds of NumPy types allowed in a response."""


class OpenPiError(PtrError):
    """The server can't be reached, or responds with an error or invalid data."""


@dataclass(frozen=True)
class OpenPiFile(PolicyFile):
    """The YAML file of such a policy.

    Attributes:
        server: address, `ws://HOST:PORT`.
        prompt: the policy's name of the task in words.
        timeout: s, for a response of the server.
    """

    images: dict[str, str] = field(default_factory=lambda: {"over_shoulder": "observation/image"})
    state: str = "observation/state"
    server: str = "ws://127.0.0.1:8000"
    prompt: str = "prompt"
    timeout: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.timeout) and self.timeout > 0.0):
            raise PolicyFileError(f"timeout is {self.timeout}; it must be above 0 s")


class OpenPiClient:
    """The server's actions for one observation at a time.

    Raises:
        OpenPiError: no server responds at the address.
    """

    def __init__(self, file: OpenPiFile, contract: Contract) -> None:
        missing = [camera.name for camera in contract.cameras if camera.name not in file.images]
        if missing:
            raise OpenPiError(f"`images` has no name for the camera {missing[0]} of the contract")
        self._file, self._contract = file, contract
        self._open = contextlib.ExitStack()
        self._connection = self._connect()

    @property
    def contract(self) -> Contract:
        """The contract that the policy was trained for."""
        return self._contract

    def predict(self, image: Image | None, state: Vector, task: str) -> NDArray[np.float32]:
        """Actions (h, 7) in the contract's units.

        Raises:
            OpenPiError: the server is gone or too slow, or responds with an error or invalid data.
        """
        answer = self._ask(self._observation(image, state, task))
        actions = answer.get("actions") if isinstance(answer, dict) else None
        if not isinstance(actions, np.ndarray):
            raise OpenPiError(f"{self._file.server} sent a response without an `actions` array; check its policy")
        return np.asarray(actions, dtype=np.float32)

    def reset(self) -> None:
        """Does nothing: each request contains everything that the server needs."""

    def close(self) -> None:
        """Close the connection."""
        self._open.close()

    def _observation(self, image: Image | None, state: Vector, task: str) -> dict[str, Any]:
        seen: dict[str, Any] = {self._file.state: np.asarray(state, np.float32)}
        seen[self._file.prompt] = task.replace("_", " ")
        if image is not None:
            for index, camera in enumerate(self._contract.cameras):
                seen[self._file.images[camera.name]] = np.ascontiguousarray(image[..., 3 * index : 3 * index + 3])
        return seen

    def _connect(self) -> Any:
        try:
            from websockets.exceptions import WebSocketException
            from websockets.sync.client import connect
        except ImportError as error:
            raise OpenPiError(
                "openpi's protocol needs websockets and msgpack: pip install 'ptr_models[openpi]'"
            ) from error
        self._open.close()
        file = self._file
        try:
            opening = connect(file.server, compression=None, max_size=LARGEST, open_timeout=file.timeout)
            connection = self._open.enter_context(opening)
            connection.recv(timeout=file.timeout)  # the server's metadata
        except (OSError, ValueError, WebSocketException) as error:
            raise OpenPiError(
                f"no openpi server responds at {self._file.server} ({error}); start scripts/serve_policy.py there"
            ) from error
        return connection

    def _ask(self, observation: dict[str, Any]) -> Any:
        from websockets.exceptions import WebSocketException

        try:
            self._connection.send(packed(observation))
            answer = self._connection.recv(timeout=self._file.timeout)
        except TimeoutError as error:
            self._open.close()  # a late response would be mistaken for the next one
            raise OpenPiError(f"timed out after {self._file.timeout:g} s waiting for {self._file.server}") from error
        except (OSError, WebSocketException) as error:
            self._connection = self._connect()
            raise OpenPiError(f"the connection to {self._file.server} was lost ({error}); reconnected") from error
        if isinstance(answer, str):
            lines = answer.strip().splitlines() or ["no message"]
            raise OpenPiError(f"{self._file.server} failed: {lines[-1]}")
        return unpacked(answer)


def open_policy(address: str, device: str = "cpu") -> ChunkedPolicy:
    """Open the policy described by a YAML file.

    Args:
        device: unused; the server has its own.
    Raises:
        PtrError: the file, its contract, its critic or the server can't be used.
    """
    file = OpenPiFile.read(Path(address))
    options = file.chunk_options()
    return file.acting(OpenPiClient(file, file.contract_or(Contract())), options)


def packed(value: Any) -> bytes:
    """Encode a value with NumPy arrays as openpi's msgpack."""
    import msgpack

    return msgpack.packb(value, default=_as_map)


def unpacked(data: bytes) -> Any:
    """Decode openpi's msgpack.

    Raises:
        OpenPiError: it is damaged, or holds an array that is not numeric.
    """
    import msgpack

    try:
        return msgpack.unpackb(data, object_hook=_from_map)
    except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException) as error:
        raise OpenPiError(f"the server's response can't be read: {error}") from error


def _as_map(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    raise TypeError(f"can't send a {type(value).__name__}")


def _from_map(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" in value:
        kind = np.dtype(value[b"dtype"])
        if kind.kind not in NUMBERS:
            raise ValueError(f"arrays of type {kind} are not numeric")
        return np.frombuffer(value[b"data"], kind).reshape(value[b"shape"])
    if b"__npgeneric__" in value:
        return np.dtype(value[b"dtype"]).type(value[b"data"])
    return value
