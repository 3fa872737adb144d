# SPDX-License-Identifier: Apache-2.0
"""The node `policy_server`: a checkpoint drives the arm at the control rate during the action /run_policy."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from ptr_bringup.ros.node import RunnableNode, keep_answering, run
from ptr_bringup.ros.parameters import declare
from ptr_models.common.errors import PtrError
from ptr_models.episodes.request_text import check_texts
from ptr_msgs.srv import LoadCheckpoint
from ptr_policy.server.run import ServerError

EXPECTED = (PtrError, OSError, ValueError)  # errors whose message is a sentence for the user
LOAD = {"checkpoint": 4096, "new_task": 120}  # maximum length of a request's texts, characters
ON_DRIFT = ("warn", "hold", "end")
Transition = Callable[["PolicyServerNode", LifecycleState], TransitionCallbackReturn]


def logged(transition: Transition) -> Transition:
    """Log the exception of a transition and let it fail; rclpy would swallow the exception."""

    @functools.wraps(transition)
    def attempt(self: PolicyServerNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            self.log_failure(error)
            return TransitionCallbackReturn.FAILURE

    return attempt


class PolicyServerNode(RunnableNode, LifecycleNode):
    """Loads in `configure`, acts in `active`; one run at a time."""

    def __init__(self) -> None:
        super().__init__("policy_server")
        declare(self, "checkpoint", "", "folder of the checkpoint, or KIND:ADDRESS of an external policy")
        declare(self, "wait_for_checkpoint", False, "without a checkpoint: start and wait for /policy_server/load")
        declare(self, "new_task", "", "a task that gets a spare slot, as at the start of fine-tuning")
        declare(
            self, "goal", "", "bag or image file of the desired end, for task_conditioning goal_image", read_only=False
        )
        declare(self, "cameras", ["over_shoulder"], "names of the robot's cameras")
        declare(self, "contract_file", "", "JSON file of the robot's contract; empty: the suite's, with `cameras`")
        declare(self, "latency_file", "", "YAML file of the robot's measured latencies; empty: none")
        declare(self, "device", "cpu", "where the networks compute: auto, cpu, cuda or cuda:NUMBER")
        declare(self, "threads", 1, "threads of inference", (1, 64))
        declare(self, "autostart", True, "configure and activate at start")
        declare(self, "action_choice", "", "mode, sample, sample_gripper, argmax_q, softmax_q; empty: the checkpoint's")
        declare(self, "candidates", 0, "actions that argmax_q and softmax_q choose from; 0: the checkpoint's", (0, 256))
        declare(self, "max_steps", 40, "steps of a run if its goal names none", (1, 100_000))
        declare(self, "max_holds", 0, "holds in a row that end a run as failed; 0: those of 3 s", (0, 1000))
        declare(self, "on_drift", "warn", "when Q has left the range of the demonstrations: warn, hold or end")
        declare(self, "drift_time", 1.0, "s for which Q must be outside it", (0.0, 60.0))
        if self._value("on_drift") not in ON_DRIFT:
            raise ServerError(f"on_drift is {self._value('on_drift')!r}; known: {', '.join(ON_DRIFT)}")
        self._runner: Any = None
        self._status: Any = None
        self._service: Any = None
        self.problem = ""
        self.add_on_set_parameters_callback(self._on_set_parameters)

    # Life cycle

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the checkpoint, compare contracts, warm up, and listen."""
        from ptr_policy.server.control_loop import (  # importing PyTorch takes seconds; signals must be handled before
            PolicyRunner,
            Settings,
        )
        from ptr_policy.server.status import StatusPublisher

        self._release_resources()  # of a failed attempt
        waits = self._value("wait_for_checkpoint") and not self._value("checkpoint")
        loaded = None if waits else self._load(str(self._value("checkpoint")), str(self._value("new_task")))
        settings = Settings(
            choice=str(self._value("action_choice")),
            **{name: self._value(name) for name in ("max_steps", "max_holds", "candidates", "on_drift", "drift_time")},
        )
        self._status = StatusPublisher(self)
        self._runner = PolicyRunner(self, settings, self._report)
        self._service = self.create_service(LoadCheckpoint, "~/load", self._on_load)
        if loaded is not None:
            self._set_checkpoint(loaded)
        self._report()
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Accept runs."""
        self._runner.active = True
        return super().on_activate(state)

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the current run and accept no other."""
        self._runner.active = False
        self._runner.end("the policy server was deactivated", failed=True)
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unload the checkpoint."""
        self._release_resources()
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the arm; a run in progress ends as failed."""
        if self._runner is not None:
            self._runner.active = False
            self._runner.end("the policy server was shut down", failed=True)
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error in a transition: release the arm and return to unconfigured."""
        if self._runner is not None:
            self._runner.end("the policy server failed", failed=True)
        self._release_resources()
        return TransitionCallbackReturn.SUCCESS

    def log_failure(self, error: Exception) -> None:
        """Keep the cause of a failed transition, and log it unless `start` raises it."""
        expected = isinstance(error, EXPECTED)
        self.problem = str(error) if expected else f"{type(error).__name__}: {error}"
        if not expected:
            self.get_logger().error("".join(traceback.format_exception(error)))
        elif not self._value("autostart"):
            self.get_logger().error(self.problem)

    # The process

    def start(self) -> None:
        """Configure and activate, if `autostart` is set.

        Raises:
            ServerError: a transition failed; the message gives the reason.
        """
        if not self._value("autostart"):
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise ServerError(f"the policy server cannot start: {self.problem or 'see the log above'}")

    def close(self) -> None:
        """Release the arm; a run in progress ends as failed, and its caller still gets the result."""
        if self._runner is not None and self._runner.busy:
            self._runner.active = False
            self._runner.end("the policy server is ending", failed=True)
            keep_answering(self)

    # Checkpoints

    def _on_load(self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response) -> LoadCheckpoint.Response:
        try:
            check_texts(request, LOAD)
            if self._runner.busy:
                raise ServerError(f"a run of {self._runner.run.options.task} is in progress; cancel it first")
            self._set_checkpoint(self._load(request.checkpoint, request.new_task))
            response.success, response.message = True, f"{request.checkpoint} is loaded"
        except EXPECTED as error:
            response.success, response.message = False, str(error)
            self.get_logger().error(response.message)
        except Exception as error:  # whatever a damaged file makes a library raise: the old checkpoint stays
            response.success, response.message = False, f"{type(error).__name__}: {error}"
            self.get_logger().error("".join(traceback.format_exception(error)))
        loaded = self._runner.loaded
        response.contract_hash = "" if loaded is None else loaded.contract.hash
        return response

    def _load(self, checkpoint: str, new_task: str) -> Any:
        from ptr_policy.server.loading import LoadRequest, load

        names = ("goal", "contract_file", "latency_file", "device", "threads")
        options = {name: self._value(name) for name in names}
        cameras = tuple(str(name) for name in self._value("cameras"))
        return load(LoadRequest(checkpoint, new_task, cameras=cameras, **options))

    def _on_set_parameters(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Set another goal, or return why not; without a checkpoint it is checked when one is loaded."""
        goals = [str(parameter.value) for parameter in parameters if parameter.name == "goal"]
        loaded = None if self._runner is None else self._runner.loaded
        if not goals or loaded is None:
            return SetParametersResult(successful=True)
        from ptr_models.inference.goal import set_goal

        try:
            if self._runner.busy:
                raise ServerError(f"a run of {self._runner.run.options.task} is in progress; cancel it first")
            set_goal(loaded.policy, loaded.name, goals[-1])
        except EXPECTED as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.get_logger().info(f"the goal is now {goals[-1] or 'none'}")
        self._report(now=True)
        return SetParametersResult(successful=True)

    def _set_checkpoint(self, loaded: Any) -> None:
        self._runner.set_checkpoint(loaded)
        logger = self.get_logger()
        logger.info(f"{loaded.name} is loaded on {loaded.device}, contract {loaded.contract.hash}")
        if loaded.warning:
            logger.warning(loaded.warning)
        self._report()

    def _report(self, now: bool = False) -> None:
        from ptr_policy.server.status import status_of

        self._status.publish(status_of(self._runner.loaded, self._runner.run), now=now)

    def _release_resources(self) -> None:
        """Destroy what `configure` created."""
        for resource in (self._runner, self._status):
            if resource is not None:
                resource.close()
        if self._service is not None:
            self.destroy_service(self._service)
        self._runner = self._status = self._service = None

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run(PolicyServerNode, "policy_server", args)


if __name__ == "__main__":
    sys.exit(main())
