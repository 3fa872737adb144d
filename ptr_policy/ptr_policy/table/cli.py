# SPDX-License-Identifier: Apache-2.0
"""`ptr table`: train and try every method on the same data, in simulation."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

from rich.console import Console

from ptr_bringup.sim.levels import DEFAULT_LEVEL, LEVELS
from ptr_bringup.sim.operator import MANNERS
from ptr_models.errors import PtrError
from ptr_models.files import write_json
from ptr_models.json_input import read_object
from ptr_models.plain_text import plain

DESCRIPTION = """\
The result table of PTR, in simulation: every method meets the same pre-training bags, the same demonstrations of the
target tasks and the same trials. Each step is a command of its own, whose output is in OUT/logs; an interrupted table
goes on where it was, and OUT/table.md, table.png, table.json and results.json (one entry per method, task, seed and way
of choosing actions) are written after every cell. Each cell is tried with the mode and with the way of choosing actions
that did best in its validation scenes."""
EPILOGUE = """\
examples:
  ptr sim collect --out data/pretraining --episodes 4080 --level standard --manner human
  ptr table --data data/pretraining --out runs/table --level standard
  ptr table --data data/pretraining --out runs/quick --methods ptr bc --pretraining 2000 --finetuning 300 --trials 10"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `table` to `ptr`."""
    parser = subparsers.add_parser(
        "table",
        help="compare every method on the same data, in simulation",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="pre-training bags (`ptr sim collect`)")
    add("--out", type=Path, default=Path("runs/table"), metavar="DIR", help="default: runs/table")
    add("--methods", nargs="+", default=[], metavar="NAME", help="default: all, see --list")
    add("--size", choices=("small", "paper"), default="small", help="of the presets (default: small)")
    add(
        "--observation",
        choices=("image", "low_dim"),
        default="image",
        help="what policies see: images, or the poses of simulated objects, at a fraction of the cost (default: image)",
    )
    add("--tasks", nargs="+", default=[], metavar="TASK[:KITCHEN]", help="default: the four target tasks")
    add("--seeds", nargs="+", type=int, default=[0], metavar="N", help="of pre-training and what follows (default: 0)")
    add("--level", choices=tuple(LEVELS), default=DEFAULT_LEVEL, help=f"of all scenes (default: {DEFAULT_LEVEL})")
    add("--manner", choices=tuple(MANNERS), default="human", help="of the target demonstrations (default: human)")
    add("--pretraining", type=int, default=22_000, metavar="N", help="updates (default: 22000)")
    add("--finetuning", type=int, default=500, metavar="N", help="updates (default: 500)")
    add("--demonstrations", type=int, default=10, metavar="N", help="per target task (default: 10)")
    add("--trials", type=int, default=20, metavar="N", help="per task and seed (default: 20)")
    add(
        "--validation",
        type=int,
        default=10,
        metavar="N",
        help="trials per decoding in other scenes, by which each cell's decoding is chosen; 0: the mode (default: 10)",
    )
    add("--checkpoint", nargs="+", default=[], metavar="NAME=DIR", help="pre-trained already: ptr=models/checkpoints/…")
    add("--threads", type=int, default=1, help="of PyTorch (default: 1)")
    add("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="for every training")
    add("--list", action="store_true", help="list the methods and end")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ptr_policy.stages import progress_bar, run_stage
    from ptr_policy.table.methods import METHODS
    from ptr_policy.table.plan import all_stages
    from ptr_policy.table.report import write_report

    console = Console()
    if options.list:
        for method in METHODS:
            console.print(f"{method.name:<20} {method.title}: {method.recipe.value}", highlight=False)
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    plan = plan_from(options)
    check_same(plan.out, plan.to_dict())
    text = ""
    try:
        with progress_bar(console) as progress:
            for stage in all_stages(plan):
                if stage.done() < stage.total:
                    run_stage(stage, plan.out / "logs", progress)
                if stage.unit == "trials":
                    text, _ = write_report(plan)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where it was")
        return 130
    console.print(plain(text, newlines=True), markup=False)
    console.print(f"table: {plain(plan.out / 'table.md')}, picture: {plain(plan.out / 'table.png')}", markup=False)
    return 0


def plan_from(options: argparse.Namespace):  # noqa: ANN201  the type would import the learner for --help
    """The plan of the arguments.

    Raises:
        PtrError: a method, task or assignment makes no sense.
    """
    from ptr_policy.table.methods import methods
    from ptr_policy.table.plan import LOW_DIM, Budget, TablePlan

    if options.observation == LOW_DIM and options.size != "small":
        raise PtrError(f"--size {options.size} is of policies that see images; leave it out with --observation low_dim")
    size = LOW_DIM if options.observation == LOW_DIM else options.size
    return TablePlan(
        out=options.out.resolve(),
        data=options.data.resolve(),
        methods=tuple(methods(options.methods, size)),
        size=size,
        tasks=tuple(_place(text) for text in options.tasks) or _targets(),
        seeds=tuple(options.seeds),
        budget=Budget(
            options.pretraining, options.finetuning, options.demonstrations, options.trials, options.validation
        ),
        checkpoints=dict(_assignment(text) for text in options.checkpoint),
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
        raise PtrError(f"{text!r} is no assignment; write NAME=DIR")
    return name, Path(path).resolve()


def _place(text: str) -> tuple[str, str]:
    """A task and its kitchen; without one, the first that pre-training never sees."""
    task, _, kitchen = text.partition(":")
    return task, kitchen or "toykitchen_target1"


def _targets() -> tuple[tuple[str, str], ...]:
    """The four target tasks, by turns in the two kitchens that pre-training never sees."""
    from ptr_bringup.sim.kitchens import held_out_kitchens
    from ptr_bringup.sim.tasks import TARGET_TASKS

    kitchens = held_out_kitchens()
    return tuple((task.name, kitchens[index % len(kitchens)]) for index, task in enumerate(TARGET_TASKS))
