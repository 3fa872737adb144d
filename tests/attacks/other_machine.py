#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Another machine tries to move the arm: two network namespaces joined by a cable, an arm node in one of them.

    .venv/bin/python tests/attacks/other_machine.py            # with the suite's default settings
    .venv/bin/python tests/attacks/other_machine.py --open     # with ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET

The other side names the robot as its peer (ROS_STATIC_PEERS), commands the arm on /policy/command for some seconds
and listens to /rosout and /arm/state. Prints one line of JSON: what it heard, how far the arm's commanded pose moved
meanwhile, and how far it moves for a command of the robot's own machine. Nothing leaves the two namespaces.
They need root, or user namespaces; without them the exit code is 77 and the last line says why.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / name for name in ("models", "ptr_bringup", "ptr_teleop", "ptr_policy")]
ROBOT, OTHER = "10.99.99.1", "10.99.99.2"
SKIPPED = 77
TRIES = 12.0  # s for which the other machine commands
PERIOD = 0.02  # s between two joint states, and two commands


def main() -> int:
    """Play one of the three parts: the set-up, the robot's machine, the other machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="set-up", choices=["set-up", "scene", "robot", "intruder"])
    parser.add_argument("--open", action="store_true", help="open the discovery range to the network")
    options = parser.parse_args()
    if options.part == "set-up":
        return in_namespaces(options.open)
    if options.part == "scene":
        return scene(options.open)
    return robot() if options.part == "robot" else intruder()


def in_namespaces(opened: bool) -> int:
    """Run the scene in a network of its own."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *user, "--net", "--mount", "--ipc"]
    try:
        subprocess.run([*unshare, "ip", "link", "add", "type", "veth"], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        print(f"skipped: {error.filename} is not installed")
        return SKIPPED
    except subprocess.CalledProcessError as error:
        print(f"skipped: no network namespaces can be made here: {error.stderr.strip()}")
        return SKIPPED
    own = [sys.executable, __file__, "scene", *(["--open"] if opened else [])]
    return subprocess.run([*unshare, *own], check=False).returncode


def scene(opened: bool) -> int:
    """Lay the cable, then let the robot work and the other machine try; runs in the robot's namespaces."""
    isolated = ["sh", "-c", "mount -t tmpfs tmpfs /dev/shm && exec sleep 600"]
    with subprocess.Popen(["unshare", "--net", "--mount", "--ipc", *isolated]) as other:
        try:
            lay_cable(other.pid)
            figures = attempt(["nsenter", "-t", str(other.pid), "--net", "--mount", "--ipc"], opened)
        finally:
            other.kill()
    print(json.dumps(figures))
    return 0


def lay_cable(other: int) -> None:
    """Join the two namespaces, as by a cable between two machines."""
    for _ in range(100):  # until the other side is in a namespace of its own
        if os.readlink(f"/proc/{other}/ns/net") != os.readlink("/proc/self/ns/net"):
            break
        time.sleep(0.05)
    there = ["nsenter", "-t", str(other), "--net"]
    for command in (
        ["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"],
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(other)],
        ["ip", "address", "add", f"{ROBOT}/24", "dev", "cable"],
        ["ip", "link", "set", "cable", "up"],
        [*there, "ip", "link", "set", "lo", "up"],
        [*there, "ip", "address", "add", f"{OTHER}/24", "dev", "cable"],
        [*there, "ip", "link", "set", "cable", "up"],
    ):
        subprocess.run(command, check=True)


