# SPDX-License-Identifier: Apache-2.0
"""`ptr analyze`: what a checkpoint knows, the choice of a checkpoint, training curves."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import begins_again, next_step
from ptr_models.episodes.exclusion import add_exclude

if TYPE_CHECKING:
    from ptr_models.replay import Dataset

from ptr_models.common.files import write_json

EPILOGUE = """\
examples:
  ptr analyze q data/croissant --checkpoint runs/croissant --out q.png --json values.json
  ptr analyze critical data/croissant --checkpoint runs/croissant --compare runs/bc --out critical.png
  ptr analyze action-sensitivity runs/croissant --data data/croissant
  ptr analyze generalization runs/croissant --unseen data/more_croissant      does it know new episodes too?
  ptr analyze choose --run runs/croissant      which checkpoint PTR's rule chooses, from the run's demonstrations
  ptr analyze training runs/croissant --out curves.png"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `analyze` to `ptr`."""
    analyze = subparsers.add_parser(
        "analyze",
        help="show what a checkpoint knows, choose a checkpoint, plot training curves",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    analyze.set_defaults(run=lambda _: analyze.print_help())
    kinds = analyze.add_subparsers(title="kinds", metavar="KIND")
    q = kinds.add_parser("q", help="Q along demonstrations, as an image")
    q.add_argument("--checkpoint", type=arguments.checkpoint, required=True, metavar="DIR", help="of a method with Q")
    q.add_argument(
        "--out", type=arguments.figure_file, default=Path("q.png"), metavar="FILE", help="image (default: q.png)"
    )
    q.add_argument("--json", type=arguments.output_file, metavar="FILE", help="also write the values to this file")
    q.set_defaults(run=run_q)
    critical = _add_critical(kinds)
    _add_action_sensitivity(kinds)
    _add_generalization(kinds)
    choose = kinds.add_parser("choose", help="choose the earliest checkpoint of a run whose values rise")
    choose.add_argument(
        "--run", dest="run_folder", type=arguments.existing_folder, required=True, metavar="DIR", help="training run"
    )
    choose.add_argument(
        "--earliest",
        type=arguments.optional_count,
        metavar="N",
        help="minimum updates of fine-tuning for a choice (default: the run's)",
    )
    choose.add_argument("--out", type=arguments.figure_file, metavar="FILE", help="image of the scores")
    choose.set_defaults(run=run_choose)
    for parser in (q, critical, choose):
        optional = parser is choose  # the run knows its own
        parser.add_argument(
            "bags",
            nargs="*" if optional else "+",
            type=arguments.episodes,
            metavar="BAGS",
            help="folders of demonstrations, or sets (.json)",
        )
        arguments.add_limit(parser, 10)
        add_exclude(parser)
        arguments.add_cache(parser)
    training = kinds.add_parser("training", help="plot the curves of a training run")
    arguments.also_by_place(
        training, "run", "run_folder", type=arguments.existing_folder, metavar="RUN", help="folder of the run"
    )
    training.add_argument(
        "--out",
        type=arguments.figure_file,
        default=Path("training.png"),
        metavar="FILE",
        help="image (default: training.png)",
    )
    training.set_defaults(run=run_training)


def _add_critical(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = kinds.add_parser(
        "critical",
        help="mark the decisions of a demonstration that matter, according to Q",
        description="Mark the decisions at which the Q-function separates the action taken from its alternatives, draw "
        "Q and advantage under the film strip, and compare the policies' errors there with their other errors.",
    )
    parser.add_argument(
        "--checkpoint", type=arguments.checkpoint, required=True, metavar="DIR", help="of a method with a Q-function"
    )
    parser.add_argument(
        "--compare", type=arguments.checkpoint, metavar="DIR", help="checkpoint of another method, such as BC"
    )
    parser.add_argument(
        "--alternatives",
        choices=("data", "policy", "uniform"),
        default="data",
        help="what the action taken is compared with: actions of other moments of the data, samples of the policy, or "
        "uniform ones (default: data)",
    )
    parser.add_argument(
        "--count", type=arguments.count, default=32, metavar="N", help="alternatives per decision (default: 32)"
    )
    parser.add_argument(
        "--share",
        type=arguments.share,
        metavar="0..1",
        default=0.2,
        help="of decisions that may be critical (default: 0.2)",
    )
    parser.add_argument("--seed", type=arguments.seed, default=0, metavar="N", help="of the random draws (default: 0)")
    parser.add_argument("--out", type=arguments.figure_file, default=Path("critical.png"), metavar="FILE", help="image")
    parser.add_argument("--json", type=arguments.output_file, metavar="FILE", help="write all results to this file")
    parser.set_defaults(run=run_critical)
    return parser


def _add_action_sensitivity(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "action-sensitivity",
        help="show how much Q depends on translation, rotation and gripper",
        description="Replace the translation, the rotation or the gripper of the data actions by uniform values and "
        "print how much Q is lost on average, and how far the actor's samples spread per dimension.",
    )
    _add_checkpoint_and_episodes(parser, {"--data": "folders of episodes, or sets (.json)"}, "episodes")
    parser.add_argument(
        "--count", type=arguments.count, default=16, metavar="N", help="uniform actions per state (default: 16)"
    )
    parser.set_defaults(run=run_action_sensitivity)


def _add_generalization(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "generalization",
        help="compare a checkpoint with episodes that it has not seen",
        description="Print how far the policy's actions are from those of its training data and of other episodes, and "
        "how well Q predicts the returns of both. Their tasks are the same, so a gap shows what it has memorized.",
    )
    folders = {"--unseen": "folders of other episodes of the same tasks, or sets (.json)"}
    _add_checkpoint_and_episodes(parser, folders, "episodes of each kind")
    about = "folders of its training data, or sets (.json) (default: those that the run names)"
    arguments.several(parser, "--data", type=arguments.episodes, metavar="DIR", help=about)
    parser.set_defaults(run=run_generalization)


def _add_checkpoint_and_episodes(parser: argparse.ArgumentParser, folders: Mapping[str, str], limited: str) -> None:
    """Add a checkpoint, required options for folders (with their help), the number of episodes, and the JSON file."""
    about = "checkpoint folder, or the folder of a run"
    arguments.also_by_place(parser, "checkpoint", type=arguments.checkpoint, metavar="CHECKPOINT", help=about)
    for option, words in folders.items():
        arguments.several(parser, option, type=arguments.episodes, required=True, metavar="DIR", help=words)
    arguments.add_limit(parser, 50, limited)
    parser.add_argument("--seed", type=arguments.seed, default=0, metavar="N", help="of the random draws (default: 0)")
    add_exclude(parser)
    arguments.add_cache(parser)
    parser.add_argument("--json", type=arguments.output_file, metavar="FILE", help="write all results to this file")


@begins_again
def run_q(options: argparse.Namespace) -> int:
    """`ptr analyze q`."""
    from ptr_models.analysis.figures import q_figure
    from ptr_models.analysis.values import report, trend_score, value_curves
    from ptr_models.common.plotting import save
    from ptr_models.inference.policy import Policy

    policy = Policy.load(options.checkpoint)
    data = _opened(options.bags, policy, options)
    curves = value_curves(policy, data, policy.checkpoint.config.labelling)
    score = trend_score(curves)
    for curve, item in zip(curves, score.trends, strict=True):
        print(
            f"{curve.name}: Q {curve.pessimistic[0]:.2f} to {curve.pessimistic[-1]:.2f}, "
            f"rank correlation {item.spearman:.2f}, rising on {100 * item.rising:.0f} % of the steps"
        )
    if options.json is not None:
        write_json(options.json, report(curves, str(options.checkpoint)))
    print(f"trend score {score.score:.3f}; image: {save(q_figure(curves), options.out)}")
    _next_view(options)
    return 0


def _next_view(options: argparse.Namespace) -> None:
    next_step("view", *options.bags, "--checkpoint", options.checkpoint, about="videos with Q along them")


@begins_again
def run_critical(options: argparse.Namespace) -> int:
    """`ptr analyze critical`."""

    from ptr_models.analysis.critical import compare, critical, judge, report
    from ptr_models.analysis.critical_figure import critical_figure
    from ptr_models.common.plotting import save
    from ptr_models.inference.policy import Policy

    policy = Policy.load(options.checkpoint)
    name = policy.checkpoint.config.preset
    other = {} if options.compare is None else _named(Policy.load(options.compare), name)
    data = _opened(options.bags, policy, options, others=other)
    arguments = {"alternatives": options.alternatives, "count": options.count, "seed": options.seed, "name": name}
    decisions = judge(policy, data, other, **arguments)
    marks = critical(decisions, options.share)
    for item, mark in zip(decisions, marks, strict=True):
        steps = ", ".join(str(step) for step in mark.nonzero()[0]) or "none"
        print(f"{item.name}: {mark.sum()} of {len(mark)} decisions are critical: {steps}")
    for label in decisions[0].errors:
        found = compare(decisions, marks, label, options.seed)
        if found is not None:
            low, high = found.interval
            print(
                f"{label}: error {found.critical:.3f} at critical decisions, {found.other:.3f} at the others; "
                f"difference {found.difference:+.3f} (95 %: {low:+.3f} to {high:+.3f})"
            )
    if options.json is not None:
        write_json(options.json, report(decisions, marks))
    print(f"image: {save(critical_figure(decisions, marks), options.out)}")
    _next_view(options)
    return 0


@begins_again
def run_action_sensitivity(options: argparse.Namespace) -> int:
    """`ptr analyze action-sensitivity`."""

    from ptr_models.analysis.action_sensitivity import action_sensitivity
    from ptr_models.inference.policy import Policy

    policy = Policy.load(options.checkpoint)
    data = _opened(options.data, policy, options, options.seed)
    found = action_sensitivity(policy, data, count=options.count, seed=options.seed)
    print(found)
    if options.json is not None:
        write_json(options.json, found.to_dict())
    words = ("--checkpoint", options.checkpoint, "--task", "…", "--kitchen", "…")
    next_step("sim", "decoding", *words, about="tries ways of choosing actions")
    return 0


@begins_again
def run_generalization(options: argparse.Namespace) -> int:
    """`ptr analyze generalization`."""
    from rich.console import Console

    from ptr_models.analysis.generalization import fit, fit_table, split
    from ptr_models.inference.policy import Policy
    from ptr_models.training.data import DATA, Bags, bags_of_run, limited, open_folders

    policy = Policy.load(options.checkpoint)
    checkpoint = policy.checkpoint
    found = {"cache": options.cache, "exclude": options.exclude, "goal_images": policy.by_goal_image}
    run = checkpoint.path.parent.parent
    if not options.data and not (run / DATA).is_file():
        raise PtrError(f"{checkpoint.path} does not say what it was trained on; name its training data with --data")
    bags = Bags(options.data) if options.data else bags_of_run(run)
    seen = open_folders([*bags.prior, *bags.target], policy.contract, inherited=bags.exclude, **found)
    seen, unseen = split(seen, open_folders(options.unseen, policy.contract, **found), checkpoint.tasks)
    labelling = checkpoint.config.labelling if policy.has_values else None
    fits = {
        name: fit(policy, limited(data, options.limit, options.seed), labelling)
        for name, data in (("training data", seen), ("unseen", unseen))
    }
    Console().print(fit_table(fits))
    if options.json is not None:
        write_json(options.json, {name: item.to_dict() for name, item in fits.items()})
    next_step(
        "sim", "evaluate", "--checkpoint", options.checkpoint, "--task", "…", "--kitchen", "…", about="run trials of it"
    )
    return 0


def _opened(
    folders: Sequence[Path],
    policy: Any,
    options: argparse.Namespace,
    seed: int = 0,
    others: Mapping[str, Any] | None = None,
) -> Dataset:
    """At most `--limit` of the episodes in some folders, chosen by the seed, without those of `--exclude`.

    Args:
        others: policies with the same observations.
    """
    from ptr_models.training.data import limited, open_folders

    goal_images = any(one.by_goal_image for one in (policy, *(others or {}).values()))
    found = {"cache": options.cache, "exclude": options.exclude}
    data = open_folders(folders, policy.contract, goal_images=goal_images, **found)
    return limited(data, options.limit, seed)


def _named(policy: Any, taken: str) -> dict[str, Any]:
    """A policy by the name of its preset, with a suffix if that name is already taken."""
    name = policy.checkpoint.config.preset
    return {name if name != taken else f"{name} (compared)": policy}


@begins_again
def run_choose(options: argparse.Namespace) -> int:
    """`ptr analyze choose`."""
    from ptr_models.analysis.choice import choose_of_run
    from ptr_models.analysis.figures import trend_figure
    from ptr_models.common.plotting import save
    from ptr_models.training.runs import checkpoint_step

    found = choose_of_run(
        options.run_folder,
        options.bags,
        earliest=options.earliest,
        demonstrations=options.limit,
        cache=options.cache,
        exclude=options.exclude,
    )
    print(found)
    if options.out is not None and found.candidates:
        steps, scores = zip(*((item.step, item.trend.score) for item in found.candidates), strict=True)
        print(f"image: {save(trend_figure(steps, scores, checkpoint_step(found.path)), options.out)}")
    next_step("sim", "evaluate", "--checkpoint", found.path, "--task", "…", "--kitchen", "…", about="run trials of it")
    return 0


@begins_again
def run_training(options: argparse.Namespace) -> int:
    """`ptr analyze training`."""
    from ptr_models.analysis.figures import read_metrics, training_figure
    from ptr_models.common.plotting import save

    print(save(training_figure(read_metrics(options.run_folder)), options.out))
    next_step("analyze", "choose", "--run", options.run_folder, about="which of its checkpoints to use")
    return 0
