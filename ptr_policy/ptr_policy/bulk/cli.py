# SPDX-License-Identifier: Apache-2.0
"""`ptr sim`: simulation in bulk, without ROS."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from ptr_bringup.sim.levels import DEFAULT_LEVEL, LEVELS
from ptr_bringup.sim.names import teach_names
from ptr_bringup.sim.operator import DEFAULT_MANNER, MANNERS
from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.common.guidance import next_step
from ptr_models.common.plain_text import counted
from ptr_models.episodes.exclusion import add_exclude
from ptr_models.input_limits import MAX_IMAGE_SIDE
from ptr_policy.bulk.practice_cli import add_practice

CHOOSE = f"how actions are chosen: {arguments.WAYS_TEXT} (default: the checkpoint's way)"
ALL_CHOICES = f"one or more ways of choosing actions: {arguments.WAYS_TEXT} (default: all that are possible)"


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `sim` to `ptr`."""
    teach_names()
    sim = subparsers.add_parser("sim", help="simulate demonstrations or trials in bulk, faster than real time")
    sim.set_defaults(run=lambda _: sim.print_help())
    kinds = sim.add_subparsers(title="kinds", metavar="KIND")
    _add_collect(kinds)
    _add_evaluate(kinds)
    _add_decoding(kinds)
    _add_rule(kinds)
    _add_drift(kinds)
    add_practice(kinds)
    tasks = kinds.add_parser("tasks", help="list tasks, kitchens and cameras")
    tasks.set_defaults(run=_tasks)


def _add_level(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--level", choices=tuple(LEVELS), default=DEFAULT_LEVEL, help=f"of the scenes (default: {DEFAULT_LEVEL})"
    )


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    about = "checkpoint, the folder of its run, or the name of a shipped one (ptr_small)"
    parser.add_argument("--checkpoint", type=arguments.checkpoint, required=True, metavar="DIR", help=about)


def _add_policy(parser: argparse.ArgumentParser) -> None:
    """Like `_add_checkpoint`, but also accepts an external policy."""
    about = (
        "checkpoint, the folder of its run, the name of a shipped one (ptr_small), or KIND:ADDRESS of an external "
        "policy (openpi:FILE.yaml)"
    )
    parser.add_argument("--checkpoint", type=_policy, required=True, metavar="DIR", help=about)


def _policy(text: str) -> Path | str:
    from ptr_models.common.assets import is_external
    from ptr_models.inference.loading import POLICIES

    return text if is_external(text) and text.partition(":")[0] in POLICIES else arguments.checkpoint(text)


def _add_trials(parser: argparse.ArgumentParser, usual: int, about: str) -> None:
    """`--trials`; its attribute is still called `episodes`."""
    old, kind = ("--episodes",), arguments.count
    arguments.option(parser, "--trials", old=old, dest="episodes", type=kind, default=usual, metavar="N", help=about)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    about = "of the scenes; the same seed gives the same ones (default: 0)"
    parser.add_argument("--seed", type=arguments.seed, default=0, metavar="N", help=about)


def _add_goal(parser: argparse.ArgumentParser) -> None:
    about = (
        "the desired end, for a policy with task_conditioning goal_image: a bag, whose last image counts; a folder of "
        "bags, whose demonstrations of the task take turns; or an image file"
    )
    parser.add_argument("--goal", type=arguments.existing, metavar="PATH", help=about)


def _add_max_steps(parser: argparse.ArgumentParser) -> None:
    about = "control steps of a trial (default: 40)"
    parser.add_argument("--max-steps", type=arguments.count, default=40, metavar="N", help=about)


def _add_collect(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "collect",
        help="record demonstrations of the scripted operator, one bag each",
        description="Simulate demonstrations, spread evenly over kitchens and tasks. The same arguments give the same "
        "bags. Existing ones are kept, so you can run the same command again to continue.",
    )
    parser.add_argument("--out", type=arguments.output_folder, required=True, metavar="DIR", help="folder of the bags")
    about = "total number of demonstrations, one bag each (default: 500)"
    parser.add_argument("--episodes", type=arguments.count, default=500, metavar="N", help=about)
    arguments.add_tasks(parser)
    _add_level(parser)
    parser.add_argument(
        "--manner",
        choices=tuple(MANNERS),
        default=DEFAULT_MANNER,
        help=f"of the operator: human hesitates, errs and tries again (default: {DEFAULT_MANNER})",
    )
    parser.add_argument(
        "--wordings",
        choices=("one", "several"),
        default="one",
        help="instructions in the bags: the plainest, or those of several people (default: one)",
    )
    _add_seed(parser)
    parser.add_argument("--jobs", type=arguments.count, default=2, metavar="N", help="processes (default: 2)")
    arguments.add_image_size(parser)
    arguments.add_cameras(parser, arguments.camera, "over_shoulder; ptr sim tasks lists all")
    side = arguments.Whole(16, MAX_IMAGE_SIDE)
    parser.add_argument(
        "--width", type=side, default=320, metavar="N", help="of the bags' images, pixels (default: 320)"
    )
    parser.add_argument(
        "--height", type=side, default=240, metavar="N", help="of the bags' images, pixels (default: 240)"
    )
    parser.add_argument(
        "--no-images",
        action="store_true",
        help="write the poses of the objects only, for policies that see those (*_low_dim); many times faster",
    )
    parser.add_argument(
        "--control-rate", type=arguments.positive, default=5.0, metavar="HZ", help="a multiple of 5 (default: 5)"
    )
    parser.set_defaults(run=_collect)


