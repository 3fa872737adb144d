# SPDX-License-Identifier: Apache-2.0
"""`ptr policy`: run the policy of a running server once, or give it another checkpoint."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ptr_models.common import arguments
from ptr_models.common.namespaces import add_namespace

START_TIMEOUT, RUN_TIMEOUT = 60.0, 3600.0
"""s to wait for the server, and for the end of a run."""
LOAD_TIMEOUT = 120.0
"""s to wait for a checkpoint to be loaded."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `policy` to `ptr`."""
    policy = subparsers.add_parser("policy", help="run the policy of a running server once, or change its checkpoint")
    policy.set_defaults(run=lambda _: policy.print_help())
    kinds = policy.add_subparsers(title="kinds", metavar="KIND")
    run = kinds.add_parser(
        "run",
        help="run the policy once; Ctrl-C ends it",
        description="Let the policy drive the arm until its steps are done, a fault ends the run, or you press Ctrl-C.",
    )
    about = "task for the policy: its name, or words if it was trained with task_conditioning language"
    arguments.also_by_place(run, "task", type=arguments.task_or_instruction, metavar="TASK", help=about)
    run.add_argument(
        "--max-steps",
        type=arguments.optional_count,
        default=0,
        metavar="N",
        help="control steps (default: the server's)",
    )
    about = "the desired end, for task_conditioning goal_image: a bag or an image file, on the server's machine"
    run.add_argument("--goal", type=arguments.path, metavar="PATH", help=f"{about} (default: the server's)")
    run.add_argument(
        "--choice", type=arguments.way, metavar="NAME", help=f"{arguments.WAYS_TEXT} (default: the server's)"
    )
    add_namespace(run)
    run.set_defaults(run=_run)
    load = kinds.add_parser(
        "load",
        help="load another checkpoint",
        description="Load another checkpoint. Refused during a run, or if the checkpoint does not fit the robot; then "
        "the current one stays.",
    )
    about = "folder of the checkpoint, on the server's machine"
    arguments.also_by_place(load, "checkpoint", type=arguments.path, metavar="CHECKPOINT", help=about)
    load.add_argument("--new-task", type=arguments.any_task, metavar="NAME", help="a task that gets a spare slot")
    add_namespace(load)
    load.set_defaults(run=_load)


def _run(options: argparse.Namespace) -> int:
    from rcl_interfaces.srv import SetParameters
    from rclpy.action import ActionClient

    from ptr_bringup.ros.session import GoalClient, SessionError
    from ptr_msgs.action import RunPolicy

    def work(node: Any, caller: Any) -> int:
        client: ActionClient = GoalClient(node, RunPolicy, "run_policy")
        parameters = node.create_client(SetParameters, "policy_server/set_parameters")
        if options.goal is not None:
            caller.set_parameters(parameters, {"goal": os.path.abspath(options.goal.expanduser())}, START_TIMEOUT)
        name = caller.named("run_policy")
        caller.wait(client.server_is_ready, f"the action {name}; is the policy server running?", START_TIMEOUT)
        goal = RunPolicy.Goal(task=options.task, max_steps=options.max_steps, action_choice=options.choice or "")
        result = caller.act(client, goal, "run_policy", RUN_TIMEOUT)  # canceled if this ends earlier
        if result is None:
            raise SessionError("the policy server refused the run")
        held = f", {result.held_steps} of {result.steps} steps held, mean Q {result.mean_q:.2f}" if result.steps else ""
        print(f"{result.message}{held}")
        return 0 if result.completed else 1

    return _session(work, options.namespace)


def _load(options: argparse.Namespace) -> int:
    from ptr_msgs.srv import LoadCheckpoint

    def work(node: Any, caller: Any) -> int:
        client = node.create_client(LoadCheckpoint, "policy_server/load")
        path = os.path.abspath(options.checkpoint)  # links stay as they are
        request = LoadCheckpoint.Request(checkpoint=path, new_task=options.new_task or "")
        answer = caller.call(client, request, LOAD_TIMEOUT)
        print(f"{answer.message}, contract {answer.contract_hash}")
        return 0

    return _session(work, options.namespace)


def _session(work: Any, namespace: str) -> int:
    from rclpy.node import Node

    from ptr_bringup.ros.session import run_session

    return run_session(lambda: Node("policy_caller", namespace=namespace or None), work, "policy", args=[], expected=())
