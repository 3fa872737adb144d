# SPDX-License-Identifier: Apache-2.0
"""`ptr demo`: record, fine-tune, deploy, evaluate and report, in simulation."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.prompt import Confirm

from ptr_bringup.ros.own_domain import sentence_of, take_own_domain
from ptr_bringup.sim.names import teach_names
from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_atomically
from ptr_models.common.guidance import next_step
from ptr_models.common.namespaces import VARIABLE as NAMESPACE
from ptr_models.common.output_folder import holds_run, locked, require_unused
from ptr_models.common.plain_text import for_markup, plain
from ptr_models.json_input import read_object
from ptr_policy.demo.plan import WORDS, Plan

PLAN = "plan.json"
DESCRIPTION = """\
Run the complete workflow in simulation, with the same programs as on the real arm. Ten demonstrations of a task in a
kitchen that pre-training never saw are recorded over ROS 2. The shipped checkpoint is fine-tuned on them with PTR and,
for comparison, with behavior cloning. The policy server deploys each result, the evaluator runs ten recorded trials,
and a report shows the results."""


class Defaults(NamedTuple):
    """The defaults of a run: a shipped checkpoint ("": none ships), a folder of bags to mix in, updates."""

    checkpoint: str
    pretraining: str
    steps: int


DEFAULTS = {
    ("human", "easy"): Defaults("ptr_bernoulli_small", "data/mix_human", 800),
    ("human", "standard"): Defaults("ptr_bernoulli_standard", "data/mix_standard", 800),
    ("machine", "easy"): Defaults("ptr_small", "data/mix_machine", 500),
    ("machine", "standard"): Defaults("", "data/mix_machine_standard", 500),
}
"""By the operator's manner and the level of the scenes."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `demo` to `ptr`."""
    teach_names()
    parser = subparsers.add_parser(
        "demo", help="record, fine-tune, deploy, evaluate and report, in simulation", description=DESCRIPTION
    )
    add = parser.add_argument
    add(
        "--out",
        type=arguments.output_folder,
        default="runs/demo",
        metavar="DIR",
        help="folder of the run (default: runs/demo)",
    )
    add("--seed", type=arguments.seed, default=0, metavar="N", help="of scenes, starts and fine-tuning (default: 0)")
    add(
        "--task",
        type=arguments.task,
        default="put_sweet_potato_on_plate",
        metavar="NAME",
        help="see ptr sim tasks (default: put_sweet_potato_on_plate)",
    )
    add(
        "--kitchen",
        type=arguments.kitchen,
        default="toykitchen_target1",
        metavar="NAME",
        help="see ptr sim tasks (default: toykitchen_target1)",
    )
    arguments.option(
        parser,
        "--episodes",
        old=("--demonstrations",),
        dest="demonstrations",
        type=arguments.count,
        default=10,
        metavar="N",
        help="demonstrations to record (default: 10)",
    )
    add(
        "--manner",
        choices=("human", "machine"),
        default="human",
        help="how the scripted operator moves: human, which hesitates, misses and tries again, or machine, which never "
        "errs (default: human)",
    )
    add(
        "--level",
        choices=("easy", "standard"),
        default="easy",
        help="of the scenes: easy, one object, or standard, among other objects, turned and in other light, where "
        "fewer trials succeed (default: easy)",
    )
    add("--trials", type=arguments.count, default=10, metavar="N", help="to make with each checkpoint (default: 10)")
    add("--steps", type=arguments.count, metavar="N", help="updates of fine-tuning (default: 800; machine: 500)")
    add(
        "--checkpoint",
        type=arguments.checkpoint,
        metavar="DIR",
        help="pre-trained checkpoint (default: the shipped one, ptr_bernoulli_small; at level standard "
        "ptr_bernoulli_standard; machine: ptr_small)",
    )
    arguments.option(
        parser,
        "--data",
        old=("--pretraining",),
        dest="pretraining",
        type=arguments.output_folder,
        metavar="DIR",
        help="pre-training bags to mix in, simulated if missing (default: data/mix_human; at level standard "
        "data/mix_standard; machine: data/mix_machine)",
    )
    arguments.option(
        parser,
        "--data-episodes",
        old=("--pretraining-episodes",),
        dest="pretraining_episodes",
        type=arguments.count,
        default=408,
        metavar="N",
        help="how many (default: 408, one per kitchen and task)",
    )
    add("--no-baseline", action="store_true", help="leave out behavior cloning, which saves some minutes")
    add("--fresh", action="store_true", help="remove an earlier run in --out instead of continuing it; asks first")
    add("--yes", action="store_true", help="with --fresh: remove it without asking")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ptr_models.common.assets import checkpoint_path
    from ptr_models.contract_cli import contract_from
    from ptr_models.training.runs import resolve_checkpoint
    from ptr_policy.demo.report import write_report
    from ptr_policy.demo.runner import run_all

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    defaults = DEFAULTS[options.manner, options.level]
    if not (options.checkpoint or defaults.checkpoint):
        raise PtrError(
            f"no shipped checkpoint was trained for --level {options.level} with --manner {options.manner}; give "
            "one with --checkpoint, or leave out one of the two"
        )
    checkpoint = resolve_checkpoint(options.checkpoint or checkpoint_path(defaults.checkpoint)).resolve()
    plan = Plan(
        out=options.out.resolve(),
        seed=options.seed,
        task=options.task,
        kitchen=options.kitchen,
        demonstrations=options.demonstrations,
        trials=options.trials,
        checkpoint=checkpoint,
        pretraining=(options.pretraining or Path(defaults.pretraining)).resolve(),
        pretraining_episodes=options.pretraining_episodes,
        finetune_steps=options.steps or defaults.steps,
        cameras=tuple(camera.name for camera in contract_from(checkpoint).cameras),
        manner=options.manner,
        level=options.level,
        baseline=not options.no_baseline,
    )
    console = Console()
    require_unused(plan.out)
    require_unused(plan.pretraining)
    if options.fresh and holds_run(plan.out, "ptr demo", PLAN) and not (options.yes or confirmed(plan.out, console)):
        console.print("nothing was removed; without --fresh the run is continued")
        return 2
    if moved := prepare(plan, options.fresh):
        console.print(f"the earlier run of another plan is now in {for_markup(moved)}")
    task, kitchen = for_markup(plan.task.replace("_", " ")), for_markup(plan.kitchen)
    console.print(f"[bold]{task}[/bold] in {kitchen}, seed {plan.seed}")
    os.environ.pop(NAMESPACE, None)  # the demonstration's robot has none: it is alone in its domain
    with locked(plan.out):
        domain = take_own_domain()
        if domain is not None:
            console.print(sentence_of(domain))
        times = run_all(plan, console)
        report = write_report(plan, times)
    _conclude(report, plan, console)
    mine = ("collect", plan.task, "--kitchen", plan.kitchen, "--device", "page_keyboard", "--out", "data/by_hand")
    next_step(*mine, about="drive the arm yourself")
    return 0


