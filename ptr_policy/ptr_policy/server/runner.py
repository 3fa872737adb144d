# SPDX-License-Identifier: Apache-2.0
"""Runs of the policy: the action /run_policy, its clock, and what is sent at each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from rclpy.timer import Timer

from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import STEADY
from ptr_models.common.errors import PtrError
from ptr_models.episodes.request_text import check_texts
from ptr_msgs.action import RunPolicy
from ptr_msgs.msg import ArmCommand, EpisodeStatus, PolicyStep
from ptr_policy.server.core import Run, RunOptions, ServerError, Step, rehearse
from ptr_policy.server.loading import Loaded
from ptr_policy.server.messages import command_message, release_message, step_message
from ptr_policy.server.step_timer import StepTimer
from ptr_policy.server.streams import ObservationStreams
from ptr_policy.server.ticks import Lateness

GOAL = {"task": 120, "action_choice": 40}  # characters of the texts of a goal
WATCH_PERIOD = 0.02  # s between two looks at the streams while an action is being carried out


@dataclass(frozen=True)
class Settings:
    """What holds for every run unless its goal says otherwise; the fields are those of RunOptions."""

    choice: str
    max_steps: int
    max_holds: int
    candidates: int
    on_drift: str
    drift_time: float


class Runner:
    """Carries out one run at a time.

    Attributes:
        active: whether runs are accepted.
        loaded: the checkpoint; None: runs are refused until one is adopted.
        run: the one that goes on, or the last one.
    """

    def __init__(self, node: Node, settings: Settings, report: Callable[[], None]) -> None:
        """Args: report: called whenever the state of a run has changed."""
        self._node, self._settings, self._report = node, settings, report
        self.active = False
        self.loaded: Loaded | None = None
        self.run: Run | None = None
        self._streams: ObservationStreams | None = None
        self._goal: ServerGoalHandle | None = None
        self._finished: Future | None = None
        self._step_timer: StepTimer | None = None
        self._watch: Timer | None = None
        self._work = 0.0  # s that a step takes
        self._moving = False
        self._episode_id = ""
        self._commands = node.create_publisher(ArmCommand, "/policy/command", QoSProfile(depth=10))
        self._steps = node.create_publisher(PolicyStep, "/policy/step", QoSProfile(depth=10))
        self._episodes = node.create_subscription(EpisodeStatus, "/episode/status", self._on_episode, LATCHED)
        self._server = ActionServer(
            node, RunPolicy, "/run_policy", self._execute, cancel_callback=lambda _: CancelResponse.ACCEPT
        )

    @property
    def busy(self) -> bool:
        """Whether a run goes on."""
        return self._goal is not None

    def adopt(self, loaded: Loaded) -> None:
        """Run this checkpoint from now on; not while a run goes on. Streams are those of its contract."""
        if self._streams is not None:
            self._streams.close()
        self.loaded, self.run = loaded, None
        self._streams = ObservationStreams(self._node, loaded.contract, loaded.delay)

    def end(self, reason: str, failed: bool = False) -> None:
        """Give the arm back, stop the clock and wake the action up; nothing where no run goes on."""
        if self._goal is None:
            return
        self.run.end(reason, failed)
        self._goal = None
        self._step_timer.close()
        self._node.destroy_timer(self._watch)
        self._release()
        self._finished.set_result(None)
        self._report()

    def close(self) -> None:
        """Take everything back."""
        self._server.destroy()
        if self._streams is not None:
            self._streams.close()
        self._node.destroy_subscription(self._episodes)
        self._node.destroy_publisher(self._commands)
        self._node.destroy_publisher(self._steps)

    # The action

    async def _execute(self, goal: ServerGoalHandle) -> RunPolicy.Result:
        """One run: refused at once, or ended by its steps, a fault, or the caller."""
        logger = self._node.get_logger()
        try:
            check_texts(goal.request, GOAL)
            run = self._new_run(goal.request)
        except Exception as error:  # also what a network raises that its rehearsal shows
            sentence = str(error) if isinstance(error, PtrError) else f"{type(error).__name__}: {error}"
            logger.error(sentence)
            goal.abort()
            return RunPolicy.Result(completed=False, message=sentence, mean_q=float("nan"))
        logger.info(f"{run.options.task}: at most {run.options.max_steps} steps")
        self._begin(run, goal)
        await self._finished
        sentence = f"{run.options.task}: {run.ended}"
        if run.failed:
            logger.error(sentence)
            goal.abort()
        else:
            logger.info(sentence)
            finish = goal.canceled if goal.is_cancel_requested else goal.succeed
            finish()
        return RunPolicy.Result(
            completed=not run.failed,
            message=run.ended,
            steps=run.steps,
            held_steps=run.held_steps,
            mean_q=run.mean_q,
        )

    def _new_run(self, request: RunPolicy.Goal) -> Run:
        settings = self._settings
        if not self.active:
            raise ServerError("the policy server is not active; activate it first")
        if self.loaded is None:
            raise ServerError("no checkpoint is loaded; call /policy_server/load first")
        if self.busy:
            raise ServerError(f"a run of {self.run.options.task} is going on; cancel it first")
        if self._streams.arm_stopped:
            raise ServerError("the arm is stopped; clear it first (the console, `ptr arm clear`)")
        options = RunOptions(
            task=request.task,
            choice=request.action_choice or settings.choice,
            max_steps=int(request.max_steps or settings.max_steps),
            max_holds=settings.max_holds,
            candidates=settings.candidates,
            on_drift=settings.on_drift,
            drift_time=settings.drift_time,
        )
        self._work = rehearse(self.loaded.policy, options)
        return Run(self.loaded.policy, options)

    def _begin(self, run: Run, goal: ServerGoalHandle) -> None:
        self.run, self._goal, self._finished = run, goal, Future(executor=self._node.executor)
        self._streams.begin()
        period = self.loaded.contract.period
        self._step_timer = StepTimer(self._node, period, self._work, self._streams, self._on_step)
        self._watch = self._node.create_timer(WATCH_PERIOD, self._on_watch, clock=STEADY)
        self._report()

    # A step

    def _on_step(self, lateness: Lateness) -> None:
        if self._goal is None:
            return
        if self._goal.is_cancel_requested:
            self.end("cancelled by the caller")
            return
        began = self._node.get_clock().now()
        alarmed = self.run.drift.alarm
        step = self.run.step(lambda: self._streams.observe(began), lateness)
        if not step.held:
            self._commands.publish(command_message(self.loaded.contract, step.decision.action, began))
        self._moving = not step.held
        message = step_message(step, self.run.options.task, self.loaded.contract, self._streams, began)
        message.episode_id = self._episode_id
        self._steps.publish(message)
        feedback = RunPolicy.Feedback(step=step.index, held=step.held)
        feedback.q = float("nan") if step.decision is None else float(step.decision.q)
        self._goal.publish_feedback(feedback)
        self._tell(step, alarmed)
        if self.run.ended:
            self.end(self.run.ended, self.run.failed)

    def _tell(self, step: Step, alarmed: bool) -> None:
        """Log what is new."""
        logger = self._node.get_logger()
        if step.held:
            logger.warning(f"step {step.index} held: {step.reason}", throttle_duration_sec=1.0)
        if self.run.drift.alarm and not alarmed:
            logger.warning(f"step {step.index}: {self.run.drift.sentence}")
        self._report()

    def _on_watch(self) -> None:
        """An action holds for a whole period; the arm stops before its end when a stream can't be trusted any more.

        A run does not outlive a stop of the arm: whoever clears it decides what comes next.
        """
        if self._goal is None:
            return
        if self._streams.arm_stopped:
            self.end("the arm was stopped", failed=True)
        elif self._moving and not self._streams.trusted(self._node.get_clock().now()):
            self._release()

    def _release(self) -> None:
        self._moving = False
        now = self._node.get_clock().now()
        self._commands.publish(release_message(self.loaded.contract, self._streams.gripper_commanded, now))

    def _on_episode(self, message: EpisodeStatus) -> None:
        recorded, self._episode_id = self._episode_id, ""
        if message.state == EpisodeStatus.RECORDING:
            self._episode_id = message.episode_id
        elif message.state == EpisodeStatus.FAULT and recorded:
            self.end(f"the recorder failed: {message.message}", failed=True)
