# SPDX-License-Identifier: Apache-2.0
"""The namespace of the robot that a command or a program talks to, if a ROS domain has several."""

from __future__ import annotations

import argparse
import os
import re

VARIABLE = "PTR_NAMESPACE"
"""Environment variable: the namespace of commands and programs that are given none."""
RUNS = "namespace of the robot, as given to its launch file"
STARTS = "namespace of the robot that is started, to run alongside others in the ROS domain"
"""What `--namespace` refers to in the help of a command: a running robot, or the one that the command starts."""


def namespace(text: str) -> str:
    """Type of an argument: a namespace of ROS, without the slashes around it; empty: none."""
    name = text.strip("/")
    if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not a namespace; write letters, digits and '_', such as left")
    return name


def checked(text: str | None) -> str:
    """The namespace that a program gives; None: the one from the environment.

    Raises:
        ValueError: it is not a namespace.
    """
    try:
        return namespace(os.environ.get(VARIABLE, "") if text is None else text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(str(error)) from None


def add_namespace(parser: argparse._ActionsContainer, about: str = RUNS) -> None:
    """`--namespace` of a command that talks to the nodes of a robot; `about`: what it refers to."""
    default, about = os.environ.get(VARIABLE, ""), f"{about} (default: ${VARIABLE}, or none)"
    parser.add_argument("--namespace", type=namespace, default=default, metavar="NAME", help=about)
