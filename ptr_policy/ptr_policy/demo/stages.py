# SPDX-License-Identifier: Apache-2.0
"""The stages of the demonstration as commands that a person could type, and their progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ptr_models.episodes.episode_discovery import episodes_so_far
from ptr_models.episodes.pool import cores
from ptr_models.json_input import read_object
from ptr_models.training.jsonlines import read_lines
from ptr_models.training.runs import latest_checkpoint
from ptr_policy.demo.plan import Plan
from ptr_policy.stages import PTR, Stage, number_in

_IMITATE = ("algorithm.bc_steps=1000000", "algorithm.critic_warmup_steps=0")  # all updates imitate, none trains Q
IMITATION = {"machine": _IMITATE, "human": (*_IMITATE, "algorithm.action_choice=sample_gripper")}
"""Settings of fine-tuning that make it behavior cloning, by the operator's manner, with a suitable decoding: an
operator who waits before closing teaches a mode that never closes."""


def stage_groups(plan: Plan) -> Iterator[tuple[Stage, ...]]:
    """Everything before the report, in order. Stages of a group run in parallel, after the previous group."""
    yield (_pretraining_data(plan),)
    yield (_record(plan),)
    trained = [_finetune(plan, "ptr", "Fine-tuning PTR on them")]
    if plan.baseline:
        trained.append(_finetune(plan, "bc", "Fine-tuning by imitation, to compare", *IMITATION[plan.manner]))
    yield tuple(trained)
    yield (_evaluate(plan, "ptr", "Deploying and evaluating PTR"),)
    if plan.baseline:
        yield (_evaluate(plan, "bc", "Deploying and evaluating imitation"),)
    yield (_evaluate(plan, "pretrained", "The pre-trained one, to compare"),)


def _pretraining_data(plan: Plan) -> Stage:
    """Pre-training data to mix into fine-tuning, as PTR does; it is simulated rather than shipped."""
    command = [*PTR, "sim", "collect", "--out", str(plan.pretraining)]
    command += ["--episodes", str(plan.pretraining_episodes), "--seed", "0", "--jobs", str(cores())]
    command += ["--level", plan.level, "--manner", plan.manner, "--camera", *plan.cameras]
    title = "Simulating pre-training data to mix in"
    return Stage("pretraining_data", title, command, plan.pretraining_episodes, _episodes(plan.pretraining), "bags")


def _record(plan: Plan) -> Stage:
    """The scripted operator drives the arm through teleoperation, and the recorder writes a bag each."""
    command = _launch(
        "collect.launch.xml",
        task=plan.task,
        kitchen=plan.kitchen,
        seed=plan.seed,
        episodes=plan.demonstrations,
        device="scripted",
        level=plan.level,
        manner=plan.manner,
        directory=plan.bags,
        cameras=",".join(plan.cameras),
    )
    title = f"Recording {plan.demonstrations} demonstrations"
    return Stage("record", title, command, plan.demonstrations, _episodes(plan.bags), "demonstrations")


def _finetune(plan: Plan, name: str, title: str, *settings: str) -> Stage:
    """Fine-tune the pre-trained checkpoint, or resume an interrupted run."""
    run = plan.run(name)
    command = [*PTR, "train", "finetune", "--out", str(run), "--threads", "2" if cores() >= 4 else "1"]
    if latest_checkpoint(run) is not None:
        command += ["--resume"]
    else:
        command += ["--checkpoint", str(plan.checkpoint), "--data", str(plan.pretraining), "--target", str(plan.bags)]
        command += ["--seed", str(plan.seed), "--set", "schedule.log_every=20"]
        command += [word for setting in settings for word in ("--set", setting)]
    command += ["--steps", str(plan.finetune_steps)]
    return Stage(f"finetune_{name}", title, command, plan.finetune_steps, _updates(plan, run), "updates")


def _evaluate(plan: Plan, name: str, title: str) -> Stage:
    folder = plan.evaluation(name)
    new_task = {"new_task": plan.task} if name == "pretrained" else {}
    command = _launch(
        "evaluate.launch.xml",
        task=plan.task,
        kitchen=plan.kitchen,
        seed=plan.seed,
        trials=plan.trials,
        level=plan.level,
        checkpoint=plan.checkpoint_of(name),
        policy=name,
        directory=folder,
        cameras=",".join(plan.cameras),
        **new_task,
    )
    return Stage(f"evaluate_{name}", title, command, plan.trials, _trials(folder), "trials")


def _launch(file: str, **arguments: object) -> Sequence[str]:
    """A launch file without a page, with images of the size of the pre-training data, which two cores can render."""
    values = {**arguments, "camera_width": 320, "camera_height": 240, "camera_rate": 30.0, "console": "false"}
    return [*PTR, "launch", "ptr_bringup", file, *(f"{name}:={value}" for name, value in values.items())]


def _episodes(folder: Path) -> Callable[[], int]:
    return lambda: len(episodes_so_far(folder))


def _trials(folder: Path) -> Callable[[], int]:
    def count() -> int:
        path = folder / "summary.json"
        return number_in(read_object(path, finite=False), "judged", path) if path.is_file() else 0

    return count


def _updates(plan: Plan, run: Path) -> Callable[[], int]:
    """Updates of a run since the pre-trained checkpoint."""
    index, metrics = plan.checkpoint / "checkpoint.json", run / "metrics.jsonl"
    first = number_in(read_object(index, finite=False), "step", index)

    def count() -> int:
        lines = read_lines(metrics)
        return max(0, number_in(lines[-1], "step", metrics) - first) if lines else 0

    return count