def _add_command_delay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--command-delay",
        type=arguments.Real(0.0),
        default=0.0,
        metavar="S",
        help="s from an observation until the arm follows the new command; 0.05 is close to the nodes on one computer "
        "(default: 0)",
    )


def _add_evaluate(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "evaluate",
        help="run trials of a checkpoint",
        description="Run a checkpoint in simulated scenes and count successes, judged by object poses.",
    )
    _add_policy(parser)
    arguments.add_tasks(parser, required=True)
    _add_trials(parser, 20, "trials per task and kitchen (default: 20)")
    _add_level(parser)
    _add_seed(parser)
    _add_max_steps(parser)
    parser.add_argument("--choice", type=arguments.way, metavar="NAME", help=CHOOSE)
    _add_goal(parser)
    told = parser.add_mutually_exclusive_group()
    told.add_argument(
        "--as-task",
        type=arguments.task_or_instruction,
        metavar="NAME",
        help="condition the policy on this task, or on these words, instead of the scene's task",
    )
    told.add_argument(
        "--wording",
        choices=("plain", "training", "held-out"),
        help="for a policy with task_conditioning language, give the task in words that change with each trial: the "
        "plainest, those of ptr sim collect --wordings several, or some that no demonstration has",
    )
    _add_command_delay(parser)
    parser.add_argument("--json", type=arguments.output_file, metavar="FILE", help="write every trial to this file")
    parser.set_defaults(run=_evaluate)


def _add_decoding(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "decoding",
        help="find the best way of choosing actions for a checkpoint",
        description="Run a checkpoint in validation scenes with each way of choosing actions (mode, sample, "
        "sample_gripper and, with a Q-function, argmax_q and softmax_q), and name the one that succeeds most often. "
        "The scenes differ from those of ptr sim evaluate.",
    )
    _add_checkpoint(parser)
    arguments.add_tasks(parser, required=True)
    arguments.several(
        parser, "--choice", old=("--decodings",), dest="decodings", type=arguments.way, metavar="NAME", help=ALL_CHOICES
    )
    _add_trials(parser, 20, "trials per task, kitchen and decoding (default: 20)")
    _add_level(parser)
    _add_seed(parser)
    _add_max_steps(parser)
    parser.add_argument(
        "--as-task",
        type=arguments.any_task,
        metavar="NAME",
        help="condition the policy on this task instead of the scene's",
    )
    _add_command_delay(parser)
    parser.add_argument("--json", type=arguments.output_file, metavar="FILE", help="write all results to this file")
    _add_goal(parser)
    parser.set_defaults(run=_decoding, wording=None)


def _add_rule(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "rule",
        help="test the rule that chooses a checkpoint without trials",
        description="Evaluate every checkpoint of a fine-tuning run in the same simulated scenes, and compare its "
        "success with the trend score of its Q along the demonstrations. Results go to rule.json and rule.png in the "
        "run folder. After an interruption, run the same command to continue.",
    )
    about = "folder of a fine-tuning run"
    arguments.also_by_place(parser, "run", "run_folder", type=arguments.existing_folder, metavar="RUN", help=about)
    about = "folders of its demonstrations, or sets (.json)"
    arguments.several(parser, "--target", type=arguments.episodes, required=True, metavar="DIR", help=about)
    parser.add_argument("--task", type=arguments.task, required=True, metavar="NAME", help="see ptr sim tasks")
    parser.add_argument("--kitchen", type=arguments.kitchen, required=True, metavar="NAME", help="see ptr sim tasks")
    _add_trials(parser, 20, "trials per checkpoint (default: 20)")
    _add_level(parser)
    parser.add_argument(
        "--earliest",
        type=arguments.optional_count,
        metavar="N",
        help="minimum updates of fine-tuning for a choice (default: schedule.choose_from of the run)",
    )
    _add_seed(parser)
    _add_max_steps(parser)
    add_exclude(parser)
    arguments.add_cache(parser)
    _add_goal(parser)
    parser.set_defaults(run=_rule)


def _add_drift(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "drift",
        help="test whether the policy server's drift alarm tells failures from successes",
        description="Run trials of a checkpoint with the alarm active: in the right scenes and, with --wrong, in those "
        "of other tasks. The checkpoint must have a range of Q (ptr train q-range).",
    )
    _add_checkpoint(parser)
    arguments.add_tasks(parser, required=True)
    _add_trials(parser, 10, "trials per task, scene and kitchen (default: 10)")
    _add_level(parser)
    parser.add_argument(
        "--wrong", type=arguments.optional_count, default=0, metavar="N", help="wrong scenes per task (default: 0)"
    )
    parser.add_argument(
        "--drift-time",
        type=arguments.positive,
        default=1.0,
        metavar="S",
        help="s outside the range before the alarm (default: 1)",
    )
    _add_seed(parser)
    _add_max_steps(parser)
    parser.add_argument("--json", type=arguments.output_file, metavar="FILE", help="write every trial to this file")
    _add_goal(parser)
    parser.set_defaults(run=_drift)


