# SPDX-License-Identifier: Apache-2.0
"""ServiceSequencer with services, one after another, in which nobody waits.

xs_sdk answers its services in the thread that reads the joints, and reports nothing but that it has answered. A
conversation is a generator: it yields a Call and is resumed with the answer, or a pause in s. A call that is not
answered in time ends it with a sentence, whatever xs_sdk does later.
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
    """One request, and for how many s its answer is waited for."""

    service: str
    request: Any
    patience: float = 1.0


Steps = Generator[Call | float, Any, None]


class SequenceError(RuntimeError):
    """A conversation can't go on; the message says why and what to do."""


@dataclass
class _Sequence:
    steps: Steps
    done: Callable[[str], None]


class ServiceSequencer:
    """Runs conversations in the order in which they were begun.

    Args:
        node: its executor calls back.
        namespace: of the services.
        services: type of each service, by name.
        clock: s that never go back.

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
        self._waiting: deque[_Sequence] = deque()
        self._now: _Sequence | None = None
        self._call: tuple[Call, Future] | None = None
        self._deadline = 0.0

    @property
    def busy(self) -> bool:
        """True while a conversation is under way."""
        return self._now is not None

    def begin(self, steps: Steps, done: Callable[[str], None]) -> None:
        """Begin a conversation after those that were begun before.

        Args:
            steps: the conversation.
            done: called at its end with an empty string, or with the sentence that says why it failed.
        """
        self._waiting.append(_Sequence(steps, done))
        self._next()

    def watch(self) -> None:
        """End what took too long and go on after pauses; to be called often."""
        if self._now is None or self._clock() < self._deadline:
            return
        if self._call is None:
            self._resume(None)
            return
        call, future = self._call
        self._call = None
        self.clients[call.service].remove_pending_request(future)
        self._fail(f"{self._name(call)} gave no answer within {call.patience:g} s; is xs_sdk still running?")

    def close(self) -> None:
        """Forget all of them and give back the clients."""
        self._waiting.clear()
        self._now = self._call = None
        for client in self.clients.values():
            self._node.destroy_client(client)

    def _next(self) -> None:
        if self._now is None and self._waiting:
            self._now = self._waiting.popleft()
            self._resume(None)

    def _resume(self, answer: Any) -> None:
        if self._now is None:
            return
        try:
            step = self._now.steps.send(answer)
        except StopIteration:
            self._end("")
        except SequenceError as error:
            self._end(str(error))
        else:
            self._take(step)

    def _take(self, step: Call | float) -> None:
        if not isinstance(step, Call):
            self._call, self._deadline = None, self._clock() + step
            return
        client = self.clients.get(step.service)
        if client is None or not client.service_is_ready():
            self._fail(f"Nobody offers {self._name(step)}; start xs_sdk, or launch with xs_sdk:=stand_in.")
            return
        future = client.call_async(step.request)
        self._call, self._deadline = (step, future), self._clock() + step.patience
        future.add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        if self._call is None or future is not self._call[1]:
            return  # given up meanwhile
        self._call = None
        if error := future.exception():
            self._fail(f"A service of xs_sdk failed: {error}.")
        else:
            self._resume(future.result())

    def _fail(self, sentence: str) -> None:
        if self._now is not None:
            self._now.steps.close()
        self._end(sentence)

    def _end(self, sentence: str) -> None:
        ended, self._now = self._now, None
        if ended is not None:
            ended.done(sentence)
        self._next()

    def _name(self, call: Call) -> str:
        return f"the service {self._namespace}/{call.service}"
