# SPDX-License-Identifier: Apache-2.0
"""`ptr table`: train and try every method on the same data, in simulation."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ptr_bringup.sim.levels import DEFAULT_LEVEL, LEVELS
from ptr_bringup.sim.names import teach_names
from ptr_bringup.sim.operator import MANNERS
from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.common.guidance import next_step, resumable
from ptr_models.common.output_folder import locked, require_unused
from ptr_models.common.plain_text import plain
from ptr_models.episodes.exclusion import add_exclude, lasting
from ptr_models.json_input import read_object

if TYPE_CHECKING:
    from ptr_policy.table.plan import TablePlan

DESCRIPTION = """\
The result table of PTR, in simulation: every method meets the same pre-training bags, the same demonstrations of the
target tasks and the same trials. Each step is a command of its own, whose output is in OUT/logs; an interrupted table
goes on where it was, and OUT/table.md, table.png, table.json and results.json (one entry per method, task, seed and way
of choosing actions) are written after every cell. Each cell is tried with the mode and with the way of choosing actions
that did best in its validation scenes."""
EPILOGUE = """\
examples:
  ptr sim collect --out data/pretraining --episodes 4080 --level standard --manner human
  ptr table --list                                           the methods
  ptr table --data data/pretraining --out runs/table --level standard
  ptr table --data data/pretraining --out runs/quick --methods ptr bc --pretraining-steps 2000 \\
            --finetuning-steps 300 --trials 10"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `table` to `ptr`."""
    teach_names()
    parser = subparsers.add_parser(
        "table",
        help="compare every method on the same data, in simulation",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=arguments.existing_folder, metavar="DIR", help="pre-training bags (`ptr sim collect`)")
    add_exclude(parser)
    add(
        "--out",
        type=arguments.output_folder,
        default="runs/table",
        metavar="DIR",
        help="folder of everything that is made (default: runs/table)",
    )
    arguments.several(
        parser,
        "--methods",
        type=arguments.OneOf("method", _methods),
        metavar="NAME",
        help="one or more methods, see --list (default: all)",
    )
    add("--size", choices=("small", "paper"), default="small", help="of the presets (default: small)")
    add(
        "--observation",
        choices=("image", "low_dim"),
        default="image",
        help="what policies see: images, or the poses of simulated objects, at a fraction of the cost (default: image)",
    )
    arguments.several(
        parser,
        "--task",
        old=("--tasks",),
        dest="tasks",
        type=_place,
        metavar="NAME[:KITCHEN]",
        help="one or more target tasks, each with the kitchen of its scenes (default: the four of the talk)",
    )
    arguments.several(
        parser,
        "--seed",
        old=("--seeds",),
        dest="seeds",
        type=arguments.seed,
        metavar="N",
        help="one or more seeds of pre-training and what follows (default: 0)",
    )
    add("--level", choices=tuple(LEVELS), default=DEFAULT_LEVEL, help=f"of all scenes (default: {DEFAULT_LEVEL})")
    add("--manner", choices=tuple(MANNERS), default="human", help="of the target demonstrations (default: human)")
    for name, usual, about in (
        ("pretraining", 22_000, "updates of pre-training (default: 22000)"),
        ("finetuning", 500, "updates of fine-tuning (default: 500)"),
        ("demonstrations", 10, "demonstrations per target task (default: 10)"),
    ):
        word = {"demonstrations": "--episodes"}.get(name, f"--{name}-steps")
        arguments.option(
            parser,
            word,
            old=(f"--{name}",),
            dest=name,
            type=arguments.count,
            default=usual,
            metavar="N",
            help=about,
        )
    add("--trials", type=arguments.count, default=20, metavar="N", help="per task and seed (default: 20)")
    add(
        "--validation",
        type=arguments.optional_count,
        default=10,
        metavar="N",
        help="trials per decoding in other scenes, by which each cell's decoding is chosen; 0: the mode (default: 10)",
    )
    arguments.several(
        parser,
        "--checkpoint",
        type=_assignment,
        metavar="NAME=DIR",
        help="pre-trained already: ptr=models/checkpoints/…",
    )
    add("--threads", type=arguments.count, default=1, metavar="N", help="of PyTorch (default: 1)")
    add(
        "--set",
        dest="settings",
        type=arguments.setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="for every training",
    )
    add("--list", action="store_true", help="list the methods and end")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ptr_policy.table.methods import METHODS

    console = Console()
    if options.list:
        for method in METHODS:
            console.print(f"{method.name:<20} {method.title}: {method.recipe.value}", highlight=False)
        return 0
    return _make(plan_from(options), console)