def confirmed(folder: Path, console: Console) -> bool:
    """Ask the user whether to remove a run.

    Raises:
        PtrError: there is no terminal to ask on.
    """
    if not console.is_terminal:
        raise PtrError(f"cannot ask before removing {folder}: this is not a terminal; add --yes to remove it")
    return Confirm.ask(f"Remove {for_markup(folder)} and all that it holds?", console=console, default=False)


def prepare(plan: Plan, fresh: bool = False) -> Path | None:
    """Make the run's folder, or find the same plan in it.

    Returns:
        where a run of another plan was moved to; None if there was none.
    Raises:
        PtrError: the plan in it cannot be read, or the folder holds something else.
    """
    file, moved = plan.out / PLAN, None
    if holds_run(plan.out, "ptr demo", PLAN) and fresh:
        shutil.rmtree(plan.out)
    if file.is_file() and read_object(file, advice="start over with --fresh") != json.loads(plan.to_json()):
        numbers = (plan.out.with_name(f"{plan.out.name}-{number}") for number in itertools.count(1))
        moved = plan.out.rename(next(path for path in numbers if not path.exists()))
    plan.out.mkdir(parents=True, exist_ok=True)
    write_atomically(file, plan.to_json() + "\n")
    return moved


def _conclude(report: dict, plan: Plan, console: Console) -> None:
    for name, result in report["results"].items():
        low, high = result["interval"]
        console.print(
            f"[bold]{result['successes']} of {result['trials']}[/bold] trials succeeded {WORDS[name]} "
            f"(95 % interval {low:.2f} to {high:.2f})"
        )
    page = plain(plan.page)
    console.print(f"{report['total_seconds'] / 60:.1f} minutes; report: {page}", markup=False)
