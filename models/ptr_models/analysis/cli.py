# SPDX-License-Identifier: Apache-2.0
"""`ptr analyze`: values along demonstrations, checkpoint choice, training curves."""

from __future__ import annotations

import argparse
from pathlib import Path

EPILOGUE = """\
examples:
  ptr analyze q data/croissant --checkpoint runs/croissant/checkpoints/step_00062000 --out q.png
  ptr analyze choose data/croissant --run runs/croissant      which checkpoint PTR's rule takes
  ptr analyze training runs/croissant --out curves.png"""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `analyze` to `ptr`."""
    analyze = subparsers.add_parser(
        "analyze",
        help="values along demonstrations, checkpoint choice, training curves",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    analyze.set_defaults(run=lambda _: analyze.print_help())
    kinds = analyze.add_subparsers(title="kinds", metavar="KIND")
    q = kinds.add_parser("q", help="Q along demonstrations, as a picture")
    q.add_argument("--checkpoint", type=Path, required=True, metavar="DIR")
    q.add_argument("--out", type=Path, default=Path("q.png"), metavar="FILE", help="picture (default: q.png)")
    q.set_defaults(run=run_q)
    choose = kinds.add_parser("choose", help="the earliest checkpoint of a run whose values rise")
    choose.add_argument(
        "--run", dest="run_folder", type=Path, required=True, metavar="DIR", help="training run"
    )
    choose.add_argument(
        "--earliest", type=int, default=0, metavar="N", help="updates of fine-tuning that are needed"
    )
    choose.add_argument("--out", type=Path, metavar="FILE", help="picture of the scores")
    choose.set_defaults(run=run_choose)
    for parser in (q, choose):
        parser.add_argument("bags", nargs="+", type=Path, metavar="BAGS", help="folders of demonstrations")
        parser.add_argument("--limit", type=int, default=10, metavar="N", help="demonstrations (default: 10)")
        parser.add_argument("--cache", type=Path, metavar="DIR", help="where replay caches lie")
    training = kinds.add_parser("training", help="curves of a training run, as a picture")
    training.add_argument("run_folder", type=Path, metavar="RUN")
    training.add_argument("--out", type=Path, default=Path("training.png"), metavar="FILE")
    training.set_defaults(run=run_training)


def run_q(options: argparse.Namespace) -> int:
    """`ptr analyze q`."""
    from ptr_models.analysis.figures import q_figure, save
    from ptr_models.analysis.values import trend_score, value_curves
    from ptr_models.replay import open_episodes
    from ptr_models.training.policy import Policy
    from ptr_models.training.session import limited

    policy = Policy.load(options.checkpoint)
    data = limited(open_episodes(options.bags, policy.contract, root=options.cache), options.limit, 0)
    curves = value_curves(policy, data, policy.checkpoint.config.data.labelling)
    score = trend_score(curves)
    for curve, item in zip(curves, score.trends, strict=True):
        print(
            f"{curve.name}: Q {curve.pessimistic[0]:.2f} to {curve.pessimistic[-1]:.2f}, "
            f"rank correlation {item.spearman:.2f}, rising on {100 * item.rising:.0f} % of the steps"
        )
    print(f"trend score {score.score:.3f}; picture: {save(q_figure(curves), options.out)}")
    return 0


def run_choose(options: argparse.Namespace) -> int:
    """`ptr analyze choose`."""
    from ptr_models.analysis.figures import save, trend_figure
    from ptr_models.analysis.values import choose, score_checkpoints
    from ptr_models.errors import PtrError
    from ptr_models.replay import open_episodes
    from ptr_models.training.checkpoint import read_checkpoint
    from ptr_models.training.session import limited

    paths = sorted((options.run_folder / "checkpoints").glob("step_*"))
    if not paths:
        raise PtrError(f"{options.run_folder} holds no checkpoints; give the folder of a training run")
    contract = read_checkpoint(paths[0]).contract
    data = limited(open_episodes(options.bags, contract, root=options.cache), options.limit, 0)
    candidates = score_checkpoints(paths, data)
    for item in candidates:
        verdict = "rises" if item.trend.accepted else "does not rise yet"
        print(f"update {item.step}: trend score {item.trend.score:.3f}, {verdict}")
    best = choose(candidates, options.earliest)
    if options.out is not None:
        save(
            trend_figure([c.step for c in candidates], [c.trend.score for c in candidates], best.step),
            options.out,
        )
    print(f"chosen: {best.path}")
    return 0


def run_training(options: argparse.Namespace) -> int:
    """`ptr analyze training`."""
    from ptr_models.analysis.figures import read_metrics, save, training_figure

    print(save(training_figure(read_metrics(options.run_folder)), options.out))
    return 0
