# SPDX-License-Identifier: Apache-2.0
"""The node `scene`: sets up the next scene on request, and in simulation after each saved episode.

In simulation, the arm moves to a start that depends on the next seed, then the scene is set up with it. On the real
robot a person sets up the scene, and the arm moves to its start only on request.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.task import Future
from std_srvs.srv import Trigger

from ptr_bringup.ros.newest import Newest
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.session import POLL, Caller, SessionError, run_session
from ptr_bringup.sim_ros.stage import Stage
from ptr_msgs.msg import ArmState, EpisodeEvent, EpisodeStatus, ObjectStates

SEED_COUNT = 2**32
SCENE_TIMEOUT = 10.0  # s for a new scene to appear on /simulator/objects
SAVED = "saved"
"""Prefix of the message of the recorder's event `stop` if the episode was kept."""


class SceneNode(Node):
    """Receives requests, and monitors the robot."""

    def __init__(self) -> None:
        super().__init__("scene")
        self.simulated = declare(self, "simulated", True, "a simulator sets up the scenes; false: a person does")
        about = (
            "in simulation, set up the next scene after a saved episode, and the same one again after a discarded one"
        )
        self._after_save = declare(self, "after_save", True, about)
        self.asked: deque[tuple[int, Future | None]] = deque()
        self.recording = False
        self._done: deque[tuple[Future, bool, str]] = deque()
        self._guard = self.create_guard_condition(self._answer)
        self._status = self.create_publisher(DiagnosticStatus, "scene/status", LATCHED)
        self.objects = Newest(self, ObjectStates, "simulator/objects", 10)
        self.arm = Newest(self, ArmState, "arm/state", qos_profile_sensor_data)
        self.create_subscription(EpisodeStatus, "episode/status", self._on_recorder, LATCHED)
        self.create_subscription(EpisodeEvent, "episode/event", self._on_event, QoSProfile(depth=50))
        waiting = ReentrantCallbackGroup()  # a request that waits for the arm does not block anything else
        self.create_service(Trigger, "scene/next", self._on_next, callback_group=waiting)
        self.create_service(Trigger, "scene/again", self._on_again, callback_group=waiting)

    def require_free(self) -> None:
        """Check that no episode is being recorded, because its scene must not change.

        Raises:
            SessionError: an episode is being recorded.
        """
        if self.recording:
            raise SessionError("an episode is being recorded; end it before the scene changes")

    def publish_status(self, well: bool, sentence: str, busy: bool = False) -> None:
        """Publish what the scene is, or why there is no new one."""
        seed = str(self.objects.message.seed) if self.objects.there else ""
        values = [KeyValue(key="seed", value=seed), KeyValue(key="busy", value=str(busy).lower())]
        level = DiagnosticStatus.OK if well else DiagnosticStatus.WARN
        self._status.publish(DiagnosticStatus(level=level, name="scene", message=sentence, values=values))

    def finish(self, future: Future | None, done: bool, sentence: str) -> None:
        """Answer a request from the thread that executed it."""
        self.publish_status(done, sentence)
        if future is not None:
            self._done.append((future, done, sentence))
            self._guard.trigger()

    def _answer(self) -> None:
        while self._done:
            future, done, sentence = self._done.popleft()
            future.set_result((done, sentence))

    async def _on_next(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return await self._carried_out(1, response)

    async def _on_again(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return await self._carried_out(0, response)

    async def _carried_out(self, step: int, response: Trigger.Response) -> Trigger.Response:
        future: Future[tuple[bool, str]] = Future(executor=self.executor)
        self.asked.append((step, future))
        answer = await future
        if answer is not None:  # not canceled
            response.success, response.message = answer
        return response

    def _on_event(self, message: EpisodeEvent) -> None:
        if message.type == "stop" and self.simulated and self._after_save:
            self.asked.append((int(message.message.startswith(SAVED)), None))

    def _on_recorder(self, message: EpisodeStatus) -> None:
        self.recording = message.state == EpisodeStatus.RECORDING


class Scenes:
    """Executes the requests one after another."""

    def __init__(self, node: SceneNode, caller: Caller) -> None:
        self._node, self._caller, self._stage = node, caller, Stage(caller)

    def run(self) -> int:
        """Execute requests until a signal arrives."""
        while True:
            while not self._node.asked:
                self._caller.sleep(POLL)
            step, future = self._node.asked.popleft()
            try:
                if future is None:  # the event may arrive before the status that the episode is over
                    self._caller.wait(lambda: not self._node.recording, "the end of the episode", SCENE_TIMEOUT)
                self._node.finish(future, True, self._lay(step))
            except SessionError as error:
                self._node.get_logger().warning(str(error))
                self._node.finish(future, False, str(error))

    def _lay(self, step: int) -> str:
        """Set up the scene `step` seeds ahead; returns its description."""
        node = self._node
        node.require_free()
        if not node.simulated:
            node.publish_status(True, "the arm is moving to its start", busy=True)
            state = self._caller.named("arm/state")
            self._caller.wait(lambda: node.arm.there, f"the state of the arm on {state}", SCENE_TIMEOUT)
            self._stage.move_to_start(float(node.arm.message.commanded_gripper_position))
            return "the arm is at its start"
        objects = self._caller.named("simulator/objects")
        self._caller.wait(lambda: node.objects.there, f"the scene on {objects}", SCENE_TIMEOUT)
        present = node.objects.message
        kitchen, task, seed = present.kitchen, present.task, (present.seed + step) % SEED_COUNT
        node.publish_status(True, "the arm is moving to its start; then the next scene is set up", busy=True)
        self._stage.begin(kitchen, task, seed, require_free=node.require_free)
        self._caller.wait(lambda: node.objects.message.seed == seed, f"the new scene on {objects}", SCENE_TIMEOUT)
        return f"{task} in {kitchen}, seed {seed}"


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `scene`; returns the exit code."""
    return run_session(SceneNode, lambda node, caller: Scenes(node, caller).run(), "scene", args)


if __name__ == "__main__":
    sys.exit(main())
