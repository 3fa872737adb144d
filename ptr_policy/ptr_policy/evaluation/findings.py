# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation for its report: counts, intervals, comparisons and trials, read from its folder."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptr_models.common.assets import is_external
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import command_text
from ptr_policy.evaluation.checkpoints import Checkpoint, unseal
from ptr_policy.evaluation.comparison import Pairs, holm, mcnemar_exact, newcombe_interval, tango_interval
from ptr_policy.evaluation.power import advise_pair, advise_single
from ptr_policy.evaluation.protocol import FILE, Protocol, read_protocol
from ptr_policy.evaluation.statistics import wilson_interval
from ptr_policy.evaluation.summary import newest
from ptr_policy.evaluation.trials import Result, Trial, TrialFile, TrialsError


@dataclass(frozen=True)
class Evaluation:
    """An evaluation on disk, finished or not.

    Attributes:
        results: the newest result of each finished trial, in the order of the plan.
        planned: all trials.
        hidden: True: names are still letters, because a person must judge the missing trials blind.
        names: by policy; "policy" and the letter while hidden.
    """

    directory: Path
    protocol: Protocol
    results: tuple[Result, ...]
    planned: tuple[Trial, ...]
    hidden: bool
    names: dict[str, Checkpoint]

    @property
    def judged(self) -> tuple[Result, ...]:
        """Trials that are not invalid."""
        return tuple(result for result in self.results if result.outcome != "invalid")

    def of(self, policy: str) -> tuple[Result, ...]:
        """Judged trials of one policy."""
        return tuple(result for result in self.judged if result.trial.policy == policy)


def read_evaluation(directory: Path, disclose: bool = False) -> Evaluation:
    """Read a folder.

    Args:
        disclose: show the names of hidden policies before all trials are done.
    Raises:
        TrialsError: no trials, or files that can't be read.
    """
    file = directory / "trials.jsonl"
    results = TrialFile(file).read() if file.is_file() else []
    if not results:
        raise TrialsError(f"{directory} has no finished trial (trials.jsonl); give the folder of an evaluation")
    protocol = read_protocol(directory) if (directory / FILE).is_file() else _older(results)
    planned = protocol.trials() if (directory / FILE).is_file() else tuple(dict.fromkeys(r.trial for r in results))
    made = newest(planned, results)
    if not made:
        raise TrialsError(f"{directory}: none of the {len(results)} trials in {file.name} is in the plan of {FILE}")
    complete = sum(result.outcome != "invalid" for result in made) == len(planned)
    hidden = protocol.blind and not complete and not disclose
    letters = unseal(directory) if protocol.blind else {}
    names = {
        policy: Checkpoint(f"policy {policy}", "")
        if hidden
        else letters.get(policy) or Checkpoint(policy or "policy", protocol.paths.get(policy, ""))
        for policy in protocol.policies
    }
    return Evaluation(directory, protocol, tuple(made), planned, hidden, names)


def _older(results: Sequence[Result]) -> Protocol:
    """The protocol of a folder from an older version, reconstructed from its trials."""
    first = results[0].trial
    policies = tuple(dict.fromkeys(result.trial.policy for result in results))
    return Protocol(first.task, first.kitchen, policies, len({r.trial for r in results}), seed=0)


def findings(evaluation: Evaluation) -> dict[str, Any]:
    """The content of `report.json`."""
    protocol = evaluation.protocol
    policies = [_policy(evaluation, policy) for policy in protocol.policies]
    return {
        "task": protocol.task,
        "kitchen": protocol.kitchen,
        "scenes": protocol.scenes,
        "seed": protocol.seed,
        "started": protocol.started or evaluation.results[0].started,
        "ended": evaluation.results[-1].started,
        "planned": len(evaluation.planned),
        "judged": len(evaluation.judged),
        "blind": protocol.blind,
        "names_hidden": evaluation.hidden,
        "policies": policies,
        "comparisons": compare([(policy["name"], evaluation.of(policy["policy"])) for policy in policies]),
        "trials": [result.to_dict() for result in evaluation.results],
        "command": command(protocol, evaluation),
        "next": next_steps(evaluation),
        "versions": protocol.versions,
    }


def _policy(evaluation: Evaluation, policy: str) -> dict[str, Any]:
    """Counts of one policy, without and with a person's help."""
    judged, checkpoint = evaluation.of(policy), evaluation.names[policy]
    alone = sum(result.autonomous_success for result in judged)
    return {
        "policy": policy,
        "name": checkpoint.name,
        "checkpoint": checkpoint.path,
        "judged": len(judged),
        "successes": alone,
        "rate": alone / len(judged) if judged else None,
        "wilson_95": list(wilson_interval(alone, len(judged))),
        "assisted": sum(result.assisted for result in judged),
        "assisted_successes": sum(result.outcome == "success" and result.assisted for result in judged),
        "partial": sum(result.outcome == "partial" for result in judged),
        "advice": advise_single(alone, len(judged)),
    }


