# SPDX-License-Identifier: Apache-2.0
"""The node `recorder`: one bag per episode, started and ended by services."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.task import Future
from std_srvs.srv import Trigger

from ptr_bringup.ros.names import prefixed, relative
from ptr_bringup.ros.node import LAST_WORDS, RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import STEADY
from ptr_models.common.errors import PtrError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import definition
from ptr_models.episodes.metadata import EpisodeMetadata, Label, check_name
from ptr_models.episodes.request_text import check_texts
from ptr_models.episodes.writer import BagWriter
from ptr_models.provenance import installed_versions, source_commit
from ptr_msgs.msg import EpisodeEvent, EpisodeStatus
from ptr_msgs.srv import LabelEpisode, StartEpisode, StopEpisode
from ptr_teleop.recorder.auditor import Auditor
from ptr_teleop.recorder.conversions import (
    event_key,
    event_message,
    read_calibration,
    read_command,
    read_scene,
    status_message,
)
from ptr_teleop.recorder.episode import Audit, EpisodeRequest, Event, State, parse_extra
from ptr_teleop.recorder.files import audit, read_contract, relabel
from ptr_teleop.recorder.folder import EpisodeFolder
from ptr_teleop.recorder.raw_subscriptions import RawSubscriptions
from ptr_teleop.recorder.recorder import GIGABYTE, DiskLimits, RecorderCore
from ptr_teleop.recorder.streams import EVENTS, OBJECTS, info_topic, streams_for

DRAIN = 0.02  # s between two reads of the queues
TICK = 0.1  # s between two checks of the streams and the disk
REPORT = 0.25  # s between two statuses
ADAPT = 0.5  # s between two checks of the publishers' QoS
AUDIT_WAIT = 2.0  # s that a stop waits for the audit before it responds without one
START = {"task": 120, "kind": 40, "operator_name": 80, "instruction": 500, "extra_json": 65536}
STOP = {"outcome": 40, "note": 2000}
LABEL = {"episode_id": 200, "outcome": 40, "note": 2000, "annotator": 80}
"""Maximum length of the requests' texts, characters."""
SCENE_AGE = 5.0  # s; older objects come from a simulator that has ended, even on a busy computer


