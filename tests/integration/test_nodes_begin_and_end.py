# SPDX-License-Identifier: Apache-2.0
"""Nodes of ptr_bringup start with one clear sentence or not at all, and end cleanly on any signal."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmState  # noqa: E402

pytestmark = pytest.mark.xdist_group("nodes_begin_and_end")

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NODES = {
    "arm": "ptr_bringup.arm.node",
    "simulator": "ptr_bringup.sim.node",
    "camera": "ptr_bringup.camera.node",
}
SIGNALS = {
    "SIGINT": [signal.SIGINT],
    "SIGINT twice": [signal.SIGINT, signal.SIGINT],
    "SIGTERM": [signal.SIGTERM],
}


@pytest.fixture(scope="module")
def folder_of_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three images, each of one grey."""
    folder = tmp_path_factory.mktemp("images")
    for k in range(3):
        cv2.imwrite(str(folder / f"{k}.png"), np.full((48, 64, 3), 80 * k + 40, np.uint8))
    return folder


def apart(name: str) -> list[str]:
    """Topics of its own for each: a second arm in one domain refuses to start, and its robot too."""
    topics = ("/arm/state", "/arm/executed", "/joint_states", "/joint_commands")
    return [word for topic in topics for word in ("-r", f"{topic}:=/{name}{topic}")]


def test_every_node_ends_cleanly_on_every_signal(ros, folder_of_images: Path) -> None:
    running = {}
    for node, module in NODES.items():
        options = {"arm": {}, "simulator": {"width": 64, "height": 48}, "camera": {"source": folder_of_images}}[node]
        for number, name in enumerate(SIGNALS):
            unique = f"{node}_{number}"
            running[unique, name] = ros.start(module, "-r", f"__node:={unique}", *apart(unique), **options)
    names = {unique for unique, _ in running}

    def alive() -> set[str]:
        """Names of the nodes with a publisher of /rosout.

        `get_node_names` sometimes lists a node forever: rmw_fastrtps adds it again if its last list of entities is
        processed after its departure.
        """
        return {info.node_name for info in ros.node.get_publishers_info_by_topic("/rosout")}

    ros.wait(lambda: names <= alive(), "all nine nodes", timeout=60.0)
    for (_, name), process in running.items():
        for number in SIGNALS[name]:
            process.signal(number)
    for (unique, name), process in running.items():
        assert process.wait() == 0, f"{unique} after {name}:\n{process.output}"
        assert "Traceback" not in process.output
    ros.wait(lambda: not names & alive(), "their end, before a lease of 10 s has run out", 5.0)


@pytest.mark.parametrize(
    ("module", "parameters", "sentence"),
    [
        ("ptr_bringup.camera.node", {"source": "/dev/video77"}, "there is no camera /dev/video77"),
        ("ptr_bringup.arm.node", {"robot": "wx250s", "profile_type": "spline"}, "unknown profile 'spline'"),
        ("ptr_bringup.camera.node", {"pose": "[0.1, 0.0, 0.2, 0.0, 0.0, 0.0]"}, "has no frame; give pose_frame"),
        (
            "ptr_bringup.camera.node",
            {"pose_frame": "base_link", "pose": "[0.1, 0.0, 0.2]"},
            "it must be x, y, z and roll,",
        ),
        ("ptr_bringup.arm.node", {"robot": "ur5"}, "unknown robot 'ur5'"),
        (
            "ptr_bringup.arm.node",
            {"robot": "wx250s", "driver": "serial"},
            "there is no driver 'serial'; known: xs_sdk, modules",
        ),
        ("ptr_bringup.arm.node", {"rate": 1e6}, "out of range"),
        ("ptr_bringup.arm.node", {"robot": "wx250s", "register_rate": 0.0}, "register_rate out of range Min: 5.0"),
        ("ptr_bringup.arm.node", {"workspace_min": "[0.5, 0.0, 0.0]"}, "empty along x"),
        (
            "ptr_bringup.arm.node",
            {"box_low": "[0.2, 0.0, 0.0]"},
            "of /arm have new names: box_low is now workspace_min",
        ),
        ("ptr_bringup.sim.node", {"kitchen": "moon_base"}, "unknown kitchen 'moon_base'"),
        ("ptr_bringup.sim.node", {"task": "fly"}, "unknown task 'fly'"),
    ],
)
def test_a_node_that_can_not_start_says_why_in_one_sentence(ros, module: str, parameters: dict, sentence: str) -> None:
    process = ros.start(module, **parameters)
    assert process.wait() == 1
    assert process.output.count("[FATAL]") == 1
    assert sentence in process.output
    assert "Traceback" not in process.output


