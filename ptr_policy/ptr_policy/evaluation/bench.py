# SPDX-License-Identifier: Apache-2.0
"""Runs a trial on a robot over ROS: scene, recorder, policy server and judge."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from action_msgs.srv import CancelGoal
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

from ptr_bringup.ros.session import Caller, GoalClient, SessionError
from ptr_bringup.sim_ros.stage import Stage
from ptr_msgs.action import RunPolicy
from ptr_msgs.srv import LabelEpisode, LoadCheckpoint, StartEpisode, StopEpisode
from ptr_policy.evaluation.human_judge import HumanJudge
from ptr_policy.evaluation.live_status import LiveStatus
from ptr_policy.evaluation.references import References, image_path
from ptr_policy.evaluation.runner import RunEnd
from ptr_policy.evaluation.trial_monitor import TrialMonitor
from ptr_policy.evaluation.trials import Judgment, Result, Trial

POLL_PERIOD = 0.2  # s between two checks of the outcome
AFTER_SUCCESS = 1.0  # s for which the policy continues after success
SETTLE = 0.7  # s until all objects are at rest and the image shows the new scene
LOAD_TIMEOUT = 180.0  # s to load a checkpoint
CLEAR_TIMEOUT = 3600.0  # s to wait for a person to clear a stopped arm
CANCEL_DELAY = 1.0  # s until a cancelled run has ended
DRIVE_TIMEOUT = 120.0  # s for which a person may keep driving after the run
STEP_TIMEOUT = 20.0  # s without a step, held or not, after which the policy server counts as gone
START_ATTEMPTS = 3  # attempts to move an arm to its start if it is stopped on its way


@dataclass(frozen=True)
class BenchOptions:
    """How trials are run.

    Attributes:
        directory: of the evaluation; paths of bags and images below it are relative to it.
        record: False: no bags.
        max_steps: of a run; 0: the policy server's.
        action_choice: empty: the policy server's.
        checkpoints: folder that the policy server loads for each policy; none: it keeps the loaded one.
        new_task: a task that gets a spare slot in each checkpoint that lacks it.
        goal: bag or image file of the desired end; empty: the policy server's.
    """

    directory: Path
    record: bool = True
    max_steps: int = 0
    action_choice: str = ""
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    new_task: str = ""
    goal: str = ""


class RobotBench:
    """See `ptr_policy.evaluation.runner.Bench`.

    Args:
        node: node of the session, spun by another thread.
        stage: sets up scenes.   simulated: in a simulator.
        live_status, monitor: publish and observe the trials.
        person: the judge; None: the simulator judges.
    """

    def __init__(
        self,
        node: Node,
        caller: Caller,
        options: BenchOptions,
        stage: Stage,
        simulated: bool,
        live_status: LiveStatus,
        monitor: TrialMonitor,
        references: References,
        person: HumanJudge | None,
    ) -> None:
        self._caller, self._options = caller, options
        self._stage, self._simulated, self._live_status, self._monitor = stage, simulated, live_status, monitor
        self._references, self._person = references, person
        live_status.asks = person is not None
        self._loaded: str | None = None
        self._shown_steps, self._driver_news = 0, ""
        self._action = caller.named("run_policy")
        self._run: ActionClient = GoalClient(node, RunPolicy, "run_policy")
        self._cancel: Client = node.create_client(CancelGoal, "run_policy/_action/cancel_goal")
        self._load: Client = node.create_client(LoadCheckpoint, "policy_server/load")
        self._parameters: Client = node.create_client(SetParameters, "policy_server/set_parameters")
        self._start: Client = node.create_client(StartEpisode, "recorder/start")
        self._stop: Client = node.create_client(StopEpisode, "recorder/stop")
        self._label: Client = node.create_client(LabelEpisode, "recorder/label")

    def stage(self, trial: Trial, undoable: Result | None) -> bool:
        """Load the policy, set up the scene and move the arm to its start; see `Bench.stage`."""
        self._live_status.open_trial(trial)
        self._live_status.show("staging", f"loading policy {trial.policy}")
        self._load_policy(trial.policy)
        self._bring_to_start(trial)
        if self._person is not None:
            reference = self._references.image(trial)
            self._live_status.show_reference(reference)
            how = "for the task" if reference is None else "as in the image"
            undo = "" if undoable is None else _judged(undoable)
            self._live_status.show("ready", f"set up the scene {how}, then step back", undo=undo)
            if not self._person.lay_out(trial, undo):
                return False
            self._live_status.show("staging", "the policy is about to start; keep clear of the arm")
        self._caller.sleep(SETTLE)
        return True

    def _load_policy(self, name: str) -> None:
        """Have the policy server load a checkpoint, unless it is loaded already."""
        self._caller.wait(self._run.server_is_ready, f"the action {self._action}; is the policy server active?", 60.0)
        if self._loaded is None:
            self._end_leftovers()
        path = self._options.checkpoints.get(name, "")
        if path and path != self._loaded:
            request = LoadCheckpoint.Request(checkpoint=path, new_task=self._options.new_task)
            self._caller.call(self._load, request, LOAD_TIMEOUT)
        if self._options.goal and path != self._loaded:
            self._caller.set_parameters(self._parameters, {"goal": self._options.goal})
        self._loaded = path

    def _end_leftovers(self) -> None:
        """After a killed evaluator, cancel its run and keep its recording, unlabelled."""
        canceled = self._cancel.call_async(CancelGoal.Request())
        answer = self._caller.result(canceled, f"a response from {self._action}", 20.0)
        if answer.goals_canceling:
            self._caller.sleep(CANCEL_DELAY)
        if not self._options.record:
            return
        status = self._caller.named("episode/status")
        self._caller.wait(lambda: self._monitor.recording is not None, f"{status}; is the recorder running?", 60.0)
        if self._monitor.recording:
            request = StopEpisode.Request(save=True, outcome="unlabelled", score=math.nan)
            request.note = "the evaluation ended during this trial"
            self._caller.call(self._stop, request)

    def _bring_to_start(self, trial: Trial) -> None:
        """Move the arm and reset a simulated scene. If the arm is stopped on its way, clear it and try again."""
        for left in reversed(range(START_ATTEMPTS)):
            self._release_arm(trial)
            self._live_status.show("staging", "the arm is moving to its start; keep clear of it")
            try:
                return self._stage.begin(trial.kitchen, trial.task, trial.seed, simulated=self._simulated)
            except SessionError:
                if not (left and self._monitor.stopped):
                    raise

    def _release_arm(self, trial: Trial) -> None:
        """Have a stopped arm cleared, by a person or with the simulated scene.

        The person may still touch the arm, so it moves only after they confirm.
        """
        if not self._monitor.stopped:
            return
        if self._person is None:
            self._stage.recover(trial.kitchen, trial.task, trial.seed)
        else:
            self._live_status.show("staging", f"the arm is stopped: {self._monitor.why_stopped}; clear it to continue")
        clear = self._caller.named("arm/clear")
        self._caller.wait(lambda: not self._monitor.stopped, f"the arm to be cleared ({clear})", CLEAR_TIMEOUT)
        if self._person is not None:
            self._live_status.show("ready", "the arm is cleared: keep away and confirm; it then moves to its start")
            self._person.confirm("The arm is cleared: keep clear of it, then press Enter.")

    def start_recording(self, trial: Trial) -> None:
        """Start a bag, if trials are recorded."""
        if self._options.record:
            known = {"device": "policy", "policy": trial.policy, "trial": trial.index, "scene": trial.scene}
            request = StartEpisode.Request(task=trial.task, kind="trial", extra_json=json.dumps(known))
            self._caller.call(self._start, request)

    def run_policy(self, trial: Trial) -> RunEnd:
        """Run the policy until it ends or shortly after success; a person may take over."""
        images = self._save_image(trial, "start")
        early = ", or end the trial by judging it" if self._person is not None else ""
        self._live_status.show("running", f"policy {trial.policy} acts; a person may take over at any time{early}")
        if self._person is not None:
            self._person.attend(trial)
        log = self._monitor.log
        log.start()
        self._shown_steps, self._driver_news = 0, ""
        started = time.monotonic()
        try:
            result = self._act(trial)
        finally:
            log.end()
        duration = time.monotonic() - started
        log.stopped = log.stopped or self._monitor.stopped
        if not (result.completed or result.steps or log.stopped):
            raise SessionError(f"the policy server refused the run: {result.message}")
        self._let_person_finish()
        mean_q = float(result.mean_q) if math.isfinite(result.mean_q) else None
        return RunEnd(
            completed=result.completed,
            message=result.message,
            steps=result.steps,
            held_steps=result.held_steps,
            mean_q=mean_q,
            duration=duration,
            q=tuple(log.q),
            human_steps=tuple(log.human_steps),
            pictures=(*images, *self._save_image(trial, "end")),
        )

    def _act(self, trial: Trial) -> RunPolicy.Result:
        caller, options = self._caller, self._options
        goal = RunPolicy.Goal(task=trial.task, max_steps=options.max_steps, action_choice=options.action_choice)
        try:
            handle = caller.result(self._run.send_goal_async(goal), f"{self._action} to accept the goal", 20.0)
            if not handle.accepted:
                raise SessionError("the policy server refused the run")
            ended = handle.get_result_async()
            self._follow(ended, handle)
        except BaseException:  # the run would be unsupervised, even if its acceptance is still on its way
            self._cancel.call_async(CancelGoal.Request())  # cancels every goal
            time.sleep(POLL_PERIOD)  # it must be sent before the process ends
            raise
        return caller.result(ended, f"the end of {self._action}", 20.0).result

    def _follow(self, ended: Future, handle: ClientGoalHandle) -> None:
        """Wait for the end of the run. Cancel it if the task has been successful for AFTER_SUCCESS, if the arm was
        stopped, or if a person judges the trial."""
        log, succeeded_at = self._monitor.log, math.inf
        steps, stepped_at = 0, time.monotonic()
        while not ended.done():
            self._show_takeovers()
            if len(log.q) > steps:
                steps, stepped_at = len(log.q), time.monotonic()
            elif time.monotonic() - stepped_at > STEP_TIMEOUT:
                raise SessionError(
                    f"the policy server has made no step for {STEP_TIMEOUT:.0f} s; restart it and continue"
                )
            if log.stopped or (self._person is not None and self._person.judging):
                handle.cancel_goal_async()
                return
            if self._person is None:
                succeeded, _ = self._stage.outcome()
                succeeded_at = min(succeeded_at, time.monotonic()) if succeeded else math.inf
                if time.monotonic() - succeeded_at >= AFTER_SUCCESS:
                    handle.cancel_goal_async()
                    return
            self._caller.sleep(POLL_PERIOD)

    def _show_takeovers(self) -> None:
        log = self._monitor.log
        while log.changes:
            change = log.changes.popleft()
            self._monitor.announce(change)
            who = change.source or "a person"
            self._driver_news = f"{who} drives" if change.taken else f"{who} handed the arm back"
            self._shown_steps = -1
        if self._shown_steps != (steps := len(log.human_steps)):
            self._shown_steps = steps
            self._live_status.show("running", self._driver_news, takeover_steps=steps, assisted=True)

    def _let_person_finish(self) -> None:
        """If a person drives at the end of the run, wait until they finish; recording continues meanwhile."""
        self._show_takeovers()
        if self._monitor.log.human and self._monitor.log.human_steps:
            released = "the end of the person's driving; release the deadman"
            self._caller.wait(lambda: not self._monitor.log.human, released, DRIVE_TIMEOUT)

    def _save_image(self, trial: Trial, when: str) -> tuple[str, ...]:
        """Save the camera's newest image; returns its path, or nothing without an image."""
        path = image_path(self._options.directory, trial, when)
        return (self._relative(path),) if self._monitor.save_image(path) else ()

    def judge(self, trial: Trial, run: RunEnd) -> Judgment:
        """Judge the trial, now that nothing moves.

        A run that ended by a fault of the setup is invalid. A stopped arm counts as a failure of the policy, which
        caused it.
        """
        stopped = self._monitor.why_stopped if self._monitor.log.stopped else ""
        if self._person is not None:
            note = "" if run.completed else f"A fault ended the run: {run.message}."
            note = f"The arm was stopped: {stopped}." if stopped else note
            self._live_status.show("label", note or "how did it go?", takeover_steps=len(run.human_steps), fault=note)
            return self._person.judge(trial, note)
        self._caller.sleep(SETTLE)
        succeeded, reason = self._stage.outcome()
        if succeeded:
            return Judgment("success", reason)
        if stopped:
            return Judgment("failure", f"the arm was stopped: {stopped}")
        if not run.completed:
            return Judgment("invalid", run.message)
        return Judgment("failure", reason)

    def confirm_last(self, last: Result) -> bool:
        """See `Bench.confirm_last`."""
        assert self._person is not None  # a simulator undoes nothing
        undo = _judged(last)
        self._live_status.show("review", "all trials are done; the last judgment can still be undone", undo=undo)
        return self._person.finish(undo)

    def judge_again(self, result: Result) -> Judgment:
        """See `Bench.judge_again`."""
        assert self._person is not None  # a simulator undoes nothing
        note = f"The previous judgment, {result.outcome}, is replaced once you give another one."
        self._live_status.open_trial(result.trial)
        steps = len(result.human_steps)
        self._live_status.show("label", note, takeover_steps=steps, assisted=bool(steps))
        judgment = self._person.judge_again(result.trial, note)
        if result.bag:
            label = _bag_label(judgment, steps)
            self._caller.call(
                self._label, LabelEpisode.Request(episode_id=Path(result.bag).name, annotator=judgment.judge, **label)
            )
        return judgment

    def stop_recording(self, judgment: Judgment | None) -> str:
        """End the bag with its label (None: unlabelled) and return its folder; empty: not recorded."""
        if not self._options.record:
            return ""
        request = StopEpisode.Request(save=True, **_bag_label(judgment, len(self._monitor.log.human_steps)))
        if self._caller.stop.is_set():  # the session is ending: tell the recorder without waiting for its response
            self._stop.call_async(request)
            time.sleep(POLL_PERIOD)
            return ""
        return self._relative(Path(self._caller.call(self._stop, request).path))

    def _relative(self, path: Path) -> str:
        root = self._options.directory.absolute()
        return str(path.absolute().relative_to(root)) if path.absolute().is_relative_to(root) else str(path)


def _judged(result: Result) -> str:
    return f"trial {result.trial.index + 1}: {result.outcome}"


def _bag_label(judgment: Judgment | None, human_steps: int) -> dict[str, str | float]:
    """The label of a trial's bag. Its note gives the reason and whether a person drove; invalid: unlabelled."""
    judgment = judgment or Judgment("invalid", "")
    helped = f" (a person drove during {human_steps} steps)" if human_steps else ""
    return {
        "outcome": "unlabelled" if judgment.outcome == "invalid" else judgment.outcome,
        "score": math.nan if judgment.score is None else judgment.score,
        "note": f"{judgment.reason}{helped}".strip(),
    }
