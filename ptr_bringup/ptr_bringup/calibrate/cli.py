# SPDX-License-Identifier: Apache-2.0
"""`ptr calibrate`: measure latencies, set up cameras."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptr_bringup.calibrate.errors import CalibrationError
from ptr_models.common import arguments
from ptr_models.common.guidance import next_step
from ptr_models.common.namespaces import add_namespace

if TYPE_CHECKING:
    from ptr_bringup.calibrate.camera_session import Entry
    from ptr_bringup.calibrate.latency import Recording
    from ptr_bringup.calibrate.latency_session import LatencyNode
    from ptr_bringup.calibrate.quality import Quality
    from ptr_bringup.ros.session import Caller

FOLDER = Path("~/.config/ptr")
_DURATION = 12.0  # s of motion, unless another duration is given


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `calibrate` to the command line."""
    parser = subparsers.add_parser(
        "calibrate",
        help="measure latencies of cameras and commands, set up cameras",
        description="Measure what differs from robot to robot, and store it with the robot's configuration.",
    )
    actions = parser.add_subparsers(required=True, metavar="WHAT")
    _add_latency(actions)
    _add_camera(actions)


def _add_latency(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    latency = actions.add_parser(
        "latency",
        help="measure the latency of images and commands; moves the arm",
        description="Move the arm to its start pose and then back and forth, at most 9 cm, for a few seconds, and "
        "correlate the cameras' images with its joints. The robot must be running (ptr launch ptr_bringup "
        "robot.launch.xml), and nothing else may command it.",
    )
    latency.add_argument(
        "--camera",
        action="append",
        metavar="NAME",
        help="a camera that sees the arm; may be repeated (default: over_shoulder)",
    )
    latency.add_argument(
        "--duration",
        type=arguments.Real(5.0, 120.0),
        default=_DURATION,
        metavar="S",
        help="duration of the motion (default: %(default)s)",
    )
    latency.add_argument(
        "--out",
        type=arguments.output_file,
        default=FOLDER / "latency.yaml",
        metavar="FILE",
        help="file to write, with a plot beside it (default: %(default)s)",
    )
    add_namespace(latency)
    latency.set_defaults(run=_reporting_errors(_latency))


def _add_camera(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    camera = actions.add_parser(
        "camera",
        help="fix exposure, gain, white balance and focus; check sharpness, brightness and rate",
        description="Open a camera (stop its node first), let its automatic modes settle, fix their values or the "
        "given ones, check its images and write the configuration.",
    )
    camera.add_argument(
        "camera", nargs="?", default="over_shoulder", help="entry of the configuration (default: %(default)s)"
    )
    camera.add_argument(
        "--config",
        type=arguments.existing_file,
        metavar="FILE",
        help="YAML file to start from (default: the suite's cameras.yaml)",
    )
    camera.add_argument("--source", metavar="SOURCE", help="device, folder or video instead of the configuration's")
    camera.add_argument(
        "--exposure",
        type=arguments.Real(),
        default=-1.0,
        metavar="MS",
        help="fixed exposure (ms); default: as it settles",
    )
    camera.add_argument(
        "--gain",
        type=arguments.Real(),
        default=-1.0,
        metavar="GAIN",
        help="fixed gain (device units); default: as it settles",
    )
    camera.add_argument(
        "--white-balance",
        type=arguments.Real(),
        default=-1.0,
        metavar="K",
        help="fixed white balance (K); default: as it settles",
    )
    camera.add_argument(
        "--focus",
        type=arguments.Real(),
        default=-1.0,
        metavar="FOCUS",
        help="fixed focus (device units); default: as it settles",
    )
    camera.add_argument("--check", action="store_true", help="only check, with the settings of the configuration")
    camera.add_argument(
        "--running",
        action="store_true",
        help="only check a camera that is already running, in a node or in the simulator",
    )
    camera.add_argument(
        "--rate", type=arguments.positive, metavar="HZ", help="expected rate, instead of the configuration's"
    )
    camera.add_argument(
        "--duration",
        type=arguments.positive,
        default=5.0,
        metavar="S",
        help="duration of the check (default: %(default)s)",
    )
    camera.add_argument(
        "--out",
        type=arguments.output_file,
        default=FOLDER / "cameras.yaml",
        metavar="FILE",
        help="file to write (default: %(default)s)",
    )
    add_namespace(camera)
    camera.set_defaults(run=_reporting_errors(_camera))


def _reporting_errors(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turn an error that the user can fix into a message and exit code 2."""

    def wrapped(options: argparse.Namespace) -> int:
        from ptr_bringup.camera.source import CameraError

        try:
            return run(options)
        except (CalibrationError, CameraError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return wrapped


def _latency(options: argparse.Namespace) -> int:
    if not 5.0 <= options.duration <= 120.0:
        raise CalibrationError(f"the duration is {options.duration:g} s; it must be 5 to 120 s")
    if find_spec("rclpy") is None:
        raise CalibrationError("`ptr calibrate latency` needs ROS 2; run it on the robot's computer")
    from ptr_bringup.calibrate.latency_session import LatencyNode, record
    from ptr_bringup.ros.session import run_session

    def work(node: LatencyNode, caller: Caller) -> int:
        print("The arm will move to its start pose and then back and forth; keep clear.", flush=True)
        _report_latency(options.out.expanduser(), record(node, caller, options.duration))
        return 0

    cameras = options.camera or ["over_shoulder"]
    return run_session(lambda: LatencyNode(cameras, options.namespace), work, "calibrate_latency", args=[], expected=())


def _report_latency(path: Path, recording: Recording) -> None:
    from ptr_bringup.calibrate.latency import measure
    from ptr_bringup.calibrate.latency_report import plot, sentence, write_latencies

    command, cameras = measure(recording)
    print(sentence("command to motion", command))
    for name, lag in cameras.items():
        print(sentence(f"motion to image of {name}", lag))
    write_latencies(path, command, cameras, datetime.date.today())
    plot(path.with_suffix(".png"), command, cameras)
    print(f"{path} and {path.with_suffix('.png')} are written")
    next_step("launch", "ptr_bringup", "collect.launch.xml", "…", f"latency_file:={path}", about="or deploy.launch.xml")


def _camera(options: argparse.Namespace) -> int:
    from ptr_bringup.calibrate.camera_session import read_entry
    from ptr_bringup.camera.source import CameraError

    entry = read_entry(options.config or _suite_config(), options.camera)
    if options.rate:
        entry.parameters["rate"] = options.rate
    if options.running:
        return _check_running(entry, options.duration, options.rate, options.namespace)
    source = options.source or str(entry.parameters.get("source", "/dev/video0"))
    try:
        return _set_up(options, entry, source)
    except CameraError as error:
        advice = _advice_on_running(options.camera, options.namespace)
        raise CameraError(f"{error}; {advice}" if advice else str(error)) from error


def _set_up(options: argparse.Namespace, entry: Entry, source: str) -> int:
    from ptr_bringup.calibrate.camera_session import check_images, settle, write_entry
    from ptr_bringup.camera.opening import is_device
    from ptr_bringup.camera.settings import Settings

    settings = entry.settings
    if not options.check and is_device(source):
        given = Settings(options.exposure, options.gain, options.white_balance, options.focus)
        settings = settle(source, entry, given)
    quality, current, notices, image = check_images(source, entry, settings, options.duration)
    _print_quality(quality, current, (*notices, *quality.advice))
    if options.check:
        return 1 if quality.advice else 0
    path = options.out.expanduser()
    write_entry(path, entry, source, settings)
    example = path.with_name(f"{options.camera}.jpg")
    example.write_bytes(image)
    print(f"{path} and {example} are written")
    next_step("launch", "ptr_bringup", "robot.launch.xml", "robot:=wx250s", f"camera_config:={path}")
    return 0


def _advice_on_running(camera: str, namespace: str) -> str:
    """Advice on a camera that can't be opened, if its node or the simulator is running; else empty."""
    if find_spec("rclpy") is None:
        return ""
    from ptr_bringup.calibrate.running_camera import advice_on_running

    return advice_on_running(camera, namespace)


def _check_running(entry: Entry, seconds: float, rate: float | None, namespace: str) -> int:
    if find_spec("rclpy") is None:
        raise CalibrationError("`ptr calibrate camera --running` needs ROS 2; run it on the robot's computer")
    from ptr_bringup.calibrate.camera_session import check_images
    from ptr_bringup.calibrate.running_camera import RunningCamera

    quality, current, notices, _ = check_images(
        entry.name, entry, entry.settings, seconds, lambda name, *_: RunningCamera(name, namespace), rate
    )
    _print_quality(quality, current, (*notices, *quality.advice))
    return 1 if quality.advice else 0


def _suite_config() -> Path:
    from ptr_bringup.launching.packages import package_share

    return Path(package_share("ptr_bringup")) / "config" / "cameras.yaml"


def _print_quality(quality: Quality, current: dict[str, Any], remarks: tuple[str, ...]) -> None:
    if current:
        print(", ".join(f"{name} {value}" for name, value in current.items()))
    print(
        f"{quality.count} images at {quality.rate:.1f} Hz (jitter {quality.jitter:.1f} ms, {quality.lost} lost), "
        f"sharpness {quality.sharpness:.0f}, brightness {quality.brightness:.0f} of 255 "
        f"({100 * quality.under:.1f} % black, {100 * quality.over:.1f} % white), flicker {100 * quality.flicker:.1f} %"
    )
    for remark in remarks:
        print(f"  - {remark}")
