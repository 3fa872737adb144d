# SPDX-License-Identifier: Apache-2.0
"""The node `recorder`: one bag per episode, started and ended by services."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import definition
from ptr_models.episodes.metadata import Label, check_name
from ptr_models.episodes.writer import BagWriter
from ptr_models.errors import PtrError
from ptr_msgs.msg import ArmCommand, EpisodeEvent, EpisodeStatus, ObjectStates
from ptr_msgs.srv import LabelEpisode, StartEpisode, StopEpisode
from ptr_teleop.node_main import EndingNode, run
from ptr_teleop.parameters import declare
from ptr_teleop.recorder.core import (
    GIGABYTE,
    CommandTiming,
    Event,
    RecorderCore,
    State,
    Wanted,
    parse_extra,
)
from ptr_teleop.recorder.files import audit, read_contract, relabel, versions
from ptr_teleop.recorder.folder import EpisodeFolder
from ptr_teleop.recorder.streams import EVENTS, OBJECTS, Stream, streams_for

QUEUE = 100  # messages per stream: 2 s of the fastest, for when the processor is busy
SENSOR_DATA = QoSProfile(depth=QUEUE, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class RecorderNode(EndingNode):
    """Feeds serialised messages to the recorder's core and answers its services."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self._declare()
        self._goal = int(self.get_parameter("goal").value)
        cameras = [str(name) for name in self.get_parameter("cameras").value]
        streams = streams_for(cameras)
        contract = read_contract(str(self.get_parameter("contract_file").value), cameras)
        directory = str(self.get_parameter("directory").value)
        if not directory:
            raise EpisodeError("parameter `directory` is empty; give the folder that episodes are written to")
        self._folder = EpisodeFolder(Path(directory))
        self._core = RecorderCore(
            self._folder,
            streams,
            contract,
            lambda metadata: BagWriter(self._folder.path, metadata),
            lambda event: serialize_message(event_message(event)),
            read_command,
            audit,
            facts={"robot": str(self.get_parameter("robot").value), "versions": versions()},
            tasks=[name for name in self.get_parameter("tasks").value if name],
            warn_free=float(self.get_parameter("minimum_free_gb").value) * GIGABYTE,
        )
        self._own_events: set[tuple[int, int, str, str]] = set()
        self._objects: tuple[float, bytes] | None = None
        self._status = self.create_publisher(EpisodeStatus, "/episode/status", LATCHED)
        self._events = self.create_publisher(EpisodeEvent, EVENTS, QoSProfile(depth=50))
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        for stream in streams:
            definition(stream.type)  # parsed once, now: the first episode must not wait for it
            self._subscribe(stream)
        self.create_service(StartEpisode, "/recorder/start", self._on_start)
        self.create_service(StopEpisode, "/recorder/stop", self._on_stop)
        self.create_service(LabelEpisode, "/recorder/label", self._on_label)
        self.create_timer(0.25, self._on_tick)
        self.create_timer(1.0, self._publish_diagnostics)
        self._publish_status()
        self.get_logger().info(f"episodes go to {self._folder.path}")

    def end(self) -> None:
        """Keep an episode that is being recorded, unlabelled, and let the folder go."""
        try:
            path = self._core.close(self._now())
            if path is not None:
                self.get_logger().warning(f"kept {path} unlabelled: the recorder ended during it")
        except PtrError as error:
            self.get_logger().error(str(error))
        self._folder.close()

    def _declare(self) -> None:
        declare(self, "directory", "", "folder that episodes are written to, made when absent")
        declare(self, "cameras", ["over_shoulder"], "names of the cameras: /camera/NAME/image/compressed")
        declare(self, "goal", 0, "episodes wanted in this session, 0: no goal", (0, 1_000_000))
        declare(self, "robot", "sim", "the robot's name, written into each episode")
        declare(self, "contract_file", "", "JSON file of the contract; empty: the suite's, with `cameras`")
        declare(self, "tasks", [""], "task names that may be recorded; none: any well-formed name")
        declare(self, "minimum_free_gb", 2.0, "GB of free disk below which the status warns", (0.0, 1e6))

    def _subscribe(self, stream: Stream) -> None:
        callback = self._receiver(stream.topic)
        if stream.topic == OBJECTS:
            callback = self._on_objects
        elif stream.topic == EVENTS:
            callback = self._on_event
        qos = QoSProfile(depth=QUEUE) if stream.reliable else SENSOR_DATA
        self.create_subscription(message_class(stream.type), stream.topic, callback, qos, raw=True)

    def _receiver(self, topic: str) -> Callable[[bytes], None]:
        """A callback that takes the messages of a topic."""

        def receive(data: bytes) -> None:
            event = self._core.receive(topic, data, self._now())
            if event is not None:
                self._announce(event)

        return receive

    def _on_objects(self, data: bytes) -> None:
        self._objects = (time.monotonic(), data)
        self._core.receive(OBJECTS, data, self._now())

    def _on_event(self, data: bytes) -> None:
        """Record what others report; the recorder's own events are in the bag already."""
        event = deserialize_message(data, EpisodeEvent)
        facts = (event.header.stamp.sec, event.header.stamp.nanosec, event.episode_id, event.kind)
        if facts in self._own_events:
            self._own_events.discard(facts)
        else:
            self._core.receive(EVENTS, data, self._now())

    def _on_start(
        self, request: StartEpisode.Request, response: StartEpisode.Response
    ) -> StartEpisode.Response:
        try:
            check_name(request.task, "task name")
            extra = {**self._scene(), **parse_extra(request.extra_json)}
            wanted = Wanted(request.task, request.kind or "demonstration", request.operator_name, extra)
            metadata = self._core.start(wanted, self._now())
        except PtrError as error:
            return self._refused(response, error)
        self._publish_status()
        response.success, response.message = True, self._core.message
        response.episode_id = metadata.episode_id
        response.path = str(self._folder.path / f"{metadata.episode_id}.partial")
        return response

    def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        score = None if math.isnan(request.score) else float(request.score)
        try:
            outcome = request.outcome or "unlabelled"
            path, event = self._core.stop(request.save, outcome, self._now(), score, request.note)
        except PtrError as error:
            return self._refused(response, error)
        self._announce(event)
        response.success, response.message = True, self._core.message
        response.episode_id, response.path = path.name, str(path)
        return response

    def _on_label(
        self, request: LabelEpisode.Request, response: LabelEpisode.Response
    ) -> LabelEpisode.Response:
        score = None if math.isnan(request.score) else float(request.score)
        try:
            if self._core.state is State.RECORDING:
                raise EpisodeError("an episode is being recorded; stop it before labelling")
            last = self._core.metadata
            name = request.episode_id or (last.episode_id if last else "")
            label = Label(request.outcome, self._now(), "recorder", score, request.note)
            metadata = relabel(self._folder.path, name, label)
        except PtrError as error:
            return self._refused(response, error)
        self._core.note_label(metadata)
        self._announce(Event(label.stamp_ns, metadata.episode_id, "label", label.outcome))
        response.success, response.message = True, self._core.message
        return response

    def _refused(self, response: Any, error: PtrError) -> Any:
        self.get_logger().error(str(error))
        self._core.message = str(error)
        self._publish_status()
        response.success, response.message = False, str(error)
        return response

    def _scene(self) -> dict[str, Any]:
        """Kitchen and seed of the simulated scene, when there is one."""
        if self._objects is None or time.monotonic() - self._objects[0] > 1.0:
            return {}
        objects = deserialize_message(self._objects[1], ObjectStates)
        return {"kitchen": objects.kitchen, "seed": int(objects.seed)}

    def _on_tick(self) -> None:
        state = self._core.state
        for event in self._core.tick(self._now()):
            self.get_logger().warning(event.text)
            self._announce(event)
        if self._core.state is not self._published_state:
            if self._core.state is State.FAULT and state is not State.IDLE:
                self.get_logger().error(self._core.message)
            self._publish_status()

    def _announce(self, event: Event) -> None:
        message = event_message(event)
        stamp = message.header.stamp
        self._own_events.add((stamp.sec, stamp.nanosec, message.episode_id, message.kind))
        self._events.publish(message)
        self._publish_status()

    def _publish_status(self) -> None:
        core, metadata = self._core, self._core.metadata
        status = EpisodeStatus(state=int(core.state), saved=core.saved, goal=self._goal, message=core.message)
        stamp = metadata.start_ns if metadata and core.state is State.RECORDING else self._now()
        status.header.stamp.sec, status.header.stamp.nanosec = divmod(stamp, 10**9)
        status.directory = str(self._folder.path)
        if metadata is not None:
            status.episode_id, status.task = metadata.episode_id, metadata.task
        self._published_state = core.state
        self._status.publish(status)

    def _publish_diagnostics(self) -> None:
        free = self._folder.free_bytes() / GIGABYTE
        level = DiagnosticStatus.OK
        if self._core.state is State.FAULT:
            level = DiagnosticStatus.ERROR
        elif free < float(self.get_parameter("minimum_free_gb").value):
            level = DiagnosticStatus.WARN
        values = {"state": self._core.state.name, "saved": str(self._core.saved), "free_gb": f"{free:.2f}"}
        status = DiagnosticStatus(level=level, name="recorder", message=self._core.message)
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def read_command(data: bytes) -> CommandTiming:
    """Timing of a serialised ArmCommand."""
    command = deserialize_message(data, ArmCommand)
    stamp, horizon = command.header.stamp, command.horizon
    return CommandTiming(
        stamp.sec * 10**9 + stamp.nanosec, horizon.sec * 10**9 + horizon.nanosec, bool(command.deadman)
    )


def message_class(type_name: str) -> type:
    """The class of a message type such as ptr_msgs/msg/ArmState."""
    package, _, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def event_message(event: Event) -> EpisodeEvent:
    """The EpisodeEvent of an event."""
    message = EpisodeEvent(episode_id=event.episode_id, kind=event.kind, text=event.text)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(event.stamp, 10**9)
    return message


def main(args: Sequence[str] | None = None) -> None:
    """Run the node."""
    run(RecorderNode, "recorder", args)


if __name__ == "__main__":
    main()
