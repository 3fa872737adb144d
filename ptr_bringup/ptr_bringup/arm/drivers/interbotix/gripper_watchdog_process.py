# SPDX-License-Identifier: Apache-2.0
"""A process beside the arm node that takes the force off the gripper when that node is killed, or hangs.

xs_sdk has no watchdog: a gripper that is told to move by PWM pushes on until somebody tells it otherwise. The motor's
own, the register Bus Watchdog, is of no help: every instruction on the bus feeds it (ROBOTIS e-manual), and xs_sdk goes
on reading the joints a hundred times a second. So somebody else has to speak, and be there before: this process.

The arm node writes each force that it sends into this process's standard input, one line each. The end of that input
is the end of the arm node, however it came.
"""

from __future__ import annotations

import os
import select
import sys
import time

import rclpy
from interbotix_xs_msgs.msg import JointSingleCommand
from rclpy.duration import Duration
from rclpy.signals import SignalHandlerOptions

from ptr_bringup.arm.drivers.interbotix.gripper_watchdog import HeldForce
from ptr_bringup.arm.drivers.interbotix.xs_sdk_procedures import GRIPPER

TIMEOUT = 0.3
"""s without a word after which the arm node hangs; it writes 50 times a second."""
_MATCHED = 2.0
"""s for which xs_sdk is waited for, if it isn't known yet."""
_LAST_WORD = Duration(seconds=0.5)
"""for which xs_sdk is given time to take the command."""
_TIMES, _BETWEEN = 3, 0.05
"""How often it is told, and s between: a command of the arm node still on its way may arrive after the first one."""
_STAY = 0.3
"""s for which this process stays after that: a message whose publisher vanishes may be lost on its last stretch."""


def main(topic: str, hold: float, name: str) -> None:
    """Watch over the gripper until standard input ends.

    Args:
        topic: of single commands to xs_sdk.
        hold: PWM up to which a closing gripper is left alone: it holds something.
        name: of this node.
    """
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name, start_parameter_services=False)
    publisher = node.create_publisher(JointSingleCommand, topic, 1)
    held = HeldForce(hold)
    while (word := _listen()) != b"":
        if word is not None:
            held.feed(word)
        elif held.expire():
            _release(publisher)
            node.get_logger().warning("The arm node hangs while the gripper moves: its force is taken off.")
    if held.expire():
        _release(publisher)
        node.get_logger().warning("The arm node was killed while the gripper moved: its force is taken off.")
        time.sleep(_STAY)
    node.destroy_node()
    rclpy.try_shutdown()


def _listen() -> bytes | None:
    """What was written meanwhile, empty at the end; None when nothing was for too long."""
    readable, _, _ = select.select([0], [], [], TIMEOUT)
    return os.read(0, 4096) if readable else None


def _release(publisher: rclpy.publisher.Publisher) -> None:
    deadline = time.monotonic() + _MATCHED
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in range(_TIMES):
        publisher.publish(JointSingleCommand(name=GRIPPER, cmd=0.0))
        publisher.wait_for_all_acked(_LAST_WORD)
        time.sleep(_BETWEEN)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
