# SPDX-License-Identifier: Apache-2.0
"""`ptr table`: train and try every method on the same data, in simulation or with your own demonstrations."""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ptr_bringup.sim.levels import DEFAULT_LEVEL, LEVELS
from ptr_bringup.sim.names import teach_names
from ptr_bringup.sim.operator import MANNERS
from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import next_step, resumable
from ptr_models.common.output_folder import locked, require_unused
from ptr_models.common.plain_text import plain
from ptr_models.episodes.exclusion import Exclusion, absolute_patterns, add_exclude
from ptr_models.episodes.reader import find_episodes
from ptr_models.training.settings import add_settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from ptr_policy.stages import Stage
    from ptr_policy.table.forecast import Forecast
    from ptr_policy.table.methods import Method
    from ptr_policy.table.plan import TablePlan

_DESTINATIONS = {"task": "tasks", "seed": "seeds", "policy": "policies", "trials-from": "trials_from"}
"""Attributes of options whose names differ."""
DESCRIPTION = """\
Make the result table of PTR: every method gets the same pre-training bags, the same demonstrations of the target
tasks and the same trials. Each step is a separate command, whose output is in OUT/logs; after an interruption, run
the same command to continue. The same command with other --methods, --task or --seed adds these to the table.
OUT/table.html is updated after every cell; beside it are table.md, table.csv, table.tex, table.png, table.pdf,
table.svg, table.json and results.json (one entry per method, task, seed and way of choosing actions). Each cell is
evaluated with the mode and with the way of choosing actions that did best in its validation scenes.

Demonstrations and trials are simulated unless --target gives your own demonstrations. If those are of a simulated
task and kitchen, the trials are simulated too. Otherwise every method is trained, and the table prints the
`ptr evaluate` command that fills its cells; run the same command again to read what was judged."""
EPILOGUE = """\
examples:
  ptr sim collect --out data/pretraining --episodes 4080 --level standard --manner human
  ptr table --list                                           the methods
  ptr table --data data/pretraining --out runs/table --level standard
  ptr table --data data/pretraining --out runs/quick --methods ptr bc --pretraining-steps 2000 \\
            --finetuning-steps 300 --trials 10
  ptr table --data data/bridge --target data/fold_towel --out runs/towel --methods ptr bc --size paper
  ptr table --results runs/a/results.json runs/b/results.json --out runs/both     combine finished tables
  ptr table … --policy act=lerobot:runs/act                  an additional row: a policy of LeRobot"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `table` to `ptr`."""
    teach_names()
    parser = subparsers.add_parser(
        "table",
        help="compare every method on the same data",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data", type=arguments.episodes, metavar="DIR", help="pre-training bags (`ptr sim collect`), or a set (.json)"
    )
    add_exclude(parser)
    add(
        "--out",
        type=arguments.output_folder,
        default="runs/table",
        metavar="DIR",
        help="folder of all output (default: runs/table)",
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
        help="one or more simulated target tasks, each with the kitchen of its scenes (default: without --target the "
        "four of the talk)",
    )
    arguments.several(
        parser,
        "--target",
        type=arguments.episodes,
        metavar="DIR",
        help="one or more folders or sets of your own demonstrations, one task each",
    )
    arguments.several(
        parser,
        "--trials-from",
        type=arguments.existing_folder,
        metavar="DIR",
        help="folders of `ptr evaluate` with trials that a person judged (default: OUT/evaluations)",
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
        "--results",
        type=arguments.existing_file,
        metavar="FILE",
        help="train nothing: combine the results.json of other tables, of other seeds or machines, in --out",
    )
    arguments.several(
        parser,
        "--checkpoint",
        type=_assignment,
        metavar="NAME=DIR",
        help="use a pre-trained checkpoint: ptr=models/checkpoints/…",
    )
    arguments.several(
        parser,
        "--policy",
        dest="policies",
        type=_external,
        metavar="NAME=KIND:ADDRESS",
        help="one or more policies trained elsewhere, as additional rows: act=lerobot:FOLDER; {task} and {seed} "
        "in the address stand for those of a cell",
    )
    add("--threads", type=arguments.count, default=1, metavar="N", help="of PyTorch (default: 1)")
    add_settings(parser, "value for every training, e.g. data.cameras=[wrist]", dest="settings")
    add("--list", action="store_true", help="list the methods and exit")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ptr_policy.table.external import require_loadable
    from ptr_policy.table.methods import METHODS
    from ptr_policy.table.plan_file import with_existing

    console = Console()
    if options.list:
        for method in METHODS:
            console.print(f"{method.name:<20} {method.title}: {method.recipe.value}", highlight=False)
        return 0
    if options.results:
        return _combine(options, console)
    require_unused(options.out.resolve())
    usual = [key for key in ("methods", "tasks", "seeds") if not getattr(options, key)]
    plan = with_existing(plan_from(options), usual)
    find_episodes([plan.data], Exclusion(plan.exclude))  # before hours of other work
    check_cameras(plan)
    check_targets(plan)
    require_loadable(plan)
    return _make(plan, console)