def _make(plan: TablePlan, console: Console) -> int:
    """Run what is missing of a table, and show it."""
    from ptr_policy.stages import progress_bar, progress_text, run_stage
    from ptr_policy.table.plan import all_stages
    from ptr_policy.table.report import write_report

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    require_unused(plan.out)
    check_same(plan.out, plan.to_dict())
    text, stage = "", None
    with locked(plan.out), resumable(lambda: progress_text(stage)), progress_bar(console) as progress:
        for stage in all_stages(plan):
            if stage.done() < stage.total:
                run_stage(stage, plan.out / "logs", progress)
            if stage.unit == "trials":
                text, _ = write_report(plan)
    console.print(plain(text, newlines=True), markup=False)
    console.print(f"table: {plain(plan.out / 'table.md')}, picture: {plain(plan.out / 'table.png')}", markup=False)
    next_step("table", "…", "--seed", *range(max(plan.seeds) + 2), about="more seeds: intervals over runs")
    return 0


def _methods() -> list[str]:
    from ptr_policy.table.methods import METHODS

    return [method.name for method in METHODS]


def plan_from(options: argparse.Namespace) -> TablePlan:
    """The plan of the arguments.

    Raises:
        PtrError: a method, task or assignment makes no sense.
    """
    from ptr_policy.table.methods import methods
    from ptr_policy.table.plan import LOW_DIM, Budget, TablePlan

    if options.data is None:
        raise PtrError("a table needs pre-training bags: name their folder with --data (`ptr sim collect` makes some)")
    if options.observation == LOW_DIM and options.size != "small":
        raise PtrError(f"--size {options.size} is of policies that see images; leave it out with --observation low_dim")
    size = LOW_DIM if options.observation == LOW_DIM else options.size
    return TablePlan(
        out=options.out.resolve(),
        data=options.data.resolve(),
        exclude=tuple(lasting(options.exclude)),
        methods=tuple(methods(options.methods, size)),
        size=size,
        tasks=tuple(options.tasks) or _targets(),
        seeds=tuple(options.seeds) or (0,),
        budget=Budget(
            options.pretraining, options.finetuning, options.demonstrations, options.trials, options.validation
        ),
        checkpoints=dict(options.checkpoint),
        threads=options.threads,
        settings=tuple(options.settings),
        level=options.level,
        manner=options.manner,
    )


def check_same(out: Path, plan: dict) -> None:
    """Refuse to mix two plans in one folder; the methods may differ, so that rows can be added.

    Raises:
        PtrError: the folder belongs to another plan; the message names the first value that differs.
    """
    file = out / "plan.json"
    if file.is_file():
        stored = read_object(file, advice="choose another --out")
        stored.setdefault("exclude", [])  # a table of an earlier version left nothing out
        plain = json.loads(json.dumps(plan))
        for key, value in plain.items():
            if key != "checkpoints" and stored.get(key) != value:
                raise PtrError(
                    f"{out} holds a table with {key} = {stored.get(key)!r}, not {value!r}; choose another --out"
                )
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, plan)


def _assignment(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not an assignment; write NAME=DIR")
    return name, arguments.checkpoint(path).resolve()


def _place(text: str) -> tuple[str, str]:
    """A task and its kitchen; without one, the first that pre-training never sees."""
    task, _, kitchen = text.partition(":")
    return arguments.task(task), arguments.kitchen(kitchen or "toykitchen_target1")


def _targets() -> tuple[tuple[str, str], ...]:
    """The four target tasks, by turns in the two kitchens that pre-training never sees."""
    from ptr_bringup.sim.kitchens import held_out_kitchens
    from ptr_bringup.sim.tasks import TARGET_TASKS

    kitchens = held_out_kitchens()
    return tuple((task.name, kitchens[index % len(kitchens)]) for index, task in enumerate(TARGET_TASKS))
