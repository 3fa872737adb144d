# SPDX-License-Identifier: Apache-2.0
"""What memory a subscription of the recorder keeps of messages that had to wait. One JSON line.

    python tests/benchmarks/queue_memory.py

A second process publishes images of 50 kB, 50 a second. They are taken every 20 ms, as the recorder does; now and then
nobody takes them for some seconds, as on a computer that is too busy. Fast DDS keeps the memory of as many messages as
ever waited at once, for the next time.

Fields: for each pause its length (s), the messages that waited, and the memory in use by malloc afterwards (MB, beyond
that before the first pause).
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import subprocess
import sys
import time

PAUSES = (0.5, 0.5, 2.0, 2.0, 8.0, 8.0)
SIZE = 50_000


class MallInfo2(ctypes.Structure):
    """Of glibc 2.33 and later."""

    _fields_ = [(f"field_{number}", ctypes.c_size_t) for number in range(10)]


def in_use() -> float:
    """MB that malloc has given out."""
    mallinfo2 = ctypes.CDLL("libc.so.6").mallinfo2
    mallinfo2.restype = MallInfo2
    return mallinfo2().field_7 / 1e6


def publish() -> None:
    """Until this process is ended."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage

    with rclpy.init():
        publisher = rclpy.create_node("images").create_publisher(CompressedImage, "/image", qos_profile_sensor_data)
        message = CompressedImage(format="jpeg", data=array.array("B", bytes(SIZE)))
        while True:
            publisher.publish(message)
            time.sleep(0.02)


def measure() -> list[dict[str, float]]:
    """One entry for each pause."""
    import rclpy

    from ptr_teleop.recorder.raw_subscriptions import RawSubscriptions
    from ptr_teleop.recorder.streams import Stream

    with rclpy.init():
        taps = RawSubscriptions(
            rclpy.create_node("queue_memory"), [Stream("/image", "sensor_msgs/msg/CompressedImage")]
        )
        for _ in range(250):
            time.sleep(0.02)
            taps.drain()
        before, found = in_use(), []
        for pause in PAUSES:
            time.sleep(pause)
            waited = len(taps.drain())
            for _ in range(50):
                time.sleep(0.02)
                taps.drain()
            found.append({"pause_s": pause, "waited": waited, "kept_mb": round(in_use() - before, 1)})
        return found


def main() -> None:
    """Print the line."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(60 + os.getpid() % 40))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    publisher = subprocess.Popen([sys.executable, __file__, "publish"])
    try:
        pauses = measure()
    finally:
        publisher.kill()
        publisher.wait()
    print(json.dumps({"benchmark": "queue_memory", "image_bytes": SIZE, "pauses": pauses}), flush=True)


if __name__ == "__main__":
    publish() if sys.argv[1:] == ["publish"] else main()