def test_simulated_time_may_run_faster_than_the_clock_on_the_wall(ros) -> None:
    clocks, states = ros.collect(Clock, "/clock"), ros.collect(ArmState, "/arm/state")
    simulator = ros.start("ptr_bringup.sim.node", width=64, height=48, camera_rate=5.0, speed=4.0)
    arm = ros.start("ptr_bringup.arm.node", use_sim_time=True)
    ros.wait(lambda: clocks and states, "simulated time and an arm state")
    assert ros.act(MoveTo, "/arm/move_to", MoveTo.Goal(named_pose="home", gripper_position=1.0)).success
    assert states[-1].joint_positions == pytest.approx([0.0] * 6, abs=0.02)
    assert abs(clocks[-1].clock.sec - states[-1].header.stamp.sec) <= 1
    for process in (simulator, arm):
        process.signal()
        assert process.wait() == 0


def test_a_folder_of_images_is_a_camera(ros, folder_of_images: Path) -> None:
    images = ros.collect(CompressedImage, "/camera/shelf/image/compressed", qos_profile_sensor_data)
    infos = ros.collect(CameraInfo, "/camera/shelf/camera_info", qos_profile_sensor_data)
    camera = ros.start("ptr_bringup.camera.node", source=folder_of_images, name="shelf", rate=20.0)
    ros.wait(lambda: len(images) >= 6 and infos, "six images")
    camera.signal()
    assert camera.wait() == 0
    greys = [round(cv2.imdecode(np.frombuffer(m.data, np.uint8), cv2.IMREAD_COLOR).mean()) for m in images[:6]]
    assert set(greys) == {40, 120, 200}
    assert images[0].format == "jpeg"
    assert (infos[0].width, infos[0].height) == (64, 48)


def test_a_folder_that_is_shown_once_ends_the_node(ros, folder_of_images: Path) -> None:
    camera = ros.start("ptr_bringup.camera.node", source=folder_of_images, loop=False, rate=50.0)
    assert camera.wait() == 0
    assert "no more images" in camera.output


def test_raw_images_of_another_driver_become_jpeg_with_their_own_stamp(ros) -> None:
    images = ros.collect(CompressedImage, "/camera/wrist/image/compressed", qos_profile_sensor_data)
    infos = ros.collect(CameraInfo, "/camera/wrist/camera_info", qos_profile_sensor_data)
    driver = ros.node.create_publisher(Image, "/driver/image", qos_profile_sensor_data)
    calibration = ros.node.create_publisher(CameraInfo, "/driver/info", qos_profile_sensor_data)
    topics = {"image_topic": "/driver/image", "info_topic": "/driver/info"}
    camera = ros.start("ptr_bringup.camera.raw_node", name="wrist", **topics)
    raw = Image(height=2, width=4, encoding="rgb8", step=12, data=bytes([250, 10, 30]) * 8)
    raw.header.stamp.sec, raw.header.stamp.nanosec = 7, 11
    odd = Image(height=2, width=4, encoding="no_such", step=12, data=bytes(24))

    def arrived() -> bool:
        for image in (Image(), odd, raw):  # the first two are left out, and the node goes on
            driver.publish(image)
        calibration.publish(CameraInfo(width=4, height=2))
        return bool(images and infos)

    ros.wait(arrived, "a JPEG image and its calibration")
    camera.signal()
    assert camera.wait() == 0
    assert images[0].header.frame_id == infos[0].header.frame_id == "wrist_optical_frame"  # the driver names none
    assert (images[0].header.stamp.sec, images[0].header.stamp.nanosec) == (7, 11)
    pixel = cv2.imdecode(np.frombuffer(images[0].data, np.uint8), cv2.IMREAD_COLOR)[0, 0]
    assert pixel.tolist() == pytest.approx([30, 10, 250], abs=6)  # blue, green, red