def attempt(into_other: list[str], opened: bool) -> dict[str, float]:
    """What the other machine heard, and how far the arm went for it and for its own machine."""
    here = own_environment({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"} if opened else {})
    there = own_environment({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_STATIC_PEERS": ROBOT})
    part = [sys.executable, __file__]
    with subprocess.Popen([*part, "robot"], env=here, stdin=-1, stdout=-1, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n", "the arm node did not start"
            heard = subprocess.run([*into_other, *part, "intruder"], env=there, check=True, stdout=-1, text=True)
            answer, _ = process.communicate("\n", timeout=60.0)
        finally:
            process.kill()
    return json.loads(heard.stdout) | json.loads(answer)


def own_environment(changes: dict[str, str]) -> dict[str, str]:
    """The environment that the suite gives its nodes, whatever this shell has set."""
    sys.path[:0] = [str(path) for path in SOURCES]
    from ptr_bringup.ros_environment import set_discovery

    foreign = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "ROS_DOMAIN_ID", "FASTDDS_DEFAULT_PROFILES_FILE")
    environment = {key: value for key, value in os.environ.items() if key not in foreign} | changes
    environment["PYTHONPATH"] = os.pathsep.join(map(str, SOURCES))
    set_discovery(environment, str(ROOT / "ptr_bringup"))
    return environment


def robot() -> int:
    """The robot's machine: the arm node, and joints that go where they are told."""
    import rclpy
    from sensor_msgs.msg import JointState

    from ptr_bringup.arm.model.kinematics import FINGER_OPEN, JOINT_NAMES
    from ptr_bringup.arm.motion.trajectory import NAMED_JOINTS
    from ptr_msgs.msg import ArmState

    rclpy.init()
    node, joints, places = rclpy.create_node("joints"), [*NAMED_JOINTS["start"], FINGER_OPEN], []
    sender = node.create_publisher(JointState, "/joint_states", 5)

    def publish() -> None:
        message = JointState(name=[*JOINT_NAMES, "left_finger"], position=joints)
        message.header.stamp = node.get_clock().now().to_msg()
        sender.publish(message)

    def obey(message: JointState) -> None:
        joints[:] = message.position

    node.create_timer(PERIOD, publish)
    node.create_subscription(JointState, "/joint_commands", obey, 5)
    node.create_subscription(ArmState, "/arm/state", lambda m: places.append(m.commanded_pose.position.x), 10)
    with subprocess.Popen([sys.executable, "-m", "ptr_bringup.arm.node"], stdout=subprocess.DEVNULL) as arm:
        try:
            spin_until(node, lambda: places, 30.0)
            print("ready", flush=True)
            begin = places[-1]
            spin_until(node, lambda: input_waits(), 600.0)
            moved, middle = places[-1] - begin, places[-1]
            command(node, lambda: abs(places[-1] - middle) > 0.03, 20.0)
            own = abs(places[-1] - middle)
        finally:
            arm.terminate()
    print(json.dumps({"moved_by_the_other_m": round(abs(moved), 4), "moved_by_its_own_m": round(own, 4)}))
    return 0


def intruder() -> int:
    """The other machine: command the arm, and listen."""
    import rclpy
    from rcl_interfaces.msg import Log

    from ptr_msgs.msg import ArmState

    rclpy.init()
    node, heard = rclpy.create_node("intruder"), {"rosout": 0, "arm_state": 0}

    def count(name: str) -> None:
        heard[name] += 1

    node.create_subscription(Log, "/rosout", lambda m: count("rosout") if m.name != "intruder" else None, 10)
    node.create_subscription(ArmState, "/arm/state", lambda _: count("arm_state"), 10)
    command(node, lambda: False, TRIES)
    print(json.dumps({f"{name}_heard": number for name, number in heard.items()}))
    return 0


def command(node, enough, timeout: float) -> None:  # noqa: ANN001 - rclpy is imported only in its own process
    """Drive forwards at 5 cm/s as a policy does, until it is enough."""
    from ptr_msgs.msg import ArmCommand

    sender = node.create_publisher(ArmCommand, "/policy/command", 10)

    def publish() -> None:
        message = ArmCommand(source="policy", gripper_position=1.0, deadman=True)
        message.header.stamp = node.get_clock().now().to_msg()
        message.twist.linear.x = 0.05
        message.valid_for.nanosec = 200_000_000
        sender.publish(message)

    timer = node.create_timer(PERIOD, publish)
    spin_until(node, enough, timeout)
    node.destroy_timer(timer)


def spin_until(node, condition, timeout: float) -> None:  # noqa: ANN001
    """Spin until something holds, or the time is over."""
    import rclpy

    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)


def input_waits() -> bool:
    """True once the set-up has written to this process."""
    import select

    return bool(select.select([sys.stdin], [], [], 0.0)[0])


if __name__ == "__main__":
    sys.exit(main())
