# SPDX-License-Identifier: Apache-2.0
"""A policy that openpi serves: `scripts/serve_policy.py` of https://github.com/Physical-Intelligence/openpi.

Its protocol (packages/openpi-client there): over a WebSocket the server sends its metadata once; then each message is
an observation, and each answer holds `actions` (h, A). Both are msgpack, an array is a map of `__ndarray__`, `data`,
`dtype` and `shape` with keys of bytes. An answer of text is the server's error.
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
"""Bytes of an answer; a chunk of actions has some thousand."""
NUMBERS = "biuf"
"""Kinds of NumPy's types that an answer may hold."""


class OpenPiError(PtrError):
    """The server can't be reached, answers with an error or with something else; the message says what to do."""


@dataclass(frozen=True)
class OpenPiFile(PolicyFile):
    """What the YAML file of such a policy says.

    Attributes:
        server: address, `ws://HOST:PORT`.
        prompt: the policy's name of the task in words.
        timeout: s in which the server has to answer.
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
        OpenPiError: at once if nobody answers at the address.
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
        """What the policy was trained for."""
        return self._contract

    def predict(self, image: Image | None, state: Vector, task: str) -> NDArray[np.float32]:
        """Actions (h, 7) in the contract's units.

        Raises:
            OpenPiError: the server is gone or too slow, or answers with an error or with something else.
        """
        answer = self._ask(self._observation(image, state, task))
        actions = answer.get("actions") if isinstance(answer, dict) else None
        if not isinstance(actions, np.ndarray):
            raise OpenPiError(f"{self._file.server} sent an answer without an `actions` array")
        return np.asarray(actions, dtype=np.float32)

    def reset(self) -> None:
        """Nothing: the server is told all that it needs."""

    def close(self) -> None:
        """End the connection."""
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
                f"no openpi server answers at {self._file.server} ({error}); start scripts/serve_policy.py there"
            ) from error
        return connection

    def _ask(self, observation: dict[str, Any]) -> Any:
        from websockets.exceptions import WebSocketException

        try:
            self._connection.send(packed(observation))
            answer = self._connection.recv(timeout=self._file.timeout)
        except TimeoutError as error:
            self._open.close()  # a late answer would be taken for the next one
            raise OpenPiError(f"{self._file.server} gave no answer within {self._file.timeout:g} s") from error
        except (OSError, WebSocketException) as error:
            self._connection = self._connect()
            raise OpenPiError(f"the connection to {self._file.server} broke ({error}); it is open again") from error
        if isinstance(answer, str):
            lines = answer.strip().splitlines() or ["no message"]
            raise OpenPiError(f"{self._file.server} failed: {lines[-1]}")
        return unpacked(answer)


def open_policy(address: str, device: str = "cpu") -> ChunkedPolicy:
    """Open the policy that a YAML file describes.

    Args:
        device: of no use here; the server has its own.
    Raises:
        PtrError: the file, its contract, its critic or the server can't be used; the message says why.
    """
    file = OpenPiFile.read(Path(address))
    options = file.chunk_options()
    return file.acting(OpenPiClient(file, file.contract_or(Contract())), options)


def packed(value: Any) -> bytes:
    """A value with NumPy arrays as openpi's msgpack."""
    import msgpack

    return msgpack.packb(value, default=_as_map)


def unpacked(data: bytes) -> Any:
    """The value of openpi's msgpack.

    Raises:
        OpenPiError: it is damaged, or holds an array that is not numeric.
    """
    import msgpack

    try:
        return msgpack.unpackb(data, object_hook=_from_map)
    except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException) as error:
        raise OpenPiError(f"the server's answer can't be read: {error}") from error


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
