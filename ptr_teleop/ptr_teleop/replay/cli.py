# SPDX-License-Identifier: Apache-2.0
"""`ptr replay`: a recorded episode on the arm or in the simulator."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ptr_models import arguments
from ptr_models.episodes.reader import read_metadata

if TYPE_CHECKING:
    from ptr_teleop.replay.player import Player

DESCRIPTION = """\
Play a recorded episode on the robot that runs (`ptr launch ptr_bringup robot.launch.xml`): a slow move to where it
began, then its commanded motion and gripper at the recorded rate, through the arm's safety gate. A human with a
device takes the arm at any time, and the replay ends; so does Ctrl-C."""


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
        "--scene", action="store_true", help="first lay the simulated scene of the recording (kitchen, task, seed)"
    )
    parser.add_argument("--yes", action="store_true", help="begin without asking")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Ask, move to the start, play, and say how near the end was."""
    from rich.progress import Progress

    from ptr_teleop.replay.player import ReplayError
    from ptr_teleop.replay.track import read_track

    metadata, track = read_metadata(options.episode), read_track(options.episode)
    start = ", ".join(f"{value:.3f}" for value in track.pose(0.0).position)
    print(f"{metadata.episode_id}: {track.duration:.1f} s of {metadata.task}; the arm moves to ({start}) m first")
    if not options.yes and not _confirmed():
        raise ReplayError("nothing was moved; give --yes to begin without being asked")
    with _player() as player:
        if options.scene:
            if metadata.seed is None:
                raise ReplayError(f"{metadata.episode_id} was not recorded in a simulated scene; leave out --scene")
            player.lay_scene(metadata.kitchen, metadata.task, metadata.seed)
        player.approach(track)
        with Progress() as progress:
            bar = progress.add_task(metadata.task, total=track.duration)
            result = player.play(track, lambda time: progress.update(bar, completed=time))
    print(
        f"the gripper ended {result.position * 1e3:.1f} mm and {math.degrees(result.rotation):.1f} degrees "
        "from where it was recorded"
    )


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("Is the way free? [y/N] ").strip().lower() in ("y", "yes")


@contextlib.contextmanager
def _player() -> Iterator[Player]:
    """A player whose node is spun by a thread; Ctrl-C and SIGTERM end the replay."""
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from ptr_teleop.replay.player import Player

    ended = threading.Event()
    former = {
        number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }

    def spin(executor: SingleThreadedExecutor) -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    with rclpy.init(signal_handler_options=SignalHandlerOptions.NO):
        node = rclpy.create_node("replay")
        player = Player(node, ended)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        thread = threading.Thread(target=spin, args=(executor,), daemon=True)
        thread.start()
        try:
            yield player
        finally:
            executor.shutdown()
            thread.join(timeout=5.0)
            node.destroy_node()
            for number, handler in former.items():
                signal.signal(number, handler)
