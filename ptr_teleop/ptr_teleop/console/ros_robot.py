# SPDX-License-Identifier: Apache-2.0
"""The robot as seen by a page, over ROS: requests become service calls, packets become messages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from ptr_bringup.ros.names import service_name
from ptr_bringup.ros.parameters import refusal, set_texts
from ptr_models.common.errors import PtrError
from ptr_msgs.srv import LabelEpisode, LabelTrial, StartEpisode, StopEpisode
from ptr_teleop.console.episodes import EpisodeLibrary
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.requests import (
    DEVICES,
    ChooseTask,
    DiscardEpisode,
    Finish,
    JudgeTrial,
    NextScene,
    RebootMotors,
    Record,
    Relabel,
    Release,
    Request,
    RestoreEpisode,
    SceneReady,
    SetTorque,
    Stop,
    UndoJudgment,
    UndoLabel,
    UseDevice,
    UseGoal,
)
from ptr_teleop.console.robot import Answer
from ptr_teleop.console.state import ConsoleState

UNAVAILABLE = {  # message if no node offers a service, by the beginning of its name
    "arm/stop": "no arm node is running, so the arm was not stopped; use the arm's power switch",
    "arm/": "no arm node is running; start it",
    "teleop/": "no teleoperation node is running; start it",
    "recorder/": "no recorder is running; start it",
    "scene/": "no node sets up scenes; start the session with collect.launch.xml",
    "policy_server/": "no policy server is running; start one",
    "evaluation/": "no evaluation is waiting for a person; start one",
}
UNCONFIRMED = "the stop was sent, but the arm did not confirm it within {:.0f} s; use its power switch if it moves"
LATE = "{} did not respond within {:.0f} s and may still do it; check the state before you try again"
TIMEOUT = 5.0  # s for a response of the recorder, which audits an episode before it responds
STOP_TIMEOUT = 1.0  # s for a response of the arm
RECORDER_TIMEOUT = 2.0  # s without its status; ROS's graph lists a killed node for about ten more seconds
SCENE_TIMEOUT = 60.0  # s: the arm moves to its start slowly
MOTOR_TIMEOUT = 15.0  # s: motors reboot one after the other


async def ask(client: Client, request: Any, timeout: float) -> Answer:
    """The answer of a service whose response has `success` and `message`."""
    response = await call(client, request, timeout)
    if isinstance(response, Answer):
        return response
    return Answer(bool(response.success), str(response.message) or "done")


async def call(client: Client, request: Any, timeout: float) -> Any:
    """The response of a service, or an Answer that says why there is none."""
    name, full_name = client.srv_name, service_name(client)
    if not client.service_is_ready():
        return Answer(False, next(text for start, text in UNAVAILABLE.items() if name.startswith(start)))
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[Any] = loop.create_future()

    def deliver(future: Future) -> None:
        """Called by the thread that spins the node."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, arrived, future)

    asked = client.call_async(request)
    asked.add_done_callback(deliver)
    try:
        return await asyncio.wait_for(arrived, timeout)
    except asyncio.TimeoutError:
        client.remove_pending_request(asked)
        if name == "arm/stop":
            return Answer(False, UNCONFIRMED.format(timeout))
        return Answer(False, LATE.format(full_name, timeout))


def _settle(arrived: asyncio.Future[Any], future: Future) -> None:
    if arrived.done():
        return
    if future.exception() is not None:
        arrived.set_result(Answer(False, str(future.exception())))
    else:
        arrived.set_result(future.result())


