# SPDX-License-Identifier: Apache-2.0
"""The node `evaluator`: makes the trials of a plan with the running policy server, then ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from ptr_bringup.session import Caller, SessionError, run_session
from ptr_models.errors import PtrError
from ptr_policy.evaluation.bench import RobotBench
from ptr_policy.evaluation.runner import evaluate
from ptr_policy.evaluation.trials import Result, Trial, TrialFile, TrialsError, plan_trials, summarise
from ptr_policy.ros import declare


class EvaluatorNode(Node):
    """Holds the parameters of an evaluation, and says how it goes."""

    def __init__(self, overrides: Mapping[str, Any] | None = None) -> None:
        """Args: overrides: values of parameters, by name."""
        values = [Parameter(name, value=value) for name, value in (overrides or {}).items()]
        super().__init__("evaluator", parameter_overrides=values)
        declare(self, "task", "", "task of the trials")
        declare(self, "kitchen", "", "kitchen of the simulated scenes; empty: the present one")
        declare(self, "policy", "", "name of the policy under test, as it stands in the report")
        declare(self, "trials", 10, "trials to make", (1, 10_000))
        declare(self, "seed", 0, "of scenes and starts", (0, 2**31 - 1))
        declare(self, "directory", "", "folder of trials.jsonl and summary.json")
        declare(self, "record", True, "one bag per trial, by the node `recorder`")
        declare(self, "max_steps", 0, "control steps of a trial; 0: the policy server's", (0, 100_000))
        declare(self, "action_choice", "", "how actions are chosen; empty: the policy server's")
        declare(self, "simulator_timeout", 20.0, "s to wait for a simulator, then ask a person", (0.0, 600.0))

        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._summary = self.create_publisher(String, "/evaluation/summary", latched)

    def value(self, name: str) -> Any:
        """Value of a parameter."""
        return self.get_parameter(name).value

    def announce(self, summary: Mapping[str, Any]) -> None:
        """Publish the summary so far, as `summary.json` has it, for who watches."""
        self._summary.publish(String(data=json.dumps(summary)))


Show = Callable[[Result, Sequence[Trial]], None]


def log_trials(node: EvaluatorNode, caller: Caller) -> int:
    """Make the trials and log each; exit code 0."""
    logger = node.get_logger()
    summary = run_trials(node, caller, lambda result, planned: logger.info(describe(result, len(planned))))
    logger.info(conclude(summary))
    return 0


def run_trials(node: EvaluatorNode, caller: Caller, show: Show) -> dict[str, Any]:
    """Make the trials that the node's parameters describe, show each, and return the summary."""
    directory = Path(str(node.value("directory")))
    for name in ("task", "directory"):
        if not node.value(name):
            raise TrialsError(f"parameter `{name}` is empty; give it")
    planned = plan_trials(*(node.value(name) for name in ("task", "kitchen", "policy", "trials", "seed")))
    file = TrialFile(directory / "trials.jsonl")
    node.announce(summarise(planned, file.read()))

    def report(result: Result) -> None:
        show(result, planned)
        node.announce(summarise(planned, file.read()))

    bench = RobotBench(
        node,
        caller,
        directory,
        record=node.value("record"),
        max_steps=node.value("max_steps"),
        action_choice=node.value("action_choice"),
        simulator_timeout=node.value("simulator_timeout"),
    )
    return evaluate(bench, planned, directory, report)


def describe(result: Result, planned: int) -> str:
    """One line on a trial."""
    q = "" if result.mean_q is None else f", mean Q {result.mean_q:.2f}"
    trial = result.trial
    return f"trial {trial.index + 1}/{planned}: {result.outcome} in {result.steps} steps{q}. {result.reason}"


def conclude(summary: dict[str, Any]) -> str:
    """One line on all trials."""
    low, high = summary["wilson_95"]
    return (
        f"{summary['successes']} of {summary['judged']} trials succeeded (95 % Wilson interval "
        f"{low:.2f} to {high:.2f})"
    )


def main(args: Sequence[str] | None = None) -> None:
    """Run the node until its trials are made."""
    expected = (PtrError, SessionError, ParameterException, OSError, ValueError)
    run_session(EvaluatorNode, log_trials, "evaluator", args, expected)


if __name__ == "__main__":
    main()
