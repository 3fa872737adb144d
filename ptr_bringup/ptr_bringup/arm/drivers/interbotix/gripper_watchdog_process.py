# SPDX-License-Identifier: Apache-2.0
"""A process that zeroes the gripper's PWM when the arm node is killed or hangs.

xs_sdk has no watchdog: it keeps applying the last PWM. The motor's own Bus Watchdog register does not help, because
every instruction on the bus feeds it (ROBOTIS e-manual) and xs_sdk keeps reading the joints 100 times a second. So a
second process is needed that is already running when the arm node fails.

The arm node writes each force to this process's standard input, one per line. The input ends when the arm node does,
for whatever reason.
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
"""s without a line after which the arm node counts as hanging; it writes 50 times a second."""
_MATCH_TIMEOUT = 2.0
"""s to wait for xs_sdk if it has not been discovered yet."""
_ACK_TIMEOUT = Duration(seconds=0.5)
"""Time for xs_sdk to acknowledge the command."""
_REPEATS, _INTERVAL = 3, 0.05
"""Number of commands, and s between them: a command of the arm node in transit may arrive after the first one."""
_LINGER = 0.3
"""s that this process keeps running afterwards: a message may be lost if its publisher vanishes too early."""


def main(topic: str, hold: float, name: str) -> None:
    """Monitor the gripper until standard input ends.

    Args:
        topic: xs_sdk's topic for single commands.
        hold: PWM up to which a closing gripper is left alone, because it holds an object.
        name: of this node.
    """
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name, start_parameter_services=False)
    publisher = node.create_publisher(JointSingleCommand, topic, 1)
    held = HeldForce(hold)
    while (line := _read()) != b"":
        if line is not None:
            held.feed(line)
        elif held.expire():
            _release(publisher)
            node.get_logger().warning("The arm node hung while the gripper moved; the gripper's PWM is set to 0.")
    if held.expire():
        _release(publisher)
        node.get_logger().warning("The arm node was killed while the gripper moved; the gripper's PWM is set to 0.")
        time.sleep(_LINGER)
    node.destroy_node()
    rclpy.try_shutdown()


def _read() -> bytes | None:
    """What was written, empty at the end of the input; None after `TIMEOUT` s without input."""
    readable, _, _ = select.select([0], [], [], TIMEOUT)
    return os.read(0, 4096) if readable else None


def _release(publisher: rclpy.publisher.Publisher) -> None:
    deadline = time.monotonic() + _MATCH_TIMEOUT
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in range(_REPEATS):
        publisher.publish(JointSingleCommand(name=GRIPPER, cmd=0.0))
        publisher.wait_for_all_acked(_ACK_TIMEOUT)
        time.sleep(_INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
