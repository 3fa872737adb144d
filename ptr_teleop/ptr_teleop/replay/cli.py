# SPDX-License-Identifier: Apache-2.0
"""`ptr replay`: play a recorded episode on the arm or in the simulator."""

from __future__ import annotations

import argparse
import math
import sys

from ptr_models.common import arguments
from ptr_models.common.namespaces import add_namespace
from ptr_models.episodes.reader import read_metadata

DESCRIPTION = """\
Play a recorded episode on the running robot (`ptr launch ptr_bringup robot.launch.xml`): a slow move to where it
started, then its commanded motion and gripper at the recorded rate, through the arm's safety gate. To end playback,
take over with a device or press Ctrl-C."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "replay",
        help="play a recorded episode on the arm or in the simulator",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("episode", type=arguments.existing, metavar="BAG", help="folder of the episode")
    parser.add_argument(
        "--scene", action="store_true", help="first set up the simulated scene of the recording (kitchen, task, seed)"
    )
    parser.add_argument("--yes", action="store_true", help="start without asking")
    add_namespace(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask, move to the start, play, and print how far from the recorded end the gripper stopped."""
    from rclpy.node import Node
    from rich.progress import Progress

    from ptr_bringup.ros.session import Caller, run_session
    from ptr_teleop.replay.player import Player, ReplayError
    from ptr_teleop.replay.track import read_track

    metadata, track = read_metadata(options.episode), read_track(options.episode)
    start = ", ".join(f"{value:.3f}" for value in track.pose(0.0).position)
    print(f"{metadata.episode_id}: {track.duration:.1f} s of {metadata.task}; the arm moves to ({start}) m first")
    seed = metadata.seed
    if options.scene and seed is None:
        raise ReplayError(f"{metadata.episode_id} was not recorded in a simulated scene; leave out --scene")
    if not options.yes and not _confirmed():
        raise ReplayError("nothing was moved; confirm, or give --yes to start without being asked")

    def work(_: Node, caller: Caller) -> int:
        player = Player(caller)
        if options.scene and seed is not None:
            player.lay_scene(metadata.kitchen, metadata.task, seed)
        player.approach(track)
        with Progress() as progress:
            bar = progress.add_task(metadata.task, total=track.duration)
            result = player.play(track, lambda time: progress.update(bar, completed=time))
        print(
            f"the gripper ended {result.position * 1e3:.1f} mm and {math.degrees(result.rotation):.1f} degrees "
            "from its recorded pose"
        )
        return 0

    home = options.namespace or None
    return run_session(lambda: Node("replay", namespace=home), work, "replay", args=[], expected=())


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("Is the arm's path clear? [y/N] ").strip().lower() in ("y", "yes")
