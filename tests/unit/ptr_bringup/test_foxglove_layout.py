# SPDX-License-Identifier: Apache-2.0
"""The Foxglove layouts that ship show topics and fields that there are; Foxglove itself is not started here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ptr_bringup.launching.interpreter import interpret
from ptr_bringup.launching.parameters import ParameterFile
from ptr_models.episodes.messages import typestore
from ptr_teleop.recorder.streams import streams_for

SOURCES = Path(__file__).resolve().parents[3] / "ptr_bringup"
STATUS = "ptr_msgs/msg/EpisodeStatus"
LAYOUTS: dict[str, dict[str, Any]] = {
    cameras: json.loads((SOURCES / "config" / name).read_text())
    for cameras, name in (
        ("over_shoulder", "foxglove_layout.json"),
        ("over_shoulder,wrist", "foxglove_layout_two_cameras.json"),
    )
}
"""By `cameras:=` of the launch file whose robot it shows."""
each_layout = pytest.mark.parametrize("cameras", LAYOUTS)


def panels(cameras: str) -> dict[str, dict[str, Any]]:
    return LAYOUTS[cameras]["configById"]


def topics(cameras: str) -> dict[str, str]:
    """Topics of what collect.launch.xml starts with these cameras, and of a policy, with their types.

    The cameras are those that the launch file gives to the simulator that publishes them.
    """
    plan = interpret(SOURCES / "launch" / "collect.launch.xml", {"task": "x", "cameras": cameras}, {})
    (simulator,) = [process for process in plan.processes if process.name == "simulator"]
    files = [yaml.safe_load(word.text) for word in simulator.command if isinstance(word, ParameterFile)]
    given = [file["/**"]["ros__parameters"] for file in files]
    (names,) = [values["cameras"] for values in given if "cameras" in values]
    return {stream.topic: stream.type for stream in streams_for(names)} | {"/episode/status": STATUS}


def leaves(node: str | dict[str, Any]) -> Iterator[str]:
    """Panels in a tree of splits."""
    if isinstance(node, str):
        yield node
        return
    assert node["direction"] in ("row", "column") and 0 < node["splitPercentage"] < 100
    yield from leaves(node["first"])
    yield from leaves(node["second"])


def paths(cameras: str) -> list[str]:
    """Fields that panels plot or print."""
    found = [series["value"] for panel in panels(cameras).values() for series in panel.get("paths", ())]
    return found + [panel[key] for panel in panels(cameras).values() for key in ("path", "topicPath") if key in panel]


def shown(cameras: str) -> set[str]:
    """Topics that the 3D and image panels show."""
    whole = {topic for panel in panels(cameras).values() for topic in panel.get("topics", ())}
    return whole | {topic for panel in panels(cameras).values() for topic in panel.get("imageMode", {}).values()}


@each_layout
def test_every_panel_has_its_place_and_its_settings(cameras: str) -> None:
    assert sorted(leaves(LAYOUTS[cameras]["layout"])) == sorted(panels(cameras))
    kinds = {name.partition("!")[0] for name in panels(cameras)}
    assert kinds == {"3D", "Image", "Plot", "StateTransitions", "Indicator", "RawMessages"}
    assert {"globalVariables", "userNodes", "playbackConfig"} <= set(LAYOUTS[cameras])  # else the file is refused


@pytest.mark.parametrize(("cameras", "path"), [(cameras, path) for cameras in LAYOUTS for path in paths(cameras)])
def test_every_field_that_is_plotted_is_one_of_its_topics_message(installed: None, cameras: str, path: str) -> None:
    known = topics(cameras)
    topic = next(topic for topic in known if path.startswith(f"{topic}."))
    kind: Any = known[topic]
    for word in path.removeprefix(f"{topic}.").split("."):
        name, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", word).groups()
        node, described = dict(typestore().fielddefs[kind][1])[name]
        if index is not None:
            assert node.name == "ARRAY" and int(index) < described[1]
        else:
            assert node.name in ("BASE", "NAME")
        kind = described if node.name == "NAME" else None
    assert kind is None


@each_layout
def test_the_panels_show_the_arm_and_every_camera_of_the_launch(installed: None, cameras: str) -> None:
    names = cameras.split(",")
    images = {f"/camera/{name}/{kind}" for name in names for kind in ("image/compressed", "camera_info")}
    assert shown(cameras) == images | {"/robot_description"} <= set(topics(cameras))
    assert panels(cameras)["3D!arm"]["followTf"] == "base_link"
    assert {f"/policy/step.action[{k}]" for k in range(7)} | {"/policy/step.q"} <= set(paths(cameras))


@each_layout
def test_each_image_stands_before_its_own_camera_in_3d_and_has_a_panel(cameras: str) -> None:
    in_3d = panels(cameras)["3D!arm"]["topics"]
    for name in cameras.split(","):
        image, info = f"/camera/{name}/image/compressed", f"/camera/{name}/camera_info"
        assert in_3d[image]["visible"] and in_3d[image]["cameraInfoTopic"] == info
        assert in_3d[image]["distance"] == in_3d[info]["distance"]
        assert panels(cameras)[f"Image!{name}"]["imageMode"] == {"imageTopic": image, "calibrationTopic": info}


def test_the_layouts_differ_in_nothing_but_the_second_camera() -> None:
    one, two = (dict(panels(cameras)) for cameras in LAYOUTS)
    del two["Image!wrist"]
    in_3d = two["3D!arm"]["topics"]
    kept = {topic: value for topic, value in in_3d.items() if not topic.startswith("/camera/wrist/")}
    assert two | {"3D!arm": two["3D!arm"] | {"topics": kept}} == one


@each_layout
def test_the_recorders_states_have_their_names(cameras: str) -> None:
    constants = {name.lower(): str(value) for name, _, value in typestore().fielddefs[STATUS][0]}
    rules = panels(cameras)["Indicator!recorder"]["rules"]
    assert {rule["label"]: rule["rawValue"] for rule in rules} == constants
