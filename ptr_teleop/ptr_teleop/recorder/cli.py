# SPDX-License-Identifier: Apache-2.0
"""`ptr record`: start and end an episode with the running recorder."""

from __future__ import annotations

import argparse
import importlib
import math
from typing import Any

from ptr_models.common import arguments
from ptr_models.common.guidance import next_step
from ptr_models.common.namespaces import add_namespace
from ptr_models.episodes.quality import DISCARD
from ptr_teleop.recorder.episode import RecorderError

DISCOVERY_TIMEOUT = 5.0  # s for the recorder to appear
RESPONSE_TIMEOUT = 60.0  # s for its response: writing a long episode to disk takes a while


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "record",
        help="start, save or discard an episode with the running recorder",
        description="Start and end an episode from the command line, like a device's buttons and the operator's page.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    start = actions.add_parser("start", help="start an episode")
    about = "name of the task, e.g. put_carrot_on_plate"
    arguments.also_by_place(start, "task", type=arguments.any_task, metavar="TASK", help=about)
    start.add_argument("--instruction", default="", metavar="TEXT", help="the task in free words")
    start.add_argument("--operator", default="", metavar="NAME", help="who drives")
    start.set_defaults(run=_start)
    save = actions.add_parser("save", help="end the episode and keep it")
    save.add_argument("outcome", choices=("success", "failure", "partial", "unlabelled"), help="its outcome")
    save.add_argument(
        "--score", type=arguments.share, metavar="0..1", default=math.nan, help="grade between 0 and 1, for partial"
    )
    save.add_argument("--note", default="", metavar="TEXT", help="one sentence")
    save.set_defaults(run=_save)
    discard = actions.add_parser("discard", help="end the episode and move it to `discarded`")
    about = "discard the episode that was saved last instead, as its audit may have recommended"
    discard.add_argument("--last", action="store_true", help=about)
    discard.set_defaults(run=_discard)
    about = "move the arm to its start and, in simulation, set up the next scene"
    following = actions.add_parser("next", help=about, description=about)
    following.set_defaults(run=_next)
    for action in (start, save, discard, following):
        add_namespace(action)


def _start(options: argparse.Namespace) -> None:
    fields = {"task": options.task, "operator_name": options.operator, "instruction": options.instruction}
    print(_ask(options, "StartEpisode", "recorder/start", kind="demonstration", **fields).message)


def _save(options: argparse.Namespace) -> None:
    fields = {"outcome": options.outcome, "score": options.score, "note": options.note}
    answer = _ask(options, "StopEpisode", "recorder/stop", save=True, **fields)
    pending = "the audit is still running; `ptr inspect` shows its findings"  # a long episode
    print(f"{answer.path}\nrecommendation: {answer.recommendation or pending}")
    for finding in answer.findings:
        print(f"  - {finding}")
    if answer.recommendation == DISCARD:
        next_step("record", "discard", "--last", about="follows the recommendation")


def _discard(options: argparse.Namespace) -> None:
    if options.last:
        print(_ask(options, "Trigger", "recorder/discard_last", package="std_srvs").message)
        return
    print(_ask(options, "StopEpisode", "recorder/stop", save=False, outcome="unlabelled", score=math.nan).path)


def _next(options: argparse.Namespace) -> None:
    print(_ask(options, "Trigger", "scene/next", package="std_srvs").message)


def _ask(options: argparse.Namespace, service_type: str, name: str, /, package: str = "ptr_msgs", **fields: Any) -> Any:
    """The recorder's response to a successful request.

    Raises:
        PtrError: no recorder is running, it refused, or it did not respond.
    """
    try:
        from ptr_bringup.ros.session import Caller, connected

        service = getattr(importlib.import_module(f"{package}.srv"), service_type)
    except ImportError as error:
        raise RecorderError(f"`ptr record` needs ROS 2: {error}") from error

    def make(caller: Caller) -> tuple[Caller, Any]:
        return caller, caller.node.create_client(service, name)

    with connected("ptr_record", make, options.namespace) as (caller, client):
        return caller.call(client, service.Request(**fields), RESPONSE_TIMEOUT, discovery=DISCOVERY_TIMEOUT)
