# SPDX-License-Identifier: Apache-2.0
"""`ptr view`: bags as videos, or in Rerun."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ptr_models.common import arguments
from ptr_models.common.guidance import next_step
from ptr_models.common.plain_text import plain
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.exclusion import Exclusion, add_exclude

if TYPE_CHECKING:
    from ptr_models.inference.policy import Policy

DESCRIPTION = """\
Write a video of each bag: the images of all cameras, and under them Q, the commanded motion, the rotation and the
gripper, with a cursor. Events that the recorder and the arm's safety gate reported are shown between them. Q is as
recorded by the policy server, or with --checkpoint computed by a checkpoint for the recorded actions and for its own.
Bags that training cannot use are shown, too."""
EPILOGUE = """\
examples:
  ptr view data/carrot/episode_0001                          videos/episode_0001.mp4
  ptr view data/carrot --out videos/carrot                   a video of each episode
  ptr view data/carrot --checkpoint runs/carrot              with the values of a checkpoint
  ptr view data/carrot/episode_0001 --format webp --width 400 --no-curves   an animated image for a web page
  ptr view data/carrot/episode_0001 --rerun                  in Rerun (pip install rerun-sdk)"""
FORMATS = ("mp4", "webp", "gif")


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `view` to `ptr`."""
    parser = subparsers.add_parser(
        "view",
        help="make videos of bags (images, actions, gripper, events and Q), or open them in Rerun",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    about = "an episode's folder, a folder of episodes, or a set (.json)"
    add("paths", nargs="+", type=arguments.existing, metavar="BAG", help=about)
    about = "folder of the videos, each named after its episode (default: videos)"
    add("--out", type=arguments.output_folder, default=Path("videos"), metavar="DIR", help=about)
    about = "checkpoint whose Q-function is shown; its inputs must be in the bags"
    add("--checkpoint", type=arguments.checkpoint, metavar="DIR", help=about)
    about = "task on which the checkpoint is conditioned (default: that of the bag)"
    add("--task", type=arguments.any_task, metavar="NAME", help=about)
    add("--format", choices=FORMATS, default="mp4", help="of the files (default: mp4)")
    add("--fps", type=arguments.Whole(1, 60), default=10, metavar="N", help="frames per second (default: 10)")
    about = "of a frame in pixels; the cameras share it (default: 640)"
    add("--width", type=arguments.Whole(160, 3840), default=640, metavar="N", help=about)
    about = "seconds of the episode per second of the video (default: 1)"
    add("--speed", type=arguments.Real(0.05, 100.0), default=1.0, metavar="X", help=about)
    add("--no-curves", action="store_true", help="images only")
    add("--rerun", action="store_true", help="write .rrd files instead, and open them in Rerun (pip install rerun-sdk)")
    add_exclude(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ptr_models.common.video import require_av
    from ptr_models.episodes.inspection import episodes_in
    from ptr_models.viewing.rerun_export import open_rerun, require_rerun

    if options.rerun:
        require_rerun()
    elif options.format == "mp4":
        require_av()
    console = Console(stderr=True, highlight=False)
    episodes, failures = episodes_in(options.paths, Exclusion(options.exclude), console)
    policy, written = None, []
    if options.checkpoint is not None:
        from ptr_models.inference.policy import Policy

        policy = Policy.load(options.checkpoint)
    for episode in episodes:
        try:
            written.append(_write(episode, policy, options))
        except EpisodeError as error:
            if len(episodes) == 1:
                raise
            failures += 1
            print(f"error: {plain(error)}", file=sys.stderr)
            continue
        print(plain(written[-1]), flush=True)
    if options.rerun and written:
        open_rerun(written)
    elif written and policy is None:
        next_step("view", *options.paths, "--checkpoint", "…", about="with Q along them")
    return 2 if failures else 0


def _write(episode: Path, policy: Policy | None, options: argparse.Namespace) -> Path:
    """Write the file of an episode."""
    from ptr_models.viewing.drawing import Drawing
    from ptr_models.viewing.files import write_video
    from ptr_models.viewing.recording import read_recording, with_values
    from ptr_models.viewing.rerun_export import write_rrd

    recording = read_recording(episode)
    if policy is not None:
        recording = with_values(recording, policy, options.task or "")
    out = options.out / f"{recording.path.resolve().name}.{'rrd' if options.rerun else options.format}"
    if options.rerun:
        return write_rrd(recording, out)
    drawing = Drawing(recording, options.width, options.fps, not options.no_curves, options.speed)
    return write_video(out, drawing, options.fps)