def _drift(options: argparse.Namespace) -> int:
    from ptr_policy.bulk.drift import show, watch_trials

    trials = watch_trials(options)
    show(trials)
    _next_deploy(options)
    if options.json is not None:
        write_json(options.json, [trial.to_dict() for trial in trials])
    return 0


def _rule(options: argparse.Namespace) -> int:
    from ptr_policy.bulk.rule import draw, rule, show

    tried, result = rule(options)
    show(tried, result)
    print(f"image: {draw(tried, result, options.run_folder / 'rule.png')}")
    next_step("analyze", "choose", "--run", options.run_folder, about="the rule's choice, without trials")
    return 0


def _collect(options: argparse.Namespace) -> int:
    from ptr_models.contract import Contract
    from ptr_models.contract_cli import adjusted
    from ptr_policy.bulk.collect import collect, orders

    wanted = orders(
        options.episodes,
        options.seed,
        options.kitchens,
        options.tasks,
        options.level,
        options.manner,
        options.wordings == "several",
    )
    if options.no_images and options.cameras:
        raise PtrError("--no-images writes no images, so --camera has no effect; leave one of them out")
    contract = Contract(control_rate=options.control_rate)
    contract = contract.with_cameras(options.cameras) if options.cameras else contract
    contract = contract.low_dim() if options.no_images else adjusted(contract, options.image_size)
    wanted_size = contract.image_shape[:2]
    if wanted_size[0] > options.height or wanted_size[1] > options.width:
        raise PtrError(
            f"--image-size {wanted_size[1]}x{wanted_size[0]} is more than the {options.width}x{options.height} pixels "
            "of the bags' images; give a larger --width and --height"
        )
    written = collect(options.out, wanted, options.jobs, options.width, options.height, contract)
    Console(stderr=True).print(f"{counted(written, 'demonstration')} written, {len(wanted)} in all in {options.out}")
    next_step("inspect", options.out, about="what is in them")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from ptr_policy.bulk.evaluate import evaluate, show

    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    trials = evaluate(options)
    show(trials)
    if 2 * sum(trial.success for trial in trials) >= len(trials):
        _next_deploy(options)
    elif not isinstance(options.checkpoint, str):
        next_step("train", "status", options.checkpoint, about="fewer than half succeeded: was it trained to its end?")
    if options.json is not None:
        write_json(options.json, [trial.to_dict() for trial in trials])
    return 0


def _decoding(options: argparse.Namespace) -> int:
    from ptr_policy.bulk.decoding import best_decoding, report, show, try_decodings

    found = try_decodings(options)
    show(found)
    best = best_decoding(found).name
    next_step("sim", "evaluate", "--checkpoint", options.checkpoint, "--choice", best, "…", about="in other scenes")
    if options.json is not None:
        write_json(options.json, report(options.checkpoint, found))
    return 0


def _next_deploy(options: argparse.Namespace) -> None:
    from ptr_models.contract import Contract
    from ptr_models.contract_cli import contract_from

    external = isinstance(options.checkpoint, str)
    seen = () if external else contract_from(options.checkpoint).cameras
    usual = not seen or [camera.name for camera in seen] == [camera.name for camera in Contract().cameras]
    words = ["launch", "ptr_bringup", "deploy.launch.xml", f"checkpoint:={options.checkpoint}"]
    words += [] if usual else [f"cameras:={','.join(camera.name for camera in seen)}"]
    next_step(*words, about="run it on the arm, simulated or real")


def _tasks(options: argparse.Namespace) -> int:
    from ptr_bringup.sim.cameras import CAMERAS
    from ptr_bringup.sim.door_tasks import DOOR_TASKS
    from ptr_bringup.sim.kitchens import held_out_kitchens, pretraining_kitchens
    from ptr_bringup.sim.tasks import OTHER_TASKS, PRETRAINING_TASKS, TARGET_TASKS

    console = Console(highlight=False)
    for title, names in (
        ("Target tasks", [task.name for task in TARGET_TASKS]),
        ("Tasks with doors", [task.name for task in DOOR_TASKS]),
        ("Pre-training tasks", [task.name for task in PRETRAINING_TASKS]),
        ("Your own tasks", [task.name for task in OTHER_TASKS]),
        ("Kitchens that pre-training never sees", held_out_kitchens()),
        ("Pre-training kitchens", pretraining_kitchens()),
        ("Cameras", CAMERAS),
    ):
        if names:
            console.print(f"[bold]{title}[/bold]\n  " + "\n  ".join(names))
    return 0
