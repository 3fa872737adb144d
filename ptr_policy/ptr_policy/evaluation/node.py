# SPDX-License-Identifier: Apache-2.0
"""The node `evaluator`: runs the trials of a plan with the running policy server, then ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter

from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.session import Caller, SessionError, run_session
from ptr_bringup.sim_ros.stage import Stage
from ptr_models.common.output_folder import locked
from ptr_models.json_input import read_object
from ptr_models.provenance import installed_versions
from ptr_policy.evaluation.bench import BenchOptions, RobotBench
from ptr_policy.evaluation.checkpoints import aliases, parse_checkpoints, seal
from ptr_policy.evaluation.human_judge import HumanJudge, open_terminal
from ptr_policy.evaluation.live_status import LiveStatus
from ptr_policy.evaluation.protocol import Protocol
from ptr_policy.evaluation.references import References
from ptr_policy.evaluation.report import write_report
from ptr_policy.evaluation.runner import evaluate
from ptr_policy.evaluation.summary import newest, summarise, warning_of_held_steps
from ptr_policy.evaluation.trial_monitor import TrialMonitor
from ptr_policy.evaluation.trials import Result, Trial, TrialFile, TrialsError

JUDGES = ("auto", "simulator", "person")


class EvaluatorNode(Node):
    """Holds the parameters of an evaluation and publishes its status."""

    def __init__(self, overrides: Mapping[str, Any] | None = None, namespace: str = "") -> None:
        """Args: overrides: values of parameters, by name.   namespace: of the robot; empty: none."""
        values = [Parameter(name, value=value) for name, value in (overrides or {}).items()]
        super().__init__("evaluator", namespace=namespace or None, parameter_overrides=values)
        declare(self, "task", "", "task of the trials")
        declare(self, "kitchen", "", "kitchen of the simulated scenes; empty: the current one")
        declare(self, "checkpoint", "", "folder to evaluate, or several: NAME=FOLDER,...; empty: the server's own")
        declare(self, "policy", "", "name of a single policy, for the report")
        declare(self, "open", False, "show the names of several checkpoints while trials are judged")
        declare(self, "trials", 10, "trials to run with each policy", (1, 10_000))
        declare(self, "seed", 0, "seed of scenes, starts and order", (0, 2**31 - 1))
        declare(self, "directory", "", "folder of trials.jsonl, summary.json and the report")
        declare(self, "record", True, "one bag per trial, by the node `recorder`")
        declare(self, "max_steps", 0, "control steps of a trial; 0: the policy server's", (0, 100_000))
        declare(self, "action_choice", "", "how actions are chosen; empty: the policy server's")
        declare(self, "new_task", "", "a task that gets a spare slot in each checkpoint that lacks it")
        declare(self, "goal", "", "bag or image file of the goal; empty: the policy server's")
        declare(self, "judge", "auto", "simulator, person, or auto: the simulator if there is one")
        declare(self, "reference", "", "folder of demonstrations whose first images are the scenes to set up")
        declare(self, "camera", "over_shoulder", "camera whose images are kept; empty: none")
        declare(self, "simulator_timeout", 20.0, "s to wait for a simulator before asking a person", (0.0, 600.0))
        camera = str(self.value("camera"))
        self.live_status, self.monitor = LiveStatus(self, camera), TrialMonitor(self, camera)

    def value(self, name: str) -> Any:
        """Value of a parameter."""
        return self.get_parameter(name).value


Show = Callable[[Result, Sequence[Trial]], object]


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        policies: names, or letters in a blind evaluation.
        blind: names are hidden.
        folders: checkpoint of each policy, as the policy server gets it; empty: the server has one.
        known: the folders that are not hidden.
    """

    policies: tuple[str, ...]
    blind: bool
    folders: dict[str, str]
    known: dict[str, str]


def log_trials(node: EvaluatorNode, caller: Caller) -> int:
    """Run the trials and log each; exit code 0."""
    logger = node.get_logger()
    run_trials(node, caller, lambda result, planned: logger.info(describe(result, len(planned))))
    for line in conclude(directory_of(node)):
        logger.info(line)
    return 0


def directory_of(node: EvaluatorNode) -> Path:
    """The folder of the evaluation."""
    for name in ("task", "directory"):
        if not node.value(name):
            raise TrialsError(f"parameter `{name}` is empty; set it")
    return Path(str(node.value("directory")))


