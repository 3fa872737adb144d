# SPDX-License-Identifier: Apache-2.0
"""The bench of a running robot: stage, recorder, policy server and judge, over ROS."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from rclpy.action import ActionClient
from rclpy.node import Node

from ptr_bringup.session import Caller, SessionEndedError, SessionError, Stage
from ptr_msgs.action import RunPolicy
from ptr_msgs.srv import StartEpisode, StopEpisode
from ptr_policy.evaluation.person import Person
from ptr_policy.evaluation.runner import Judgement, RunEnd
from ptr_policy.evaluation.trials import Trial

LOOK = 0.2  # s between two looks at the outcome
AFTER_SUCCESS = 1.0  # s that the policy goes on after the task has succeeded
SETTLE = 0.7  # s until everything lies still, and the picture is of the new scene


class RobotBench:
    """See `ptr_policy.evaluation.runner.Bench`.

    Args:
        node: of the session, spun by another thread.
        directory: of the evaluation; bags are named relative to it where they lie below it.
        record: False: no bags.
        max_steps: of a run; 0: the policy server's.
        action_choice: empty: the policy server's.
        simulator_timeout: s to wait for a simulator; without one a person lays out and judges.
    """

    def __init__(
        self,
        node: Node,
        caller: Caller,
        directory: Path,
        record: bool = True,
        max_steps: int = 0,
        action_choice: str = "",
        simulator_timeout: float = 20.0,
    ) -> None:
        self._caller, self._directory, self._record = caller, directory, record
        self._max_steps, self._action_choice = max_steps, action_choice
        self._stage = Stage(caller)
        self._run = ActionClient(node, RunPolicy, "/run_policy")
        self._start = node.create_client(StartEpisode, "/recorder/start")
        self._stop = node.create_client(StopEpisode, "/recorder/stop")
        self._person = None if self._stage.simulated(simulator_timeout) else Person()

    def stage(self, trial: Trial) -> None:
        """Lay out the scene and bring the arm to its start."""
        ready = self._run.server_is_ready
        self._caller.wait(ready, "the action /run_policy; is the policy server active?", 60.0)
        self._stage.begin(trial.kitchen, trial.task, trial.seed, simulated=self._person is None)
        if self._person is not None:
            self._person.lay_out(trial)
        self._caller.sleep(SETTLE)

    def start_recording(self, trial: Trial) -> None:
        """Begin a bag, if trials are recorded."""
        if self._record:
            extra = json.dumps({"device": "policy", "policy": trial.policy, "trial": trial.index})
            request = StartEpisode.Request(task=trial.task, kind="trial", extra_json=extra)
            self._caller.call(self._start, request)

    def run_policy(self, trial: Trial) -> RunEnd:
        """Let the policy act until it ends, or a moment after the task has succeeded."""
        caller = self._caller
        goal = RunPolicy.Goal(task=trial.task, max_steps=self._max_steps, action_choice=self._action_choice)
        handle = caller.result(self._run.send_goal_async(goal), "the acceptance by /run_policy", 20.0)
        if not handle.accepted:
            raise SessionError("the policy server refused the run")
        began, ended = time.monotonic(), handle.get_result_async()
        try:
            self._watch(ended, handle)
        except SessionEndedError:
            handle.cancel_goal_async()
            time.sleep(LOOK)  # the cancellation has to leave before the process ends
            raise
        result = caller.result(ended, "the end of /run_policy", 20.0).result
        mean_q = float(result.mean_q) if math.isfinite(result.mean_q) else None
        if not result.completed and result.steps == 0:
            raise SessionError(f"the policy server refused the run: {result.message}")
        duration = time.monotonic() - began
        return RunEnd(result.completed, result.message, result.steps, result.held_steps, mean_q, duration)

    def _watch(self, ended, handle) -> None:  # noqa: ANN001 (rclpy names no public types for these)
        """Return when the run has ended, after cancelling it when the task has succeeded for long enough."""
        succeeded_at = math.inf
        while not ended.done():
            if self._person is None:
                succeeded, _ = self._stage.outcome()
                succeeded_at = min(succeeded_at, time.monotonic()) if succeeded else math.inf
                if time.monotonic() - succeeded_at >= AFTER_SUCCESS:
                    handle.cancel_goal_async()
                    return
            self._caller.sleep(LOOK)

    def judge(self, trial: Trial, run: RunEnd) -> Judgement:
        """Success or failure, now that nothing moves any more."""
        if self._person is not None:
            return self._person.judge(trial)
        self._caller.sleep(SETTLE)
        succeeded, reason = self._stage.outcome()
        if succeeded:
            return Judgement("success", reason)
        if not run.completed:
            return Judgement("invalid", run.message)
        return Judgement("failure", reason)

    def stop_recording(self, judgement: Judgement | None) -> str:
        """End the bag with its label (none: unlabelled) and return its folder; empty: not recorded."""
        if not self._record:
            return ""
        outcome = "unlabelled" if judgement is None or judgement.outcome == "invalid" else judgement.outcome
        score = judgement.score if judgement and judgement.score is not None else math.nan
        note = judgement.reason if judgement else ""
        request = StopEpisode.Request(save=True, outcome=outcome, score=score, note=note)
        if self._caller.stop.is_set():  # the session is ending: tell the recorder, and do not wait for it
            self._stop.call_async(request)
            time.sleep(LOOK)
            return ""
        path = Path(self._caller.call(self._stop, request).path)
        root = self._directory.absolute()
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