def test_a_camera_of_another_driver_has_the_driver_s_frame_unless_its_own_place_is_given(ros) -> None:
    image = Image(height=2, width=4, encoding="rgb8", step=12, data=bytes(24))
    image.header.frame_id = "camera_color_optical_frame"
    info = CameraInfo(header=image.header, width=4, height=2)
    poses = ros.collect(PoseStamped, "/camera/placed/pose", LATCHED)
    frames = {}
    for name, place in {
        "plain": {},
        "placed": {"pose_frame": "gripper_link", "pose": "[0.1, 0.0, 0.2, 0.0, 0.0, 0.0]"},
    }.items():
        sent = {f"/{name}": image, f"/{name}_info": info}
        senders = [ros.node.create_publisher(type(one), topic, qos_profile_sensor_data) for topic, one in sent.items()]
        images = ros.collect(CompressedImage, f"/camera/{name}/image/compressed", qos_profile_sensor_data)
        infos = ros.collect(CameraInfo, f"/camera/{name}/camera_info", qos_profile_sensor_data)
        topics = {"image_topic": f"/{name}", "info_topic": f"/{name}_info"}
        ros.start("ptr_bringup.camera.raw_node", "-r", f"__node:={name}", name=name, **topics, **place)

        def arrived(senders=senders, images=images, infos=infos) -> bool:
            for sender, message in zip(senders, (image, info), strict=True):
                sender.publish(message)
            return bool(images and infos)

        ros.wait(arrived, "an image and its calibration")
        frames[name] = {images[0].header.frame_id, infos[0].header.frame_id}
    assert frames == {"plain": {"camera_color_optical_frame"}, "placed": {"placed_optical_frame"}}
    ros.wait(lambda: poses, "the pose of the camera that is placed")
    assert (poses[0].header.frame_id, poses[0].pose.position.z) == ("gripper_link", 0.2)


HANGING = """
import ctypes, rclpy, sys
from rclpy.node import Node
{imports}

def pause(self):
    print("the work is done", flush=True)
    ctypes.PyDLL(None).pause()  # keeps Python's lock

Node.destroy_node = pause
{run}
"""


@pytest.mark.parametrize("code", [0, 3])
def test_a_node_ends_with_its_exit_code_although_ros_hangs_while_shutting_down(ros, code: int) -> None:
    standing = f"class Standing(RunnableNode, Node): exit_code = {code or None}"
    script = HANGING.format(
        imports=f"from ptr_bringup.ros.node import RunnableNode, run\n{standing}",
        run="sys.exit(run(lambda: Standing('standing'), 'standing'))",
    )
    node = ros.run([sys.executable, "-c", script], "standing")
    if not code:
        ros.wait(lambda: "standing" in ros.node.get_node_names(), "the node")
        node.signal()
    assert node.wait() == code
    assert node.output.startswith("the work is done\n")
    assert "Timeout" in node.output and "in _run" in node.output, "it says where it hung"


def test_a_session_ends_with_its_exit_code_although_ros_hangs_while_shutting_down(ros) -> None:
    begin = (
        "from ptr_bringup.ros import session\nsession.SHUTDOWN_TIMEOUT = 0.5\nsession.SingleThreadedExecutor.shutdown"
    )
    run = "sys.exit(session.run_session(lambda: rclpy.create_node('hanging'), lambda *_: 4, 'hanging'))"
    script = HANGING.format(imports="", run=f"{begin} = pause\n{run}")
    session = ros.run([sys.executable, "-c", script], "session")
    assert session.wait() == 4
    assert "the work is done" in session.output
    assert "Timeout" in session.output and "run_session" in session.output, "it says where it hung"
