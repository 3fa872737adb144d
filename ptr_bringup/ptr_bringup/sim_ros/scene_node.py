# SPDX-License-Identifier: Apache-2.0
"""The node `scene`: the next scene when a person asks for it, and in simulation after each saved episode.

The simulator's scene is laid out again with the next seed, after the arm has gone to a start that varies with it. On
the real arm a person lays out the scene, and the arm goes to its start when it is asked to, never by itself.
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

MOST_SEEDS = 2**32
SEEN = 10.0  # s for a new scene to show on /simulator/objects
SAVED = "saved"
"""How the text of the recorder's event `stop` begins when the episode was kept."""


class SceneNode(Node):
    """What is asked for, and what is seen of the robot."""

    def __init__(self) -> None:
        super().__init__("scene")
        self.simulated = declare(self, "simulated", True, "a simulator sets up the scenes; false: a person does")
        about = (
            "in simulation, set up the next scene after each saved episode, and the same again after a discarded one"
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
        patient = ReentrantCallbackGroup()  # while a request waits for the arm, everything else goes on
        self.create_service(Trigger, "scene/next", self._on_next, callback_group=patient)
        self.create_service(Trigger, "scene/again", self._on_again, callback_group=patient)

    def require_free(self) -> None:
        """Nothing, unless an episode is being recorded, whose scene must stay.

        Raises:
            SessionError: one is.
        """
        if self.recording:
            raise SessionError("an episode is being recorded; end it before the scene changes")

    def tell(self, well: bool, sentence: str, busy: bool = False) -> None:
        """Say what the scene is, or why there is no new one."""
        seed = str(self.objects.message.seed) if self.objects.there else ""
        values = [KeyValue(key="seed", value=seed), KeyValue(key="busy", value=str(busy).lower())]
        level = DiagnosticStatus.OK if well else DiagnosticStatus.WARN
        self._status.publish(DiagnosticStatus(level=level, name="scene", message=sentence, values=values))

    def finish(self, future: Future | None, done: bool, sentence: str) -> None:
        """Answer a request from the thread that carried it out."""
        self.tell(done, sentence)
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
        if answer is not None:  # not cancelled
            response.success, response.message = answer
        return response

    def _on_event(self, message: EpisodeEvent) -> None:
        if message.type == "stop" and self.simulated and self._after_save:
            self.asked.append((int(message.message.startswith(SAVED)), None))

    def _on_recorder(self, message: EpisodeStatus) -> None:
        self.recording = message.state == EpisodeStatus.RECORDING


class Scenes:
    """Carries out one request after the other."""

    def __init__(self, node: SceneNode, caller: Caller) -> None:
        self._node, self._caller, self._stage = node, caller, Stage(caller)

    def run(self) -> int:
        """Until a signal ends it."""
        while True:
            while not self._node.asked:
                self._caller.sleep(POLL)
            step, future = self._node.asked.popleft()
            try:
                if future is None:  # the event came sooner than the status that says that the episode is over
                    self._caller.wait(lambda: not self._node.recording, "the end of the episode", SEEN)
                self._node.finish(future, True, self._lay(step))
            except SessionError as error:
                self._node.get_logger().warning(str(error))
                self._node.finish(future, False, str(error))

    def _lay(self, step: int) -> str:
        """The scene `step` seeds further; returns what it is."""
        node = self._node
        node.require_free()
        if not node.simulated:
            node.tell(True, "the arm goes to its start", busy=True)
            state = self._caller.named("arm/state")
            self._caller.wait(lambda: node.arm.there, f"the state of the arm on {state}", SEEN)
            self._stage.move_to_start(float(node.arm.message.commanded_gripper_position))
            return "the arm is at its start"
        objects = self._caller.named("simulator/objects")
        self._caller.wait(lambda: node.objects.there, f"the scene on {objects}", SEEN)
        present = node.objects.message
        kitchen, task, seed = present.kitchen, present.task, (present.seed + step) % MOST_SEEDS
        node.tell(True, "the arm goes to its start; then the next scene is laid", busy=True)
        self._stage.begin(kitchen, task, seed, require_free=node.require_free)
        self._caller.wait(lambda: node.objects.message.seed == seed, f"the new scene on {objects}", SEEN)
        return f"{task} in {kitchen}, seed {seed}"


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `scene`; returns the exit code."""
    return run_session(SceneNode, lambda node, caller: Scenes(node, caller).run(), "scene", args)


if __name__ == "__main__":
    sys.exit(main())
