# SPDX-License-Identifier: Apache-2.0
"""`ptr train classifier`: whether a task is done, from the image alone."""

from __future__ import annotations

import argparse

from ptr_models.common import arguments
from ptr_models.common.guidance import BEGINS_AGAIN, next_step, resumable
from ptr_models.common.output_folder import locked
from ptr_models.episodes.exclusion import add_exclude

DESCRIPTION = """\
Train a success classifier on demonstrations: their last frames show a finished task, all others, and every frame of
an episode that failed, do not. Its encoder starts from the checkpoint's. Success is N frames in a row above a
threshold that is chosen on held-out episodes."""
EPILOGUE = """\
examples:
  ptr train classifier --checkpoint runs/carrot/checkpoints/step_00022500 --target data/carrot --out runs/carrot_done
  ptr train classifier --checkpoint runs/carrot/checkpoints/step_00022500 --target data/carrot data/carrot_trials \\
                       --undo put_carrot_in_pot take_carrot_out_of_pot --out runs/carrot_done

The folder holds classifier.json, classifier.safetensors and held_out.png."""


def add_classifier(kinds: argparse._SubParsersAction) -> None:
    """Add `classifier` to `ptr train`."""
    parser = kinds.add_parser(
        "classifier",
        help="train a classifier that decides from an image whether a task is done",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        type=arguments.checkpoint,
        required=True,
        metavar="DIR",
        help="checkpoint of the policy that will be improved",
    )
    arguments.several(
        parser,
        "--target",
        type=arguments.episodes,
        required=True,
        metavar="DIR",
        help="folders of demonstrations, and of labelled trials, or sets of them",
    )
    add_exclude(parser)
    add("--out", type=arguments.output_folder, required=True, metavar="DIR", help="folder of the classifier")
    add(
        "--undo",
        nargs=2,
        action="append",
        default=[],
        type=arguments.any_task,
        metavar=("TASK", "TASK"),
        help="two tasks that undo each other: one is done where the other starts",
    )
    add("--steps", type=arguments.count, default=600, metavar="N", help="updates (default: 600)")
    add("--last", type=arguments.count, default=3, metavar="N", help="frames at the end of a success (default: 3)")
    add(
        "--margin",
        type=arguments.optional_count,
        default=2,
        metavar="N",
        help="frames before those that are left out (default: 2)",
    )
    add(
        "--consecutive",
        type=arguments.count,
        default=3,
        metavar="N",
        help="frames in a row that make a success (default: 3)",
    )
    add("--seed", type=arguments.seed, default=0, metavar="N", help="of split, batches and augmentation (default: 0)")
    add("--threads", type=arguments.optional_count, default=0, metavar="N", help="CPU threads of PyTorch")
    arguments.add_cache(parser)
    parser.set_defaults(run=run_classifier)


def run_classifier(options: argparse.Namespace) -> int:
    """`ptr train classifier`."""
    with locked(options.out):
        return _train(options)


def _train(options: argparse.Namespace) -> int:
    import dataclasses

    import torch
    from rich.console import Console
    from rich.progress import Progress

    from ptr_models.reward.classifier import require_free
    from ptr_models.reward.fitting import FitOptions, card_of, fit_classifier
    from ptr_models.reward.report import draw, table_of
    from ptr_models.training.checkpoint import read_checkpoint
    from ptr_models.training.data import open_folders

    require_free(options.out)
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    checkpoint = read_checkpoint(options.checkpoint)
    data = open_folders(options.target, checkpoint.contract, cache=options.cache, exclude=options.exclude)
    opposites = tuple((first, second) for first, second in options.undo)
    how = FitOptions(
        steps=options.steps,
        last=options.last,
        margin=options.margin,
        consecutive=options.consecutive,
        opposites=opposites,
        seed=options.seed,
    )
    done, again = 0, f"nothing is kept; {BEGINS_AGAIN}"
    interrupted = resumable(lambda: f"{done} of {how.steps} updates are made", again)
    with interrupted, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("success classifier", total=how.steps)

        def advance(step: int, _: object) -> None:
            nonlocal done
            done = step
            bar.update(task, completed=step)

        classifier, found = fit_classifier(checkpoint, data, how, advance)
    card = card_of(how, data, found, found.episode_verdicts(classifier))
    path = dataclasses.replace(classifier, card=card).save(options.out)
    draw(classifier, found, path / "held_out.png")
    Console().print(table_of(classifier, found))
    print(f"Success: {how.consecutive} frames in a row above the threshold. Classifier: {path}")
    words = ("--checkpoint", options.checkpoint, "--classifier", path, "--target", *options.target, "--out", "…")
    next_step("train", "online", *words, about="improve the policy with its own trials")
    return 0