def _combine(options: argparse.Namespace, console: Console) -> int:
    """Write the table of other tables' results."""
    from ptr_policy.table.combined import write_combined

    for name in ("data", "methods", "task", "target", "seed", "policy", "checkpoint", "trials-from"):
        if getattr(options, _DESTINATIONS.get(name, name)):
            raise PtrError(f"--results shows all of its files and trains nothing; leave out --{name}")
    if (options.out / "plan.json").is_file():
        raise PtrError(f"{options.out} holds a table; choose another --out for the combined one")
    console.print(plain(write_combined(options.results, options.out), newlines=True), markup=False, soft_wrap=True)
    console.print(f"figure: {plain(options.out / 'table.png')}", markup=False)
    return 0


def _make(plan: TablePlan, console: Console) -> int:
    """Run the missing stages of a table, and show it."""
    from ptr_policy.stages import progress_bar, progress_text
    from ptr_policy.table.forecast import Forecast
    from ptr_policy.table.plan_file import with_existing, write_plan
    from ptr_policy.table.report import write_report

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    current: list[Stage] = []
    with locked(plan.out), progress_bar(console) as progress:
        plan = with_existing(plan)  # with what another command has added meanwhile
        write_plan(plan.out, plan.to_dict())
        forecast = Forecast(plan)
        with resumable(lambda: f"{progress_text(*current[-1:])}; {forecast.text()}"):
            _run_stages(plan, console, progress, forecast, current)
    text, _ = write_report(plan)
    console.print(plain(text, newlines=True), markup=False)
    console.print(f"page: {plain(plan.out / 'table.html')}", markup=False)
    _show_missing(plan, console)
    words = ("…", "--out", plan.out, "--seed", max(plan.seeds) + 1)
    next_step("table", *words, about="another seed: intervals over runs")
    return 0


def _show_missing(plan: TablePlan, console: Console) -> None:
    """Print the trials that a person still has to judge, and evaluated policies that are in no cell."""
    from ptr_policy.table.judged import missing_trials, read_evaluations, unmatched_policies

    evaluations = read_evaluations(plan)
    for text in unmatched_policies(plan, evaluations):
        console.print(f"not counted: {plain(text)}", markup=False, soft_wrap=True)
    for step in missing_trials(plan, evaluations):
        console.print(f"{plain(step.about)}\n  {plain(step.command)}", markup=False, highlight=False, soft_wrap=True)


def _run_stages(
    plan: TablePlan, console: Console, progress: Progress, forecast: Forecast, current: list[Stage]
) -> None:
    """Run each unfinished stage; a bar, or without a terminal a line per stage, shows the remaining time.

    Args:
        current: gets each stage when it starts.
    """
    from ptr_policy.stages import run_stage
    from ptr_policy.table.plan import all_stages
    from ptr_policy.table.report import write_report

    whole = progress.add_task("the whole table", total=None, unit="s")
    for stage in all_stages(plan):
        current.append(stage)
        before = stage.done()
        if before >= stage.total:
            forecast.add_existing(stage)
        else:
            begin = time.monotonic()
            try:
                run_stage(stage, plan.out / "logs", progress)
            finally:
                forecast.add(stage, min(stage.done(), stage.total) - before, time.monotonic() - begin)
            left = forecast.remaining()
            total = None if left is None else round(forecast.spent + left)
            progress.update(whole, completed=round(forecast.spent), total=total)
            if not console.is_terminal:
                console.print(f"{stage.title}: done; {forecast.text()}", markup=False, soft_wrap=True)
        if stage.unit == "trials" or (plan.judged_tasks and stage.kind == "train"):
            write_report(plan)


def _methods() -> list[str]:
    from ptr_policy.table.methods import METHODS

    return [method.name for method in METHODS]


