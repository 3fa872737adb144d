# SPDX-License-Identifier: Apache-2.0
"""Runs sequences of service calls one after another, without blocking.

xs_sdk answers its services in the thread that reads the joints, and only reports that it has answered. A sequence is a
generator: it yields a Call and is resumed with the answer, or yields a pause in s. A call that is not answered in time
ends its sequence with an error, whatever xs_sdk does later.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future


@dataclass(frozen=True)
class Call:
    """One request, and the timeout for its answer in s."""

    service: str
    request: Any
    timeout: float = 1.0


Steps = Generator[Call | float, Any, None]


class SequenceError(RuntimeError):
    """A sequence can't continue; the message says why and what to do."""


@dataclass
class _Sequence:
    steps: Steps
    done: Callable[[str], None]


class ServiceSequencer:
    """Runs sequences in the order in which they were started.

    Args:
        node: its executor runs the callbacks.
        namespace: of the services.
        services: type of each service, by name.
        clock: monotonic, s.

    Attributes:
        clients: of the services, by name.
    """

    def __init__(
        self, node: Node, namespace: str, services: Mapping[str, type], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node, self._namespace, self._clock = node, namespace, clock
        self.clients: dict[str, Client] = {
            name: node.create_client(kind, f"{namespace}/{name}") for name, kind in services.items()
        }
        self._queue: deque[_Sequence] = deque()
        self._current: _Sequence | None = None
        self._call: tuple[Call, Future] | None = None
        self._deadline = 0.0

    @property
    def busy(self) -> bool:
        """True while a sequence is running."""
        return self._current is not None

    def start(self, steps: Steps, done: Callable[[str], None]) -> None:
        """Run a sequence after those already started.

        Args:
            steps: the sequence.
            done: called at its end with an empty string, or with a sentence that says why it failed.
        """
        self._queue.append(_Sequence(steps, done))
        self._next()

    def poll(self) -> None:
        """Handle timeouts and the ends of pauses; call it often."""
        if self._current is None or self._clock() < self._deadline:
            return
        if self._call is None:
            self._resume(None)
            return
        call, future = self._call
        self._call = None
        self.clients[call.service].remove_pending_request(future)
        self._fail(f"{self._name(call)} did not answer within {call.timeout:g} s; is xs_sdk still running?")

    def close(self) -> None:
        """Drop all sequences and destroy the clients."""
        self._queue.clear()
        self._current = self._call = None
        for client in self.clients.values():
            self._node.destroy_client(client)

    def _next(self) -> None:
        if self._current is None and self._queue:
            self._current = self._queue.popleft()
            self._resume(None)

    def _resume(self, answer: Any) -> None:
        if self._current is None:
            return
        try:
            step = self._current.steps.send(answer)
        except StopIteration:
            self._end("")
        except SequenceError as error:
            self._end(str(error))
        else:
            self._execute(step)

    def _execute(self, step: Call | float) -> None:
        if not isinstance(step, Call):
            self._call, self._deadline = None, self._clock() + step
            return
        client = self.clients.get(step.service)
        if client is None or not client.service_is_ready():
            self._fail(f"{self._name(step)} is not available; start xs_sdk, or launch with xs_sdk:=stand_in.")
            return
        future = client.call_async(step.request)
        self._call, self._deadline = (step, future), self._clock() + step.timeout
        future.add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        if self._call is None or future is not self._call[1]:
            return  # it has already timed out
        self._call = None
        if error := future.exception():
            self._fail(f"A service of xs_sdk failed: {error}.")
        else:
            self._resume(future.result())

    def _fail(self, sentence: str) -> None:
        if self._current is not None:
            self._current.steps.close()
        self._end(sentence)

    def _end(self, sentence: str) -> None:
        ended, self._current = self._current, None
        if ended is not None:
            ended.done(sentence)
        self._next()

    def _name(self, call: Call) -> str:
        return f"The service {self._namespace}/{call.service}"
