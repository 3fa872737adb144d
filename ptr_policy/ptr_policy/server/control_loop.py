# SPDX-License-Identifier: Apache-2.0
"""The control loop of the policy server (`_on_step`): serves the action /run_policy and publishes at each step.

`step_timer` decides when a step is due, `run` what happens in it.
"""

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
from ptr_policy.server.loading import Loaded
from ptr_policy.server.messages import command_message, release_message, step_message
from ptr_policy.server.run import Run, RunOptions, ServerError, Step, rehearse
from ptr_policy.server.step_grid import Lateness
from ptr_policy.server.step_timer import StepTimer
from ptr_policy.server.streams import ObservationStreams

GOAL = {"task": 120, "action_choice": 40}  # characters of the texts of a goal
WATCH_PERIOD = 0.02  # s between two checks of the streams while an action is carried out


@dataclass(frozen=True)
class Settings:
    """Defaults of every run, which its goal may override; fields as in RunOptions."""

    choice: str
    max_steps: int
    max_holds: int
    candidates: int
    on_drift: str
    drift_time: float


@dataclass(frozen=True)
class _LoadedCheckpoint:
    """A checkpoint and the streams of its contract."""

    loaded: Loaded
    streams: ObservationStreams


@dataclass
class _Current:
    """State of the current run.

    Attributes:
        finished: completes the ROS action.
        moving: the policy's action is being carried out.
    """

    run: Run
    goal: ServerGoalHandle
    finished: Future
    step_timer: StepTimer
    watch: Timer
    moving: bool = False


