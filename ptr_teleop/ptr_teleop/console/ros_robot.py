# SPDX-License-Identifier: Apache-2.0
"""The robot as a page sees it, over ROS: requests become service calls, packets become messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from ptr_msgs.srv import LabelEpisode, StartEpisode, StopEpisode
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.requests import (
    DEVICES,
    ChooseTask,
    Finish,
    Record,
    Relabel,
    Release,
    Request,
    Stop,
    UseDevice,
)
from ptr_teleop.console.robot import Answer
from ptr_teleop.console.state import ConsoleState

PATIENCE = 5.0  # s for an answer of the recorder, which audits an episode before it answers
STOP_PATIENCE = 1.0  # s for an answer of the arm
ABSENT = {
    "/arm/stop": "no arm node runs, so nothing could be told to stop; use the arm's power switch",
    "/arm/clear": "no arm node runs",
    "/teleop/set_parameters": "no teleoperation node runs; start it",
}


class RosRobot:
    """See `robot.Robot`. Made by the node; used by the server's thread while another one spins the node."""

    def __init__(self, node: Node, state: ConsoleState, frames: Mapping[str, NewestFrame]) -> None:
        self.state, self.frames = state, frames
        self._packets = {
            device: node.create_publisher(String, f"/teleop/{device}", QoSProfile(depth=10)) for device in DEVICES
        }
        self._stop = node.create_client(Trigger, "/arm/stop")
        self._clear = node.create_client(Trigger, "/arm/clear")
        self._start_episode = node.create_client(StartEpisode, "/recorder/start")
        self._stop_episode = node.create_client(StopEpisode, "/recorder/stop")
        self._label_episode = node.create_client(LabelEpisode, "/recorder/label")
        self._parameters = node.create_client(SetParameters, "/teleop/set_parameters")
        self._operator = ""

    def drive(self, device: str, packet: str) -> None:
        """See `Robot.drive`."""
        self._packets[device].publish(String(data=packet))

    async def carry_out(self, request: Request) -> Answer:
        """See `Robot.carry_out`."""
        if isinstance(request, Stop):
            return await _ask(self._stop, Trigger.Request(), STOP_PATIENCE)
        if isinstance(request, Release):
            return await _ask(self._clear, Trigger.Request(), STOP_PATIENCE)
        if isinstance(request, UseDevice):
            return await self._set({"device": request.device}, f"{request.device} may drive now")
        if isinstance(request, ChooseTask):
            return await self._choose(request)
        if isinstance(request, Record):
            return await self._record(request)
        if isinstance(request, Finish):
            return await self._finish(request)
        return await self._relabel(request)

    async def _record(self, request: Record) -> Answer:
        teleop = self.state.teleop
        device = teleop.value["in_charge"] or teleop.value["device"] if teleop else ""
        self._operator = request.operator
        wish = StartEpisode.Request(
            task=request.task,
            kind="demonstration",
            operator_name=request.operator,
            instruction=request.instruction,
            extra_json=json.dumps({"device": device} if device else {}),
        )
        return await _ask(self._start_episode, wish, PATIENCE)

    async def _finish(self, request: Finish) -> Answer:
        wish = StopEpisode.Request(
            save=request.save, outcome=request.outcome, score=_score(request), note=request.note
        )
        return await _ask(self._stop_episode, wish, 2 * PATIENCE)

    async def _relabel(self, request: Relabel) -> Answer:
        wish = LabelEpisode.Request(
            episode_id=request.episode,
            outcome=request.outcome,
            score=_score(request),
            note=request.note,
            by=self._operator,
        )
        return await _ask(self._label_episode, wish, PATIENCE)

    async def _choose(self, request: ChooseTask) -> Answer:
        """Tell it to the node whose device's button may begin the episode."""
        self._operator = request.operator
        values = {
            "task": request.task,
            "instruction": request.instruction,
            "operator_name": request.operator,
        }
        return await self._set(values, f"the next episode is of {request.task}")

    async def _set(self, values: Mapping[str, str], done: str) -> Answer:
        """Set parameters of the teleoperation node."""
        wish = SetParameters.Request(parameters=[_text_parameter(*item) for item in values.items()])
        response = await _call(self._parameters, wish, PATIENCE)
        if isinstance(response, Answer):
            return response
        refused = next((result for result in response.results if not result.successful), None)
        return Answer(True, done) if refused is None else Answer(False, str(refused.reason))


def _text_parameter(name: str, text: str) -> Parameter:
    return Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=text))


async def _ask(client: Client, request: Any, patience: float) -> Answer:
    """The answer of a service that answers with `success` and `message`."""
    response = await _call(client, request, patience)
    if isinstance(response, Answer):
        return response
    return Answer(bool(response.success), str(response.message) or "done")


async def _call(client: Client, request: Any, patience: float) -> Any:
    """The response of a service, or an Answer that says why there is none."""
    name = client.srv_name
    if not client.service_is_ready():
        return Answer(False, ABSENT.get(name, "no recorder runs; start it"))
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
        return Answer(False, f"{name} did not answer within {patience:.0f} s; look at the log of its node")


def _settle(arrived: asyncio.Future[Any], future: Future) -> None:
    if arrived.done():
        return
    if future.exception() is not None:
        arrived.set_result(Answer(False, str(future.exception())))
    else:
        arrived.set_result(future.result())


def _score(request: Finish | Relabel) -> float:
    return float("nan") if request.score is None else request.score