def compare(policies: Sequence[tuple[str, Sequence[Result]]]) -> list[dict[str, Any]]:
    """Compare each pair of policies: in their common scenes if any, otherwise as separate trials.

    Args:
        policies: name and judged trials of each.
    """
    found = [_pair(*first, *second) for first, second in itertools.combinations(policies, 2)]
    paired = [entry for entry in found if entry["paired"]]
    for entry, p in zip(paired, holm([entry["p"] for entry in paired]), strict=True):
        entry["p_holm"] = p
        entry["advice"] = advise_pair(entry["first"], entry["second"], Pairs(**entry["scenes"]), p)
    return found


def _pair(first: str, mine: Sequence[Result], second: str, other: Sequence[Result]) -> dict[str, Any]:
    a, b = ({_scene(result): result.autonomous_success for result in results} for results in (mine, other))
    common = [(a[scene], b[scene]) for scene in a if scene in b]
    if common or not (mine and other):
        pairs = Pairs.of(common)
        low, high = tango_interval(pairs)
        entry = {"paired": True, "scenes": dataclasses.asdict(pairs), "difference": pairs.difference}
        return {"first": first, "second": second, **entry, "interval_95": [low, high], "p": mcnemar_exact(pairs)}
    counts = [(sum(results.values()), len(results)) for results in (a, b)]
    low, high = newcombe_interval(counts[0], counts[1])
    difference = counts[0][0] / counts[0][1] - counts[1][0] / counts[1][1]
    excludes = "excludes" if low > 0 or high < 0 else "includes"
    advice = f"They were not tried in the same scenes; the interval of the difference {excludes} 0."
    entry = {"paired": False, "difference": difference, "interval_95": [low, high], "advice": advice}
    return {"first": first, "second": second, **entry}


def _scene(result: Result) -> tuple[str, str, int]:
    trial = result.trial
    return trial.task, trial.kitchen, trial.seed


def command(protocol: Protocol, evaluation: Evaluation, out: Path | None = None) -> str:
    """The command that repeats the same trials with a running robot and policy server.

    Args:
        out: folder of the trials; None: a new one next to that of the evaluation.
    """
    words = ["ptr", "evaluate", "--task", protocol.task]
    options: Mapping[str, Any] = {
        "--kitchen": protocol.kitchen,
        "--seed": protocol.seed,
        "--trials": protocol.scenes,
        "--max-steps": protocol.max_steps,
        "--choice": protocol.action_choice,
        "--new-task": protocol.new_task,
    }
    for option, value in options.items():
        if value:
            words += [option, str(value)]
    checkpoints = [evaluation.names[policy] for policy in protocol.policies]
    if protocol.blind:
        checkpoints.sort(key=lambda item: item.name)  # do not reveal the order of the letters
    elif len(checkpoints) > 1:
        words.append("--open")
    elif not checkpoints[0].path and protocol.policies[0]:
        words += ["--policy", protocol.policies[0]]
    for checkpoint in checkpoints:
        if checkpoint.path:
            words += ["--checkpoint", f"{checkpoint.name}={checkpoint.path}"]
    return shlex.join([*words, "--out", str(out or f"{evaluation.directory}_again")])


def next_steps(evaluation: Evaluation) -> list[dict[str, str]]:
    """Suggested next steps after an evaluation, with their commands."""
    steps: list[tuple[Any, ...]] = []
    made = [result for result in evaluation.results if result.bag]
    failed = [result for result in made if result.outcome in ("failure", "partial")]
    if made:
        shown = (failed or made)[0]
        about = f"Look at trial {shown.trial.index + 1} closely, with Q, actions and events:"
        steps.append((about, "view", evaluation.directory / shown.bag))
    paths = [checkpoint.path for checkpoint in evaluation.names.values() if checkpoint.path]
    if made and len(paths) == 1 and not is_external(paths[0]):
        about = "Continue training with these trials as data, including failures (docs/how-to/improve-online.md):"
        bags = (evaluation.directory / made[0].bag).parent
        words = ["--checkpoint", paths[0], "--bags", bags, "--labels", "--target", "…", "--out", "runs/online"]
        steps.append((about, "train", "online", *words))
    if evaluation.results:
        first = evaluation.results[0]
        other = "failure" if first.outcome == "success" else "success"
        about = "Correct a judgment, with its report and the label of its bag:"
        words = [evaluation.directory, "--trial", first.trial.index + 1, "--outcome", other]
        steps.append((about, "evaluate", "judge", *words))
    return [{"about": about, "command": command_text(*words)} for about, *words in steps]


def combined(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Compare the policies of several evaluations.

    Raises:
        PtrError: two of them have the same name.
    """
    policies = [(e.names[name].name, e.of(name)) for e in evaluations for name in e.protocol.policies]
    names = [name for name, _ in policies]
    if len(set(names)) < len(names):
        raise PtrError(f"the policies of these evaluations are called {names}; they need different names")
    return compare(policies)
