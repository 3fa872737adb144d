# SPDX-License-Identifier: Apache-2.0
"""`ptr demo`: record, fine-tune, deploy, evaluate and report, in simulation."""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import signal
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm

from ptr_models.errors import PtrError
from ptr_models.files import write_atomically
from ptr_models.json_input import read_object
from ptr_models.plain_text import for_markup, plain
from ptr_policy.demo.plan import Plan

DESCRIPTION = """\
The whole path once, in simulation, with the programs that run on the real arm: ten demonstrations of a task in a
kitchen that pre-training never saw are recorded over ROS 2, the shipped checkpoint is fine-tuned on them, the policy
server deploys the result, the evaluator makes ten recorded trials, and a report says how it went."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `demo` to `ptr`."""
    parser = subparsers.add_parser(
        "demo", help="record, fine-tune, deploy, evaluate and report, in simulation", description=DESCRIPTION
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("runs/demo"), help="folder of the run (default: runs/demo)")
    add("--seed", type=int, default=0, help="of scenes, starts and fine-tuning (default: 0)")
    add("--task", default="put_sweet_potato_on_plate", help="see `ptr sim tasks`")
    add("--kitchen", default="toykitchen_target1", help="see `ptr sim tasks`")
    add("--demonstrations", type=int, default=10, help="to record (default: 10)")
    add("--trials", type=int, default=10, help="to make with each checkpoint (default: 10)")
    add("--steps", type=int, default=500, help="updates of fine-tuning (default: 500)")
    add("--checkpoint", type=Path, help="pre-trained checkpoint (default: the shipped one)")
    add("--pretraining", type=Path, default=Path("data/mix"), help="pre-training bags to mix in (default: data/mix)")
    add("--pretraining-episodes", type=int, default=408, help="how many (default: 408, one per kitchen and task)")
    add("--fresh", action="store_true", help="remove an earlier run in --out instead of continuing it; asks first")
    add("--yes", action="store_true", help="with --fresh: remove it without asking")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ptr_models.training.runs import resolve_checkpoint
    from ptr_policy.demo.report import write_report
    from ptr_policy.demo.runner import run_all

    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    plan = Plan(
        out=options.out.resolve(),
        seed=options.seed,
        task=options.task,
        kitchen=options.kitchen,
        demonstrations=options.demonstrations,
        trials=options.trials,
        checkpoint=resolve_checkpoint(options.checkpoint or _shipped()).resolve(),
        pretraining=options.pretraining.resolve(),
        pretraining_episodes=options.pretraining_episodes,
        finetune_steps=options.steps,
    )
    console = Console()
    if options.fresh and holds_run(plan.out) and not (options.yes or confirmed(plan.out, console)):
        console.print("nothing was removed; without --fresh the run is continued")
        return 2
    if moved := prepare(plan, options.fresh):
        console.print(f"the earlier run of another plan is now in {for_markup(moved)}")
    task, kitchen = for_markup(plan.task.replace("_", " ")), for_markup(plan.kitchen)
    console.print(f"[bold]{task}[/bold] in {kitchen}, seed {plan.seed}")
    try:
        times = run_all(plan, console)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where it was")
        return 130
    report = write_report(plan, times)
    _conclude(report, plan, console)
    return 0


def _shipped() -> Path:
    from ptr_models.assets import checkpoint_path

    return checkpoint_path("ptr_small")


def holds_run(folder: Path) -> bool:
    """True when a folder holds a run of this command; False when it is missing or empty.

    Raises:
        PtrError: it holds something else, or is a file: this command touches neither.
    """
    if folder.is_dir() and not folder.is_symlink():
        if (folder / "plan.json").is_file():
            return True
        if not any(folder.iterdir()):
            return False
    elif not folder.exists():
        return False
    raise PtrError(f"{folder} is not a run of `ptr demo` (no plan.json), so it is left alone; choose another --out")


def confirmed(folder: Path, console: Console) -> bool:
    """Ask the user whether to remove a run.

    Raises:
        PtrError: there is no terminal to ask on.
    """
    if not console.is_terminal:
        raise PtrError(f"cannot ask before removing {folder}: this is no terminal; add --yes to remove it")
    return Confirm.ask(f"Remove {for_markup(folder)} and all that it holds?", console=console, default=False)


def prepare(plan: Plan, fresh: bool = False) -> Path | None:
    """Make the run's folder, or find the same plan in it.

    Returns:
        where a run of another plan was moved to; None when there was none.
    Raises:
        PtrError: the plan in it cannot be read, or the folder holds something else.
    """
    file, moved = plan.out / "plan.json", None
    if holds_run(plan.out) and fresh:
        shutil.rmtree(plan.out)
    if file.is_file() and read_object(file, advice="start over with --fresh") != json.loads(plan.to_json()):
        numbers = (plan.out.with_name(f"{plan.out.name}-{number}") for number in itertools.count(1))
        moved = plan.out.rename(next(path for path in numbers if not path.exists()))
    plan.out.mkdir(parents=True, exist_ok=True)
    write_atomically(file, plan.to_json() + "\n")
    return moved


def _conclude(report: dict, plan: Plan, console: Console) -> None:
    for name, words in (("finetuned", "after fine-tuning"), ("pretrained", "before")):
        result = report["results"][name]
        low, high = result["interval"]
        console.print(
            f"[bold]{result['successes']} of {result['trials']}[/bold] trials succeeded {words} "
            f"(95 % interval {low:.2f} to {high:.2f})"
        )
    page = plain(plan.report.with_suffix(".html"))
    console.print(f"{report['total_seconds'] / 60:.1f} minutes; report: {page}", markup=False)
