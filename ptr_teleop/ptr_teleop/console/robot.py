# SPDX-License-Identifier: Apache-2.0
"""What the server needs of everything behind it; `ros_robot` has it over ROS, tests have their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.requests import Request
from ptr_teleop.console.state import ConsoleState

if TYPE_CHECKING:  # it knows messages; a server can be tested without ROS
    from ptr_teleop.console.episodes import EpisodeLibrary


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        done: it was carried out.   text: one sentence for the person.
    """

    done: bool
    text: str


class Robot(Protocol):
    """The arm, the recorder and the teleoperation node, as a page sees them."""

    state: ConsoleState
    frames: Mapping[str, NewestFrame]
    episodes: EpisodeLibrary
    reference: NewestFrame  # the start image that a trial's scene has to match

    async def carry_out(self, request: Request) -> Answer:
        """Do what a page asks for; never raises, always ends."""

    def drive(self, device: str, packet: str) -> None:
        """Pass on a packet of a page that drives, unchanged.

        Args:
            device: one of `requests.DEVICES`.
        """