class RecorderNode(RunnableNode, Node):
    """Feeds serialized messages to the recorder's core and handles its services."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self._declare()
        self._goal = int(self.get_parameter("goal").value)
        self._cameras = [str(name) for name in self.get_parameter("cameras").value]
        streams = streams_for(self._cameras)
        contract_file, latency_file = (self._text(name) for name in ("contract_file", "latency_file"))
        contract = read_contract(contract_file, self._cameras, latency_file)
        directory = self._text("directory")
        if not directory:
            raise EpisodeError("parameter `directory` is empty; give the folder that episodes are written to")
        self._folder = EpisodeFolder(Path(directory))
        self._core = RecorderCore(
            self._folder,
            streams,
            contract,
            self._open_writer,
            lambda event: serialize_message(event_message(event)),
            read_command,
            facts={
                "robot": self._text("robot"),
                "versions": installed_versions(),
                "commit": source_commit() or "",
            },
            tasks=[name for name in self.get_parameter("tasks").value if name],
            disk=DiskLimits(warn=float(self.get_parameter("minimum_free_gb").value) * GIGABYTE),
            changed=self._publish_status,
        )
        for stream in streams:
            definition(stream.type)  # parsed now, so that the first episode does not wait for it
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        self._raw = RawSubscriptions(self, streams, self._now if self._simulated else None)
        self._own_events: set[tuple[int, int, str, str, str]] = set()
        self._auditor = Auditor(audit, self.create_guard_condition(self._on_audited).trigger)
        self._awaited: dict[Path, tuple[float, Future]] = {}
        self._offer()
        self._publish_status()
        self.get_logger().info(f"episodes go to {self._folder.path}")

    def close(self) -> None:
        """Keep an episode that is being recorded, unlabelled, and release the folder."""
        try:
            path = self._core.close(self._now())
            if path is not None:
                self.get_logger().warning(f"kept {path} unlabelled: the recorder ended during the episode")
                self._publish_status()
                time.sleep(LAST_WORDS)
        except PtrError as error:
            self.get_logger().error(str(error))
        self._folder.close()

    def _declare(self) -> None:
        declare(self, "directory", "", "folder that episodes are written to; created if missing")
        declare(self, "cameras", ["over_shoulder"], "names of the cameras: /camera/NAME/image/compressed")
        declare(self, "goal", 0, "episodes wanted in this session, 0: no goal", (0, 1_000_000))
        declare(self, "robot", "sim", "the robot's name, written into each episode")
        declare(self, "contract_file", "", "JSON file of the contract; empty: the suite's, with `cameras`")
        declare(self, "latency_file", "", "YAML file of the robot's measured latencies; empty: the contract's")
        declare(self, "tasks", [""], "task names that may be recorded; none: any well-formed name")
        declare(self, "minimum_free_gb", 2.0, "GB of free disk below which the status warns", (0.0, 1e6))

    def _offer(self) -> None:
        """Create publishers, services and timers. The timers run in real time, whatever the simulator's clock does."""
        self._status = self.create_publisher(EpisodeStatus, "episode/status", LATCHED)
        self._events = self.create_publisher(EpisodeEvent, relative(EVENTS), QoSProfile(depth=50))
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self.create_service(StartEpisode, "recorder/start", self._on_start)
        patient = ReentrantCallbackGroup()  # everything else runs while a stop waits for its audit
        self.create_service(StopEpisode, "recorder/stop", self._on_stop, callback_group=patient)
        self.create_service(LabelEpisode, "recorder/label", self._on_label)
        self.create_service(Trigger, "recorder/discard_last", self._on_discard_last)
        for period, callback in (
            (DRAIN, self._drain),
            (TICK, self._on_tick),
            (REPORT, self._publish_status),
            (ADAPT, lambda: self._raw.adapt(self._core.state is State.RECORDING)),
            (1.0, self._publish_diagnostics),
        ):
            self.create_timer(period, callback, clock=STEADY)

    def _open_writer(self, metadata: EpisodeMetadata) -> BagWriter:
        return BagWriter(self._folder.path, metadata, self._raw.offered, durable=True)

    def _drain(self) -> None:
        """Pass arrived messages to the core, except the recorder's own events, which are in the bag already."""
        for arrival in self._raw.drain():
            if arrival.topic == EVENTS and self._is_own(arrival.data):
                continue
            event = self._core.receive(*arrival)
            if event is not None:
                self._announce(event)

    def _is_own(self, data: bytes) -> bool:
        key = event_key(deserialize_message(data, EpisodeEvent))
        own = key in self._own_events
        self._own_events.discard(key)
        return own

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        self._drain()
        try:
            check_texts(request, START)
            check_name(request.task, "task name")
            wanted = EpisodeRequest(
                task=request.task,
                kind=request.kind or "demonstration",
                operator=request.operator_name,
                instruction=request.instruction,
                extra={**self._surroundings(), **parse_extra(request.extra_json)},
            )
            metadata = self._core.start(wanted, self._now())
        except PtrError as error:
            return self._refused(response, error)
        self._publish_status()
        response.success, response.message = True, self._core.message
        response.episode_id = metadata.episode_id
        response.path = str(self._folder.path / f"{metadata.episode_id}.partial")
        return response

    async def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        """Respond when the bag is closed, with the audit if it finishes in time; the status always reports it."""
        self._drain()
        try:
            check_texts(request, STOP)
            outcome = request.outcome or "unlabelled"
            path, event = self._core.stop(request.save, outcome, self._now(), _score(request), request.note)
        except (PtrError, OSError) as error:
            return self._refused(response, error)
        self._announce(event)
        found = await self._audit(path) if request.save else None
        response.success, response.message = True, self._core.message
        response.episode_id, response.path = path.name, str(path)
        if found is not None:
            response.recommendation, response.findings = found.recommendation, list(found.findings)
        return response

    async def _audit(self, path: Path) -> Audit | None:
        """The audit of an episode; None: it takes longer than AUDIT_WAIT."""
        future: Future[Audit] = Future(executor=self.executor)
        self._awaited[path] = (time.monotonic() + AUDIT_WAIT, future)
        self._auditor.submit(path)
        return await future

    def _on_audited(self) -> None:
        for path, found in self._auditor.results():
            self._core.review(path, found)
            self._publish_status()
            self._respond(path, found)

    def _respond(self, path: Path, found: Audit | None) -> None:
        """Respond to the request that ended an episode, if it is still waiting."""
        _, future = self._awaited.pop(path, (0.0, None))
        if future is not None:
            future.set_result(found)

    def _on_label(self, request: LabelEpisode.Request, response: LabelEpisode.Response) -> LabelEpisode.Response:
        try:
            check_texts(request, LABEL)
            if self._core.state is State.RECORDING:
                raise EpisodeError("an episode is being recorded; stop it before labeling")
            last = self._core.metadata
            name = request.episode_id or (last.episode_id if last else "")
            annotator = request.annotator or "recorder"
            label = Label(request.outcome, self._now(), annotator, _score(request), request.note)
            metadata = relabel(self._folder.path, name, label)
        except PtrError as error:
            return self._refused(response, error)
        self._core.set_label(metadata)
        self._announce(Event(label.stamp_ns, metadata.episode_id, "label", label.outcome))
        response.success, response.message = True, self._core.message
        return response

    def _on_discard_last(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            _, event = self._core.discard_last(self._now())
        except (PtrError, OSError) as error:
            return self._refused(response, error)
        self._announce(event)
        response.success, response.message = True, self._core.message
        return response

    def _refused(self, response: Any, error: Exception) -> Any:
        self.get_logger().error(str(error))
        self._core.message = str(error)
        self._publish_status()
        response.success, response.message = False, str(error)
        return response

    def _surroundings(self) -> dict[str, Any]:
        """The simulated scene, the calibration of calibrated cameras, and the namespace."""
        objects = self._core.latest(OBJECTS, self._now(), SCENE_AGE)
        found = {} if objects is None else read_scene(objects)
        calibration = {}
        for camera in self._cameras:
            info = self._core.latest(info_topic(camera), self._now())
            known = None if info is None else read_calibration(info)
            if known is not None:
                calibration[camera] = known
        namespace = self.get_namespace().strip("/")
        return {**found, **({"namespace": namespace} if namespace else {}), "calibration": calibration}

    def _on_tick(self) -> None:
        self._drain()
        late = [path for path, (deadline, _) in self._awaited.items() if time.monotonic() > deadline]
        for path in late:
            self._respond(path, None)
        state = self._core.state
        for event in self._core.tick(self._now(), None if self._simulated else time.monotonic_ns()):
            self.get_logger().warning(event.text)
            self._announce(event)
        if self._core.state is not state or self._core.state is not self._published_state:
            if self._core.state is State.FAULT:
                self.get_logger().error(self._core.message)
            self._publish_status()

    def _announce(self, event: Event) -> None:
        message = event_message(event)
        self._own_events.add(event_key(message))
        self._events.publish(message)
        self._publish_status()

    def _publish_status(self) -> None:
        self._published_state = self._core.state
        directory, free = str(self._folder.path), self._folder.free_bytes()
        self._status.publish(status_message(self._core, self._now(), self._goal, directory, free))

    def _publish_diagnostics(self) -> None:
        free = self._folder.free_bytes() / GIGABYTE
        level = DiagnosticStatus.OK
        if self._core.state is State.FAULT:
            level = DiagnosticStatus.ERROR
        elif free < float(self.get_parameter("minimum_free_gb").value):
            level = DiagnosticStatus.WARN
        values = {"state": self._core.state.name, "saved": str(self._core.saved), "free_gb": f"{free:.2f}"}
        status = DiagnosticStatus(level=level, name=prefixed(self, "recorder"), message=self._core.message)
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _text(self, name: str) -> str:
        return str(self.get_parameter(name).value)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def _score(request: StopEpisode.Request | LabelEpisode.Request) -> float | None:
    return None if math.isnan(request.score) else float(request.score)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run(RecorderNode, "recorder", args)


if __name__ == "__main__":
    sys.exit(main())