def plan_from(options: argparse.Namespace) -> TablePlan:
    """The plan that the arguments describe.

    Raises:
        PtrError: a method, task or assignment makes no sense.
    """
    from ptr_policy.table.methods import methods
    from ptr_policy.table.plan import LOW_DIM, Budget, TablePlan
    from ptr_policy.table.targets import read_targets

    if options.data is None:
        raise PtrError("a table needs pre-training bags: name their folder with --data (`ptr sim collect` makes some)")
    if options.observation == LOW_DIM and options.size != "small":
        raise PtrError(f"--size {options.size} is for policies that see images; omit it with --observation low_dim")
    size = LOW_DIM if options.observation == LOW_DIM else options.size
    targets = read_targets(options.target)
    twice = [task for task, _ in options.tasks if task in targets]
    if twice:
        raise PtrError(f"--target has demonstrations of {twice[0]}; leave it out of --task")
    own = tuple((task, target.kitchen) for task, target in targets.items())
    return TablePlan(
        out=options.out.resolve(),
        data=options.data.resolve(),
        exclude=tuple(absolute_patterns(options.exclude)),
        methods=(*methods(options.methods, size), *options.policies),
        size=size,
        tasks=(*own, *options.tasks) or _targets(),
        seeds=tuple(options.seeds) or (0,),
        budget=Budget(
            options.pretraining, options.finetuning, options.demonstrations, options.trials, options.validation
        ),
        checkpoints=dict(options.checkpoint),
        threads=options.threads,
        settings=tuple(options.settings),
        level=options.level,
        manner=options.manner,
        targets=targets,
        trials_from=tuple(folder.resolve() for folder in options.trials_from),
        cameras=() if size == LOW_DIM else _cameras(options, size),
    )


def _cameras(options: argparse.Namespace, size: str) -> tuple[str, ...]:
    """The cameras that policies see: those of the pre-training bags, or those that `--set data.cameras` names."""
    from ptr_models.training.data import Bags, contract_of
    from ptr_models.training.presets import preset

    named = [setting for setting in options.settings if setting.startswith("data.cameras=")]
    wanted = preset(f"ptr_{size}").replaced(named).data.cameras
    bags = Bags((options.data,), exclude=absolute_patterns(options.exclude))
    return tuple(camera.name for camera in contract_of(bags, cameras=wanted).cameras)


def check_cameras(plan: TablePlan) -> None:
    """Check the cameras before anything is trained.

    Raises:
        PtrError: the simulator lacks one, or an existing checkpoint uses another one.
    """
    from ptr_bringup.sim.cameras import CAMERAS
    from ptr_models.contract_cli import contract_from

    seen = ", ".join(plan.cameras)
    absent = [name for name in plan.cameras if name not in CAMERAS]
    if absent and any(kitchen for _, kitchen in plan.tasks):
        raise PtrError(
            f"the pre-training bags show {seen}, but the simulator has no camera {absent[0]!r}, only "
            f"{', '.join(CAMERAS)}; choose cameras with --set data.cameras=[{CAMERAS[0]}], or give --target alone, "
            "with demonstrations of a real arm"
        )
    for name, folder in plan.checkpoints.items() if plan.cameras else ():
        others = [camera.name for camera in contract_from(folder).cameras if camera.name not in plan.cameras]
        if others:
            raise PtrError(
                f"the checkpoint of {name} in {folder} sees camera {others[0]}, but the table's policies see {seen}; "
                "pre-train it with the table's bags"
            )


def check_targets(plan: TablePlan) -> None:
    """Check the user's demonstrations before anything is trained.

    Raises:
        PtrError: they do not fit the pre-training bags.
    """
    from ptr_models.training.data import Bags, contract_of
    from ptr_models.training.presets import preset
    from ptr_policy.table.methods import Recipe
    from ptr_policy.table.plan import LOW_DIM
    from ptr_policy.table.targets import check_readable, warn_of_known_tasks, warn_of_levels

    if not plan.targets:
        return
    is_low_dim = plan.size == LOW_DIM
    trained = [method.name for method in plan.methods if method.recipe is not Recipe.EXTERNAL]
    configs = [preset(f"{name}_{plan.size}").replaced(list(plan.settings)) for name in trained]
    image_size = None if is_low_dim else max(config.networks.image_size for config in configs)
    contract = contract_of(Bags((plan.data,), exclude=plan.exclude), is_low_dim, image_size, plan.cameras)
    targets = plan.targets.values()
    check_readable(targets, contract)
    warn_of_levels(targets, plan.level)
    warn_of_known_tasks(targets, plan.data, plan.exclude)


def _external(text: str) -> Method:
    from ptr_policy.table.external import external

    return external(text)


def _assignment(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not an assignment; write NAME=DIR")
    arguments.OneOf("method", _methods)(name)
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
