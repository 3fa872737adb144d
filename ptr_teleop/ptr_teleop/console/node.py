# SPDX-License-Identifier: Apache-2.0
"""The node `console`: listens to the robot and serves the page in its own thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.node import Node

from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_teleop.console.addresses import LOCAL_NAMES, machine_names, qr_code, url
from ptr_teleop.console.admission import REMOTE
from ptr_teleop.console.credentials import default_folder, keep_address, obtain
from ptr_teleop.console.episodes import EpisodeLibrary
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.listener import Listener, image_topic
from ptr_teleop.console.ros_robot import RosRobot
from ptr_teleop.console.security import Guard
from ptr_teleop.console.server import ConsoleServer, Door
from ptr_teleop.console.state import ConsoleState
from ptr_teleop.console.values import ValueSource

TERMINAL_MARK = "PTR_TERMINAL_MARK"
"""Variable in which `ptr launch` gives the prefix of lines that it prints on the terminal but keeps out of its logs."""
STALLED = 0.5  # s of silence after which a stream is shown as stalled
PORTS = 10  # number of ports tried: several robots on one machine have a page each


class ConsoleNode(RunnableNode, Node):
    """`Listener` turns messages into the pages' state, `RosRobot` turns the pages' requests into service calls."""

    def __init__(self) -> None:
        super().__init__("console")
        self._declare()
        cameras = [str(name) for name in self._value("cameras") if name]
        tasks = [str(name) for name in self._value("tasks") if name]
        limits = dict.fromkeys([*map(image_topic, cameras), "/arm/state", "/joint_states"], STALLED)
        frames, reference = {name: NewestFrame() for name in cameras}, NewestFrame()
        self._robot = self.get_namespace().strip("/")
        task, operator = str(self._value("task")), str(self._value("operator_name"))
        state = ConsoleState(cameras, tasks, limits, task, operator, self._robot)
        self._listener = Listener(self, state, frames, reference)
        values = ValueSource(str(self._value("values")), str(self._value("checkpoint")))
        episodes = EpisodeLibrary(lambda: str(self._value("episodes")) or _directory_of(state), values)
        robot = RosRobot(self, state, frames, reference, episodes)
        doors = self._doors()
        self._server = ConsoleServer(robot, doors)
        self._announce(doors, self._server.start())

    def close(self) -> None:
        """Close the connections of all pages."""
        self._server.stop()

    def _declare(self) -> None:
        declare(self, "port", 8765, "port of the page on this machine; if in use, the next free one", (0, 65000))
        declare(self, "remote", False, "also serve other machines, encrypted, if they have the token")
        declare(
            self,
            "remote_port",
            8766,
            "port of the page for other machines; if in use, the next free one",
            (0, 65000),
        )
        declare(self, "names", [""], "additional host names and addresses under which other machines reach this one")
        declare(self, "credentials", "", f"folder of token, key and certificate; empty: {default_folder()}")
        declare(self, "cameras", ["over_shoulder"], "names of the cameras: /camera/NAME/image/compressed")
        declare(self, "tasks", [""], "task names offered by the page")
        declare(self, "task", "", "initially selected task")
        declare(self, "episodes", "", "folder of the episodes that the page lists; empty: where the recorder writes")
        declare(self, "values", "", "JSON file of `ptr analyze q` with Q along these episodes; empty: none")
        declare(self, "checkpoint", "", "checkpoint that computes Q along an episode on request; empty: none")
        declare(self, "operator_name", "", "initial value of the page's field for who drives")

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _credentials(self) -> Path:
        return Path(str(self._value("credentials")) or default_folder())

    def _doors(self) -> list[Door]:
        doors = [Door("127.0.0.1", int(self._value("port")), Guard("http", LOCAL_NAMES), ports=PORTS)]
        if self._value("remote"):
            names = [*machine_names(), *(str(name) for name in self._value("names") if name), *LOCAL_NAMES]
            credentials = obtain(self._credentials(), names)
            guard = Guard("https", [name.lower() for name in names], credentials.token)
            doors.append(Door("0.0.0.0", int(self._value("remote_port")), guard, credentials.tls(), PORTS, REMOTE))
            self.get_logger().info(f"SHA-256 of the console's certificate: {credentials.fingerprint}")
        return doors

    def _announce(self, doors: Sequence[Door], ports: Sequence[int]) -> None:
        """Print the page's address. The token goes to the terminal only: others can read logs and /rosout."""
        whose = f"the console of {self._robot}" if self._robot else "the console"
        self.get_logger().info(f"{whose} is at {url('http', '127.0.0.1', ports[0])}")
        if len(doors) > 1:
            names = machine_names()
            address = url("https", names[-1], ports[1], doors[1].guard.token)
            place = url("https", names[-1], ports[1])
            file = keep_address(self._credentials(), address, self._robot)
            self.get_logger().info(f"and for other machines at {place}; its token is in {file}")
            _show_on_terminal(f"with its token: {address}\n{qr_code(address)}")


def _directory_of(state: ConsoleState) -> str:
    """The recorder's folder, from its last status; empty: no status yet."""
    return "" if state.recorder is None else str(state.recorder.value["directory"])


def _show_on_terminal(text: str) -> None:
    """Print a text that only the person at the terminal sees; print nothing if output goes to a file or a pipe."""
    mark = os.environ.get(TERMINAL_MARK, "")
    if not mark and not sys.stdout.isatty():
        return
    print("".join(f"{mark}{line}\n" for line in text.splitlines()), end="", flush=True)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run(ConsoleNode, "console", args)


if __name__ == "__main__":
    sys.exit(main())
