# SPDX-License-Identifier: Apache-2.0
"""The node `policy_server`: a checkpoint drives the arm at control rate while the action /run_policy runs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Twist
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.task import Future
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage

from ptr_models.contract import Contract
from ptr_models.episodes.sampling import ArmSample, LatestBuffer, Observation, arm_sample, assemble
from ptr_models.errors import PtrError
from ptr_msgs.action import RunPolicy
from ptr_msgs.msg import ArmCommand, ArmState, EpisodeStatus, PolicyStep
from ptr_policy.ros import LATCHED, declare, run
from ptr_policy.server.core import Policy, Run, RunOptions, ServerError, Step, rehearse


class PolicyServerNode(LifecycleNode):
    """Loads in `configure`, acts in `active`; one run at a time."""

    def __init__(self) -> None:
        super().__init__("policy_server")
        declare(self, "checkpoint", "", "folder of the checkpoint")
        declare(self, "contract_file", "", "JSON file of the robot's contract; empty: the suite's")
        declare(self, "autostart", True, "configure and activate at start")
        declare(self, "action_choice", "", "how: mode, sample, argmax_q or softmax_q; empty: the checkpoint's")
        declare(self, "candidates", 0, "actions that argmax_q and softmax_q choose from; 0: the checkpoint's", (0, 256))
        declare(self, "max_steps", 40, "steps of a run whose goal names none", (1, 100_000))
        declare(self, "max_holds", 15, "holds in a row that end a run as failed", (1, 1000))
        declare(self, "new_task", "", "a task that gets a spare slot, where fine-tuning would begin")
        declare(self, "threads", 1, "threads of inference", (1, 64))
        self._policy: Policy | None = None
        self._run: Run | None = None
        self._goal: ServerGoalHandle | None = None
        self._finished: Future | None = None
        self._episode_id = ""
        self._images: dict[str, LatestBuffer[bytes]] = {}
        self._arm: LatestBuffer[ArmSample] = LatestBuffer()
        self._gripper_commanded = 1.0
        self.problem = ""

    # Life cycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the checkpoint, compare contracts, warm up, and listen."""
        from ptr_policy.server.loading import (
            load_policy,  # PyTorch takes seconds, in which signals must count
        )

        try:
            self._policy = load_policy(
                self._text("checkpoint"),
                self._text("contract_file"),
                threads=int(self._value("threads")),
                new_task=self._text("new_task"),
            )
        except (PtrError, OSError, ValueError) as error:  # rclpy would swallow them
            self.problem = str(error)
            if not self._value("autostart"):
                self.get_logger().error(self.problem)
            return TransitionCallbackReturn.FAILURE
        self._listen(self._policy.contract)
        self._commands = self.create_publisher(ArmCommand, "/policy/command", QoSProfile(depth=10))
        self._steps = self.create_publisher(PolicyStep, "/policy/step", QoSProfile(depth=10))
        self.get_logger().info(f"{self._text('checkpoint')} is loaded, contract {self._policy.contract.hash}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Offer the action and start the clock."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        if self.get_parameter("use_sim_time").value:
            clock = self.get_clock()
        self._timer = self.create_timer(self._policy.contract.period, self._on_tick, clock=clock)
        self._server = ActionServer(
            self, RunPolicy, "/run_policy", self._execute, cancel_callback=lambda goal: CancelResponse.ACCEPT
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End a run, take the action back."""
        self._end_run("the policy server was deactivated", failed=True)
        self._server.destroy()
        self.destroy_timer(self._timer)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the checkpoint."""
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self.destroy_publisher(self._commands)
        self.destroy_publisher(self._steps)
        self._policy = None
        return TransitionCallbackReturn.SUCCESS

    def autostart(self) -> None:
        """Configure and activate.

        Raises:
            ServerError: with the reason, when that fails.
        """
        for transition in (self.trigger_configure, self.trigger_activate):
            succeeded = transition() == TransitionCallbackReturn.SUCCESS
            if not self.context.ok():  # a signal came meanwhile
                raise ExternalShutdownException
            if not succeeded:
                raise ServerError(f"the policy server cannot start: {self.problem or 'see above'}")

    # Streams

    def _listen(self, contract: Contract) -> None:
        self._images = {camera.name: LatestBuffer() for camera in contract.cameras}
        self._arm.clear()
        sensor = qos_profile_sensor_data
        self._subscriptions_made = [
            self.create_subscription(CompressedImage, topic, functools.partial(self._on_image, name), sensor)
            for name, topic in ((name, f"/camera/{name}/image/compressed") for name in self._images)
        ]
        self._subscriptions_made += [
            self.create_subscription(ArmState, "/arm/state", self._on_state, sensor),
            self.create_subscription(EpisodeStatus, "/episode/status", self._on_episode, LATCHED),
        ]

    def _on_image(self, name: str, message: CompressedImage) -> None:
        self._images[name].append(_nanoseconds(message.header.stamp), bytes(message.data))

    def _on_state(self, message: ArmState) -> None:
        self._arm.append(_nanoseconds(message.header.stamp), arm_sample(message))
        self._gripper_commanded = message.gripper_commanded

    def _on_episode(self, message: EpisodeStatus) -> None:
        self._episode_id = message.episode_id if message.state == EpisodeStatus.RECORDING else ""

    # A run

    async def _execute(self, goal: ServerGoalHandle) -> RunPolicy.Result:
        """One run: refused at once, or ended by its steps, a fault, or the caller."""
        try:
            self._run = self._new_run(goal.request)
        except PtrError as error:
            self.get_logger().error(str(error))
            goal.abort()
            return RunPolicy.Result(completed=False, message=str(error), mean_q=float("nan"))
        self._goal, self._finished = goal, Future(executor=self.executor)
        self._timer.reset()
        self.get_logger().info(f"{self._run.options.task}: at most {self._run.options.max_steps} steps")
        finished: Run = await self._finished
        if finished.failed:
            goal.abort()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.succeed()
        self.get_logger().info(f"{finished.options.task}: {finished.ended}")
        return RunPolicy.Result(
            completed=not finished.failed,
            message=finished.ended,
            steps=finished.steps,
            held_steps=finished.held_steps,
            mean_q=finished.mean_q,
        )

    def _new_run(self, request: RunPolicy.Goal) -> Run:
        if self._run is not None:
            raise ServerError(f"a run of {self._run.options.task} is going on; cancel it first")
        options = RunOptions(
            task=request.task,
            choice=request.action_choice or self._text("action_choice"),
            max_steps=int(request.max_steps or self._value("max_steps")),
            max_holds=int(self._value("max_holds")),
            candidates=int(self._value("candidates")),
        )
        rehearse(self._policy, options)
        return Run(self._policy, options)

    def _on_tick(self) -> None:
        if self._run is None:
            return
        if self._goal.is_cancel_requested:
            self._end_run("cancelled by the caller")
            return
        began = self.get_clock().now()
        step = self._run.step(lambda: self._observe(began))
        if not step.held:
            self._commands.publish(self._command(step.decision.action))
        self._steps.publish(self._step_message(step, began))
        feedback = RunPolicy.Feedback(step=step.index, held=step.held)
        feedback.q = float("nan") if step.decision is None else float(step.decision.q)
        self._goal.publish_feedback(feedback)
        if self._run.ended:
            self._end_run(self._run.ended)

    def _observe(self, now: Time) -> Observation:
        return assemble(self._policy.contract, self._images, self._arm, now.nanoseconds)

    def _end_run(self, reason: str, failed: bool = False) -> None:
        """Give the arm back and wake the action up."""
        if self._run is None:
            return
        finished, self._run = self._run, None
        finished.ended, finished.failed = reason, finished.failed or failed
        self._commands.publish(self._command(None))
        self._finished.set_result(finished)

    # Messages

    def _command(self, action: np.ndarray | None) -> ArmCommand:
        """The command of an action (7,), or, without one, the release of the arm."""
        command = ArmCommand(source="policy", deadman=action is not None, gripper=self._gripper_commanded)
        command.header.stamp = self.get_clock().now().to_msg()
        command.header.frame_id = self._policy.contract.frame
        period = self._policy.contract.period
        command.horizon.sec, command.horizon.nanosec = divmod(round(period * 1e9), 10**9)
        if action is not None:
            command.twist = _twist(np.asarray(action[:6], dtype=float) / period)
            command.gripper = float(np.clip(action[6], 0.0, 1.0))
        return command

    def _step_message(self, step: Step, began: Time) -> PolicyStep:
        message = PolicyStep(episode_id=self._episode_id, task=self._run.options.task, step=step.index)
        message.header.stamp = began.to_msg()
        message.header.frame_id = self._policy.contract.frame
        message.held, message.reason = step.held, step.reason
        if step.decision is not None:
            decision = step.decision
            message.action = np.asarray(decision.action, dtype=np.float32)
            message.q, message.q_spread = float(decision.q), float(decision.q_spread)
            message.q_mode, message.inference_time = float(decision.q_mode), float(decision.inference_time)
        image, arm = self._newest_stamps(step)
        if image is not None:
            message.image_stamp = Time(nanoseconds=image).to_msg()
        message.image_age, message.state_age = _age(image, began), _age(arm, began)
        return message

    def _newest_stamps(self, step: Step) -> tuple[int | None, int | None]:
        """Stamps (ns) of what was used, or, where nothing was, of the newest there is."""
        if step.observation is not None:
            return step.observation.image_stamps[0], step.observation.state_stamp
        late = np.iinfo(np.int64).max
        found = [stream.as_of(late) for stream in (next(iter(self._images.values())), self._arm)]
        image, arm = (None if sample is None else sample[0] for sample in found)
        return image, arm

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _text(self, name: str) -> str:
        return str(self._value(name))


def _nanoseconds(stamp: Any) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def _age(stamp: int | None, now: Time) -> float:
    """Age in s of a stamp in ns; infinite for what was not there."""
    return float("inf") if stamp is None else (now.nanoseconds - stamp) * 1e-9


def _twist(values: np.ndarray) -> Twist:
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.linear.z = (float(value) for value in values[:3])
    twist.angular.x, twist.angular.y, twist.angular.z = (float(value) for value in values[3:])
    return twist


def _work(node: PolicyServerNode) -> None:
    if node.get_parameter("autostart").value:
        node.autostart()
    # Wakes the executor after a signal even when simulated time has stopped and no message comes.
    node.create_timer(1.0, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
    rclpy.spin(node)


def main(args: Sequence[str] | None = None) -> None:
    """Run the node."""
    run(PolicyServerNode, _work, "policy_server", args)


if __name__ == "__main__":
    main()
