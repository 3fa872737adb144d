# SPDX-License-Identifier: Apache-2.0
"""The checks of `ptr doctor`: Python, ROS, the nodes, the simulator, the robot's devices."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ptr_bringup.doctor.contributed import contributed
from ptr_bringup.doctor.devices import arm_cable, arm_software, cameras, spacemouse
from ptr_bringup.doctor.findings import AbsentError, Check
from ptr_bringup.domain import free_domain, robots_nodes

SETUP = "run `make setup` in the suite's folder"
TIMEOUT = 60  # s for a check in a separate process
MIN_DISK = 5e9  # bytes
EXECUTABLES = {
    "ptr_bringup": (
        *("arm", "camera", "cameras", "camera_monitor", "robot_description", "simulator", "xs_sdk_stand_in"),
        *("scripted_operator", "scene"),
    ),
    "ptr_teleop": ("teleop", "recorder", "console"),
    "ptr_policy": ("policy_server", "evaluator"),
}
RENDER = """
import ptr_bringup.sim.world, mujoco
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 2"/><geom type="sphere" size="0.3"/></worldbody></mujoco>'
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0, "the image is black"
import os
print(mujoco.__version__, "renders off screen with", os.environ["MUJOCO_GL"].upper())
"""
TALK = """
import os, random
os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 100))
import rclpy
from std_msgs.msg import String
rclpy.init()
node, got = rclpy.create_node("doctor"), []
node.create_subscription(String, "doctor", got.append, 10)
sender = node.create_publisher(String, "doctor", 10)
for _ in range(100):
    sender.publish(String(data="hello"))
    rclpy.spin_once(node, timeout_sec=0.1)
    if got:
        break
rclpy.try_shutdown()
assert got, "no message came through in 10 s"
print("a message came through (" + rclpy.get_rmw_implementation_identifier() + ")")
"""


def all_checks() -> list[Check]:
    """All checks: first the necessary ones, in the order in which they are needed, then the optional ones."""
    return sorted([*own_checks(), *contributed()], key=lambda check: not check.necessary)


def own_checks() -> list[Check]:
    """The checks of this package."""
    return [
        Check("Python", "runs everything", True, _python),
        Check("ROS 2", "communication between nodes", True, _ros),
        Check("ROS 2 traffic", "nodes reach each other", True, lambda: _separately(TALK)),
        Check("ROS domain", "one robot in each", True, one_robot),
        Check("ptr_msgs", "the suite's own messages", True, _messages),
        Check("nodes", "what launch files start", True, _nodes),
        Check("MuJoCo, OpenGL", "the simulator and its images", True, _rendering),
        Check("disk", "bags and checkpoints", True, _disk),
        Check("shared memory", "images between nodes without copies", False, _shared_memory),
        Check("C++ compiler", "building ptr_msgs", False, _compiler),
        Check("camera", "images of the real robot", False, cameras),
        Check("WidowX arm", "the real robot", False, arm_cable),
        Check("Interbotix's xs_sdk", "driving the real robot", False, arm_software),
        Check("SpaceMouse", "driving the arm by hand", False, spacemouse),
    ]


def _python() -> str:
    version = platform.python_version()
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        raise AbsentError(f"Python {version} is not supported; use 3.10 to 3.13: make PYTHON=python3.12")
    return f"{version}, {os.cpu_count()} processors"


def _ros() -> str:
    try:
        importlib.import_module("rclpy")
    except ImportError as error:
        raise AbsentError(f"rclpy can't be imported ({error}): {SETUP}, or source your ROS 2") from None
    distribution = os.environ.get("ROS_DISTRO")
    return f"{distribution}, sourced" if distribution else f"Kilted, from wheels in {sys.prefix}"


def one_robot() -> str:
    """The current domain, and the robot's nodes that run in it.

    Raises:
        AbsentError: one of them runs twice, or the nodes can't be listed.
    """
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    try:
        nodes = robots_nodes(os.environ)
    except subprocess.SubprocessError as error:
        raise AbsentError(f"the nodes of ROS domain {domain} can't be listed ({error})") from None
    twice = [name for name, count in Counter(nodes).items() if count > 1]
    if twice:
        free = free_domain()
        other = "" if free is None else f", for example ROS_DOMAIN_ID={free}"
        raise AbsentError(
            f"ROS domain {domain} has two robots (running twice: {', '.join(twice)}); end one, or start it in another "
            f"domain{other}, or with namespace:=NAME"
        )
    return f"{domain}, {', '.join(nodes) + ' running' if nodes else 'no robot is running'}"


def _messages() -> str:
    try:
        module = importlib.import_module("ptr_msgs.msg")
    except ImportError as error:
        raise AbsentError(f"not built ({error}): {SETUP}") from None
    return f"{sum(name[0].isupper() for name in dir(module))} messages"


def _nodes() -> str:
    from ptr_bringup.launching.errors import LaunchError
    from ptr_bringup.launching.packages import executable

    try:
        found = [executable(package, name) for package, names in EXECUTABLES.items() for name in names]
    except LaunchError as error:
        raise AbsentError(f"{error}: {SETUP}") from None
    return f"{len(found)} in {found[0].parents[1]}"


def _rendering() -> str:
    try:
        return _separately(RENDER)
    except AbsentError as error:
        raise AbsentError(
            f"{error}; if a library is missing: apt-get install libegl1 libopengl0 libgl1-mesa-dri"
        ) from None


def _separately(program: str) -> str:
    """Run a check in a separate process, which may crash; returns its output."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise AbsentError(f"no answer within {TIMEOUT} s") from None
    if done.returncode < 0:
        raise AbsentError(f"the process was killed by {signal.Signals(-done.returncode).name}")
    if done.returncode > 0:
        lines = done.stderr.strip().splitlines()
        raise AbsentError(lines[-1] if lines else f"the process ended with code {done.returncode}")
    return done.stdout.strip()


def _disk() -> str:
    free = shutil.disk_usage(".").free
    if free < MIN_DISK:
        raise AbsentError(f"{free / 1e9:.1f} GB free in {Path.cwd()}; at least {MIN_DISK / 1e9:.0f} GB are recommended")
    return f"{free / 1e9:.0f} GB free in {Path.cwd()}"


def _shared_memory() -> str:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        raise AbsentError("/dev/shm is not writable; Fast DDS falls back to UDP, which is slower")
    free = shutil.disk_usage(folder).free
    if free < 64e6:
        raise AbsentError(f"/dev/shm has {free / 1e6:.0f} MB free; it needs 64: docker run --shm-size=512m")
    segments = list(folder.glob("fastdds_*"))
    if others := other_accounts(segments):
        raise AbsentError(
            f"nodes of other users use Fast DDS here ({', '.join(others)}): nodes of different users discover each "
            "other but receive nothing; run all nodes of a robot as one user"
        )
    return f"{free / 1e6:.0f} MB free, {len(segments)} segments in use or left behind"


def other_accounts(segments: Iterable[Path]) -> list[str]:
    """Names of other users that own shared-memory segments."""
    owners = set()
    for segment in segments:
        with contextlib.suppress(OSError):  # it was just removed
            owners.add(segment.stat().st_uid)
    return sorted(_account(owner) for owner in owners - {os.geteuid()})


def _account(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _compiler() -> str:
    path = shutil.which("c++") or shutil.which("g++")
    if not path:
        raise AbsentError("apt-get install g++")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return version.splitlines()[0]