class RosRobot:
    """See `robot.Robot`. Created by the node, used by the server's thread while another thread spins the node."""

    def __init__(
        self,
        node: Node,
        state: ConsoleState,
        frames: Mapping[str, NewestFrame],
        reference: NewestFrame,
        episodes: EpisodeLibrary,
    ) -> None:
        self.state, self.frames, self.reference, self.episodes = state, frames, reference, episodes
        self._packets = {
            device: node.create_publisher(String, f"teleop/{device}", QoSProfile(depth=10)) for device in DEVICES
        }
        self._stop_request = node.create_publisher(Bool, "arm/stop_request", QoSProfile(depth=10))
        self._stop: Client = node.create_client(Trigger, "arm/stop")
        self._clear: Client = node.create_client(Trigger, "arm/clear")
        self._torque: Client = node.create_client(SetBool, "arm/torque")
        self._reboot: Client = node.create_client(Trigger, "arm/reboot_motors")
        self._start_episode: Client = node.create_client(StartEpisode, "recorder/start")
        self._stop_episode: Client = node.create_client(StopEpisode, "recorder/stop")
        self._label_episode: Client = node.create_client(LabelEpisode, "recorder/label")
        self._next_scene: Client = node.create_client(Trigger, "scene/next")
        self._teleop: Client = node.create_client(SetParameters, "teleop/set_parameters")
        self._policy: Client = node.create_client(SetParameters, "policy_server/set_parameters")
        self._ready: Client = node.create_client(Trigger, "evaluation/ready")
        self._undo: Client = node.create_client(Trigger, "evaluation/undo")
        self._label_trial: Client = node.create_client(LabelTrial, "evaluation/label")
        self._operator = ""
        self._answering: dict[type, Callable[[Any], Awaitable[Answer]]] = {
            Stop: self._stop_arm,
            Release: self._release,
            SetTorque: self._set_torque,
            RebootMotors: self._reboot_motors,
            UseDevice: self._use_device,
            UseGoal: self._use_goal,
            ChooseTask: self._choose,
            Record: self._record,
            Finish: self._finish,
            Relabel: self._relabel,
            NextScene: self._next,
            DiscardEpisode: lambda request: self._with_saved(self.episodes.discard, request.episode),
            RestoreEpisode: lambda request: self._with_saved(self.episodes.restore, request.episode),
            UndoLabel: lambda request: self._with_saved(self.episodes.undo, request.episode),
            SceneReady: self._scene_ready,
            JudgeTrial: self._judge_trial,
            UndoJudgment: self._undo_judgment,
        }

    def drive(self, device: str, packet: str) -> None:
        """See `Robot.drive`."""
        self._packets[device].publish(String(data=packet))

    async def carry_out(self, request: Request) -> Answer:
        """See `Robot.carry_out`."""
        answering = self._answering[type(request)]
        return await answering(request)

    async def _stop_arm(self, _: Stop) -> Answer:
        """Stop in two ways: the topic needs no response, and the service confirms that the arm has stopped."""
        self._stop_request.publish(Bool(data=True))
        return await ask(self._stop, Trigger.Request(), STOP_TIMEOUT)

    async def _release(self, _: Release) -> Answer:
        return await ask(self._clear, Trigger.Request(), STOP_TIMEOUT)

    async def _set_torque(self, request: SetTorque) -> Answer:
        return await ask(self._torque, SetBool.Request(data=request.on), MOTOR_TIMEOUT)

    async def _reboot_motors(self, _: RebootMotors) -> Answer:
        return await ask(self._reboot, Trigger.Request(), MOTOR_TIMEOUT)

    async def _scene_ready(self, _: SceneReady) -> Answer:
        return await ask(self._ready, Trigger.Request(), TIMEOUT)

    async def _judge_trial(self, request: JudgeTrial) -> Answer:
        label = LabelTrial.Request(
            outcome=request.outcome,
            score=_score(request),
            reason=request.reason,
            annotator=request.annotator or self._operator,
        )
        return await ask(self._label_trial, label, TIMEOUT)

    async def _undo_judgment(self, _: UndoJudgment) -> Answer:
        return await ask(self._undo, Trigger.Request(), TIMEOUT)

    async def _use_device(self, request: UseDevice) -> Answer:
        return await _set(self._teleop, {"device": request.device}, f"{request.device} can drive now")

    async def _use_goal(self, request: UseGoal) -> Answer:
        found = await self._with_saved(lambda name: str(self.episodes.find(name)), request.episode)
        if not found.done:
            return found
        return await _set(self._policy, {"goal": found.text}, f"the goal is now the last image of {request.episode}")

    async def _record(self, request: Record) -> Answer:
        teleop = self.state.teleop
        device = teleop.value["in_charge"] or teleop.value["device"] if teleop else ""
        self._operator = request.operator
        start = StartEpisode.Request(
            task=request.task,
            kind="demonstration",
            operator_name=request.operator,
            instruction=request.instruction,
            extra_json=json.dumps({"device": device} if device else {}),
        )
        return await self._ask_recorder(self._start_episode, start, TIMEOUT)

    async def _finish(self, request: Finish) -> Answer:
        stop = StopEpisode.Request(save=request.save, outcome=request.outcome, score=_score(request), note=request.note)
        return await self._ask_recorder(self._stop_episode, stop, 2 * TIMEOUT)

    async def _with_saved(self, act: Callable[..., str], name: str, *arguments: Any) -> Answer:
        """Act on a saved episode, in a thread: bags are large and disks slow."""
        recorder = self.state.recorder
        if recorder is not None and recorder.value["state"] == "saving" and recorder.value["episode"] == name:
            return Answer(False, f"{name} is being audited; try again in a moment")
        try:
            return Answer(True, await asyncio.to_thread(act, name, *arguments))
        except (PtrError, OSError) as error:
            return Answer(False, str(error))

    async def _relabel(self, request: Relabel) -> Answer:
        if request.episode:
            label = (request.outcome, request.score, request.note, self._operator)
            return await self._with_saved(self.episodes.relabel, request.episode, *label)
        relabel = LabelEpisode.Request(
            episode_id=request.episode,
            outcome=request.outcome,
            score=_score(request),
            note=request.note,
            annotator=self._operator,
        )
        return await self._ask_recorder(self._label_episode, relabel, TIMEOUT)

    async def _next(self, _: NextScene) -> Answer:
        return await ask(self._next_scene, Trigger.Request(), SCENE_TIMEOUT)

    async def _ask_recorder(self, client: Client, request: Any, timeout: float) -> Answer:
        """Call the recorder, unless it has fallen silent: if it was killed, the call would get no response."""
        last = self.state.recorder
        silent = 0.0 if last is None else time.monotonic() - last.at
        if silent > RECORDER_TIMEOUT:
            why = f"the recorder has been silent for {silent:.0f} s; check that it is running, and restart it if not"
            return Answer(False, why)
        return await ask(client, request, timeout)

    async def _choose(self, request: ChooseTask) -> Answer:
        """Pass the task on to the teleoperation node, whose device's button may start the episode."""
        self._operator = request.operator
        values = {
            "task": request.task,
            "instruction": request.instruction,
            "operator_name": request.operator,
        }
        return await _set(self._teleop, values, f"the task of the next episode is {request.task}")


async def _set(client: Client, values: Mapping[str, str], done: str) -> Answer:
    """Set parameters of a node."""
    response = await call(client, set_texts(values), TIMEOUT)
    if isinstance(response, Answer):
        return response
    refused = refusal(response)
    return Answer(False, refused) if refused else Answer(True, done)


def _score(request: Finish | Relabel | JudgeTrial) -> float:
    return float("nan") if request.score is None else request.score