class PolicyRunner:
    """Carries out one run at a time.

    Attributes:
        active: whether runs are accepted.
        run: the current or the last run.
    """

    def __init__(self, node: Node, settings: Settings, report: Callable[[], None]) -> None:
        """Args: report: called when the state of a run has changed."""
        self._node, self._settings, self._report = node, settings, report
        self.active = False
        self.run: Run | None = None
        self._serving: _LoadedCheckpoint | None = None
        self._current: _Current | None = None
        self._episode_id = ""
        self._commands = node.create_publisher(ArmCommand, "policy/command", QoSProfile(depth=10))
        self._steps = node.create_publisher(PolicyStep, "policy/step", QoSProfile(depth=10))
        self._episodes = node.create_subscription(EpisodeStatus, "episode/status", self._on_episode, LATCHED)
        self._server: ActionServer = ActionServer(
            node, RunPolicy, "run_policy", self._execute, cancel_callback=lambda _: CancelResponse.ACCEPT
        )

    @property
    def busy(self) -> bool:
        """Whether a run is in progress."""
        return self._current is not None

    @property
    def loaded(self) -> Loaded | None:
        """The loaded checkpoint; None: runs are refused."""
        return None if self._serving is None else self._serving.loaded

    def set_checkpoint(self, loaded: Loaded) -> None:
        """Use this checkpoint and the streams of its contract from now on. Not during a run."""
        self._release_checkpoint()
        self.run = None
        self._serving = _LoadedCheckpoint(loaded, ObservationStreams(self._node, loaded.contract, loaded.delay))

    def end(self, reason: str, failed: bool = False) -> None:
        """End the current run, if any: release the arm, stop the timers, complete the action."""
        current, self._current = self._current, None
        if current is None or self._serving is None:
            return
        current.run.end(reason, failed)
        current.step_timer.close()
        self._node.destroy_timer(current.watch)
        self._release(self._serving)
        current.finished.set_result(None)
        self._report()

    def close(self) -> None:
        """Destroy all interfaces."""
        self._server.destroy()
        self._release_checkpoint()
        self._node.destroy_subscription(self._episodes)
        self._node.destroy_publisher(self._commands)
        self._node.destroy_publisher(self._steps)

    def _release_checkpoint(self) -> None:
        if self._serving is not None:
            self._serving.streams.close()
            self._serving.loaded.policy.close()

    # The action

    async def _execute(self, goal: ServerGoalHandle) -> RunPolicy.Result:
        """One run: refused at once, or ended by its steps, a fault, or the caller."""
        logger = self._node.get_logger()
        try:
            check_texts(goal.request, GOAL)
            serving = self._ready()
            options = self._options(goal.request)
            work = rehearse(serving.loaded.policy, options)
            run = Run(serving.loaded.policy, options)
        except Exception as error:  # also any error of the network in the rehearsal
            sentence = str(error) if isinstance(error, PtrError) else f"{type(error).__name__}: {error}"
            logger.error(sentence)
            goal.abort()
            return RunPolicy.Result(completed=False, message=sentence, mean_q=float("nan"))
        logger.info(f"{run.options.task}: at most {run.options.max_steps} steps")
        await self._start(serving, run, goal, work)
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

    def _ready(self) -> _LoadedCheckpoint:
        """The checkpoint and streams of a new run.

        Raises:
            ServerError: no run can start now.
        """
        if not self.active:
            raise ServerError("the policy server is not active; activate it first")
        if self._serving is None:
            raise ServerError("no checkpoint is loaded; call /policy_server/load first")
        if self._current is not None:
            raise ServerError(f"a run of {self._current.run.options.task} is in progress; cancel it first")
        if self._serving.streams.arm_stopped:
            raise ServerError("the arm is stopped; clear it first (the console, `ptr arm clear`)")
        return self._serving

    def _options(self, request: RunPolicy.Goal) -> RunOptions:
        settings = self._settings
        return RunOptions(
            task=request.task,
            choice=request.action_choice or settings.choice,
            max_steps=int(request.max_steps or settings.max_steps),
            max_holds=settings.max_holds,
            candidates=settings.candidates,
            on_drift=settings.on_drift,
            drift_time=settings.drift_time,
        )

    def _start(self, serving: _LoadedCheckpoint, run: Run, goal: ServerGoalHandle, work: float) -> Future:
        """Start the timers of a run; the future is done when the run has ended.

        Args:
            work: duration of a step, s.
        """
        serving.streams.start_run()
        self.run = run
        self._current = _Current(
            run,
            goal,
            Future(executor=self._node.executor),
            StepTimer(self._node, serving.loaded.contract.period, work, serving.streams, self._on_step),
            self._node.create_timer(WATCH_PERIOD, self._on_watch, clock=STEADY),
        )
        self._report()
        return self._current.finished

    # A step

    def _on_step(self, lateness: Lateness) -> None:
        """Observe, decide, send the action, publish the step."""
        current, serving = self._current, self._serving
        if current is None or serving is None:
            return
        if current.goal.is_cancel_requested:
            self.end("cancelled by the caller")
            return
        run, contract, streams = current.run, serving.loaded.contract, serving.streams
        started = self._node.get_clock().now()
        alarmed = run.drift.alarm
        step = run.step(lambda: streams.observe(started), lateness)
        current.moving = step.decision is not None and not step.held
        if step.decision is not None and not step.held:
            self._commands.publish(command_message(contract, step.decision.action, started))
        message = step_message(step, run.options.task, contract, streams, started)
        message.episode_id = self._episode_id
        self._steps.publish(message)
        feedback = RunPolicy.Feedback(step=step.index, held=step.held)
        feedback.q = float("nan") if step.decision is None else float(step.decision.q)
        current.goal.publish_feedback(feedback)
        self._log(step, "" if alarmed or not run.drift.alarm else run.drift.sentence)
        self._report()
        if run.ended:
            self.end(run.ended, run.failed)

    def _log(self, step: Step, drift: str) -> None:
        """Log held steps and drift. Args: drift: the alarm's sentence if it starts with this step."""
        logger = self._node.get_logger()
        if step.held:
            logger.warning(f"step {step.index} held: {step.reason}", throttle_duration_sec=1.0)
        if drift:
            logger.warning(f"step {step.index}: {drift}")

    def _on_watch(self) -> None:
        """Stop the arm before the end of the period if a stream can no longer be trusted.

        A stop of the arm ends the run: whoever clears it decides what comes next.
        """
        current, serving = self._current, self._serving
        if current is None or serving is None:
            return
        if serving.streams.arm_stopped:
            self.end("the arm was stopped", failed=True)
        elif current.moving and not serving.streams.trusted(self._node.get_clock().now()):
            current.moving = False
            self._release(serving)

    def _release(self, serving: _LoadedCheckpoint) -> None:
        now = self._node.get_clock().now()
        self._commands.publish(release_message(serving.loaded.contract, serving.streams.gripper_commanded, now))

    def _on_episode(self, message: EpisodeStatus) -> None:
        recorded, self._episode_id = self._episode_id, ""
        if message.state == EpisodeStatus.RECORDING:
            self._episode_id = message.episode_id
        elif message.state == EpisodeStatus.FAULT and recorded:
            self.end(f"the recorder failed: {message.message}", failed=True)
