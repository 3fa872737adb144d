# SPDX-License-Identifier: Apache-2.0
"""The server's interface to the robot; `ros_robot` implements it over ROS, tests have their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.requests import Request
from ptr_teleop.console.state import ConsoleState

if TYPE_CHECKING:  # it imports ROS messages; the server is tested without ROS
    from ptr_teleop.console.episodes import EpisodeLibrary


@dataclass(frozen=True)
class Answer:
    """The result of a request.

    Attributes:
        done: True: carried out.   text: one sentence for the person.
    """

    done: bool
    text: str


class Robot(Protocol):
    """The arm, the recorder and the teleoperation node, as seen by a page."""

    state: ConsoleState
    frames: Mapping[str, NewestFrame]
    episodes: EpisodeLibrary
    reference: NewestFrame  # the start image that a trial's scene has to match

    async def carry_out(self, request: Request) -> Answer:
        """Carry out a page's request; never raises and always returns."""

    def drive(self, device: str, packet: str) -> None:
        """Forward a packet of a page that drives, unchanged.

        Args:
            device: one of `requests.DEVICES`.
        """
