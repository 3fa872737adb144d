# SPDX-License-Identifier: Apache-2.0
"""Does the recorder lose a message, and what does it cost? One JSON line.

    python tests/benchmarks/recorder.py --seconds 120

One process publishes two cameras (640x480 JPEG, 30 Hz), joint states (100 Hz) and everything else; a second one
burns a core; the recorder, a process of its own, records an episode. Every message carries a number, and the bag
must hold each number between the first and the last that it has of a topic, up to what was published last.

Fields: published and recorded messages within the episode, lost ones (0 wanted), cpu_share of one core of the
recorder while it recorded (limit 0.25), resident memory at a tenth, in the middle and at the end (MB), MB/s.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CLOCK = os.sysconf("SC_CLK_TCK")


def burn() -> None:
    """Keep a core busy."""
    number = 1
    while True:
        number = number * 1_103_515_245 % 2_147_483_647


def cpu_seconds(process: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK


def resident(process: int) -> float:
    """Resident memory in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000.0


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen]:
    """A process that is ended with the block."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Remote:
    """Calls the recorder's services."""

    def __init__(self) -> None:
        import rclpy

        rclpy.init()
        self._rclpy, self._node = rclpy, rclpy.create_node("recorder_benchmark")

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Call until it succeeds: at first the recorder has not heard every stream."""
        client = self._node.create_client(kind, name)
        client.wait_for_service(60.0)
        deadline = time.monotonic() + 60.0
        while True:
            future = client.call_async(request)
            self._rclpy.spin_until_future_complete(self._node, future, timeout_sec=60.0)
            answer = future.result()
            if answer.success:
                return answer
            if time.monotonic() > deadline:
                raise SystemExit(f"{name}: {answer.message}")


def numbers_in(folder: Path) -> dict[str, list[int]]:
    """The number of each message of each topic in a bag, by an independent reader."""
    from mcap.reader import make_reader

    found: dict[str, list[int]] = {}
    with next(folder.glob("*.mcap")).open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages():
            if channel.topic == "/episode/metadata":
                continue
            size = int.from_bytes(message.data[12:16], "little")
            text = message.data[16 : 16 + size - 1].decode()
            if text:  # events of the recorder itself have no number
                found.setdefault(channel.topic, []).append(int(text))
    return found


def measure(recorder: int, seconds: float) -> dict[str, Any]:
    """CPU share and memory of a process over some time."""
    memory = []
    time.sleep(0.1 * seconds)
    began, used = time.monotonic(), cpu_seconds(recorder)
    memory.append(resident(recorder))
    time.sleep(0.4 * seconds)
    memory.append(resident(recorder))
    time.sleep(0.5 * seconds)
    memory.append(resident(recorder))
    share = (cpu_seconds(recorder) - used) / (time.monotonic() - began)
    return {"cpu_share": round(share, 3), "memory_mb": [round(value, 1) for value in memory]}


def benchmark(seconds: float, folder: Path, busy: bool) -> dict[str, Any]:
    """Record once."""
    from ptr_msgs.srv import StartEpisode, StopEpisode

    command = [sys.executable, "-m", "ptr_teleop.recorder.node", "--ros-args", "-p", f"directory:={folder}"]
    command += ["-p", "cameras:=[over_shoulder, wrist]"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    burner = multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
    with (
        running([sys.executable, str(HERE / "recorder_streams.py")], **pipes) as streams,
        running(command, stdout=sys.stderr) as recorder,
    ):
        streams.stdout.readline()
        remote = Remote()
        if busy:
            burner.start()
        remote.call(StartEpisode, "/recorder/start", StartEpisode.Request(task="benchmark", kind="practice"))
        began = time.monotonic()
        result = measure(recorder.pid, seconds)
        streams.stdin.write("\n")
        streams.stdin.flush()
        published = json.loads(streams.stdout.readline())
        seconds = time.monotonic() - began
        time.sleep(0.3)  # what was sent last has arrived
        stop = StopEpisode.Request(save=True, outcome="success", score=float("nan"))
        stopped = remote.call(StopEpisode, "/recorder/stop", stop)
        if busy:
            burner.terminate()
    return result | compare(Path(stopped.path), published, seconds) | {"message": stopped.message}


def compare(folder: Path, published: dict[str, int], seconds: float) -> dict[str, Any]:
    """What was published while the episode lasted, beside what its bag holds."""
    recorded = numbers_in(folder)
    expected, missing = 0, {}
    for topic, count in published.items():
        numbers = recorded.get(topic, [])
        first = min(numbers, default=0)
        expected += count - first
        gone = set(range(first, count)) - set(numbers)
        if gone or len(numbers) != len(set(numbers)):
            missing[topic] = len(gone)
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "seconds": round(seconds, 1),
        "published": expected,
        "recorded": sum(map(len, recorded.values())),
        "lost": sum(missing.values()),
        "lost_of": missing,
        "mb_per_s": round(size / 1e6 / seconds, 2),
    }


def main() -> None:
    """Parse the options and print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the episode (default: 120)")
    parser.add_argument("--idle", action="store_true", help="without the process that burns a core")
    parser.add_argument("--folder", type=Path, help="where to record (default: a temporary folder)")
    options = parser.parse_args()
    os.environ.setdefault("ROS_DOMAIN_ID", str(60 + os.getpid() % 40))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result = benchmark(options.seconds, Path(folder), not options.idle)
    result |= {"benchmark": "recorder", "load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
