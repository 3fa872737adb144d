# SPDX-License-Identifier: Apache-2.0
"""Calls of services from the server's thread, while another one spins the node. Each ends in time with an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from rclpy.client import Client
from rclpy.task import Future

from ptr_teleop.console.robot import Answer

ABSENT = {  # what a person is told when nobody offers a service, by the beginning of its name
    "/arm/stop": "no arm node runs, so nothing could be told to stop; use the arm's power switch",
    "/arm/": "no arm node runs",
    "/teleop/": "no teleoperation node runs; start it",
    "/recorder/": "no recorder runs; start it",
    "/evaluation/": "no evaluation runs that waits for a person; start one",
}
UNCONFIRMED = "the stop was sent, but the arm did not confirm it within {:.0f} s; use its power switch if it moves"


async def ask(client: Client, request: Any, patience: float) -> Answer:
    """The answer of a service that answers with `success` and `message`."""
    response = await call(client, request, patience)
    if isinstance(response, Answer):
        return response
    return Answer(bool(response.success), str(response.message) or "done")


async def call(client: Client, request: Any, patience: float) -> Any:
    """The response of a service, or an Answer that says why there is none."""
    name = client.srv_name
    if not client.service_is_ready():
        return Answer(False, next(text for start, text in ABSENT.items() if name.startswith(start)))
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[Any] = loop.create_future()

    def deliver(future: Future) -> None:
        """Called by the thread that spins the node."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, arrived, future)

    asked = client.call_async(request)
    asked.add_done_callback(deliver)
    try:
        return await asyncio.wait_for(arrived, patience)
    except asyncio.TimeoutError:
        client.remove_pending_request(asked)
        if name == "/arm/stop":
            return Answer(False, UNCONFIRMED.format(patience))
        return Answer(False, f"{name} did not answer within {patience:.0f} s; look at the log of its node")


def _settle(arrived: asyncio.Future[Any], future: Future) -> None:
    if arrived.done():
        return
    if future.exception() is not None:
        arrived.set_result(Answer(False, str(future.exception())))
    else:
        arrived.set_result(future.result())