def run_trials(node: EvaluatorNode, caller: Caller, show: Show) -> dict[str, Any]:
    """Run the trials given by the node's parameters, show each, write the report, and return the summary."""
    directory = directory_of(node)
    with locked(directory), subject_of(node, directory) as subject:
        protocol = protocol_of(node, subject).save(directory)
        planned = protocol.trials()
        file = TrialFile(directory / "trials.jsonl")
        node.live_status.blind = subject.blind
        node.live_status.expect(len(planned), protocol.scenes)
        node.live_status.announce(summarise(planned, file.read()))

        def report(result: Result) -> None:
            show(result, planned)
            node.live_status.announce(summarise(planned, file.read()))

        summary = evaluate(make_bench(node, caller, directory, subject, planned), planned, directory, report)
    write_report(directory)
    if warning := warning_of_held_steps(newest(planned, file.read())):
        node.get_logger().warning(warning)
    node.live_status.show("done", "all trials are done")
    return summary


def goal_of(node: EvaluatorNode) -> str:
    """Absolute path of the goal image, for a policy server with another working folder; empty: none."""
    goal = str(node.value("goal"))
    return os.path.abspath(os.path.expanduser(goal)) if goal else ""


@contextlib.contextmanager
def subject_of(node: EvaluatorNode, directory: Path) -> Iterator[Subject]:
    """What is evaluated; several checkpoints get letters, unless `open` is set."""
    text = str(node.value("checkpoint"))
    if not text.strip():
        yield Subject((str(node.value("policy")),), False, {}, {})
        return
    checkpoints = parse_checkpoints(text, str(node.value("policy")) or "policy")
    if len(checkpoints) == 1 or node.value("open"):
        folders = {checkpoint.name: checkpoint.path for checkpoint in checkpoints}
        yield Subject(tuple(folders), False, folders, folders)
        return
    with aliases(seal(directory, checkpoints)) as links:
        yield Subject(tuple(links), True, links, {})


def protocol_of(node: EvaluatorNode, subject: Subject) -> Protocol:
    """The protocol stored next to the trials."""
    return Protocol(
        task=node.value("task"),
        kitchen=node.value("kitchen"),
        policies=subject.policies,
        scenes=node.value("trials"),
        seed=node.value("seed"),
        blind=subject.blind,
        paths=subject.known,
        max_steps=node.value("max_steps"),
        action_choice=node.value("action_choice"),
        new_task=node.value("new_task"),
        goal=goal_of(node),
        started=datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
        versions=installed_versions(),
    )


def make_bench(
    node: EvaluatorNode, caller: Caller, directory: Path, subject: Subject, planned: Sequence[Trial]
) -> RobotBench:
    """The bench, with a person as judge if requested or if there is no simulator."""
    judge = str(node.value("judge"))
    if judge not in JUDGES:
        raise TrialsError(f"parameter `judge` is {judge!r}; known: {', '.join(JUDGES)}")
    stage = Stage(caller)
    options = BenchOptions(
        directory,
        record=node.value("record"),
        max_steps=node.value("max_steps"),
        action_choice=node.value("action_choice"),
        checkpoints=subject.folders,
        new_task=node.value("new_task"),
        goal=goal_of(node),
    )
    simulated = stage.simulated(node.value("simulator_timeout"))
    if judge == "simulator" and not simulated:
        raise SessionError("no simulator is running that could judge; start it, or let a person judge")
    person = None
    if judge == "person" or not simulated:
        person = HumanJudge(node.live_status, open_terminal(), caller.sleep)
        node.get_logger().info("confirm each scene and judge each trial on the operator's page or at the terminal")
    demonstrations = str(node.value("reference"))
    folder = Path(demonstrations) if demonstrations else None
    references = References(directory, planned, folder, str(node.value("camera")))
    return RobotBench(node, caller, options, stage, simulated, node.live_status, node.monitor, references, person)


def describe(result: Result, planned: int) -> str:
    """A trial in one line."""
    q = "" if result.mean_q is None else f", mean Q {result.mean_q:.2f}"
    assisted = f", a person drove during {len(result.human_steps)} of them" if result.assisted else ""
    trial = result.trial
    return f"trial {trial.index + 1}/{planned}: {result.outcome} in {result.steps} steps{assisted}{q}. {result.reason}"


def conclude(directory: Path) -> list[str]:
    """One line per policy and per comparison, and the report's path; read from the written report."""
    report = read_object(directory / "report.json", finite=False)
    lines = []
    for policy in report["policies"]:
        low, high = policy["wilson_95"]
        lines.append(
            f"{policy['name']}: {policy['successes']} of {policy['judged']} trials succeeded (95 % Wilson interval "
            f"{low:.2f} to {high:.2f})"
        )
    lines += [comparison["advice"] for comparison in report["comparisons"]]
    return [*lines, f"report: {directory / 'report.html'}"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until its trials are done."""
    return run_session(EvaluatorNode, log_trials, "evaluator", args)


if __name__ == "__main__":
    sys.exit(main())
