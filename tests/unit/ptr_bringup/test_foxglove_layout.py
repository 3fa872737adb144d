# SPDX-License-Identifier: Apache-2.0
"""The Foxglove layout that ships shows topics and fields that there are; Foxglove itself is not started here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.messages import typestore
from ptr_teleop.recorder.streams import streams_for

FILE = Path(__file__).resolve().parents[3] / "ptr_bringup" / "config" / "foxglove_layout.json"
LAYOUT = json.loads(FILE.read_text())
PANELS: dict[str, dict[str, Any]] = LAYOUT["configById"]
STATUS = "ptr_msgs/msg/EpisodeStatus"
CAMERAS = [camera.name for camera in Contract().cameras]
TOPICS = {stream.topic: stream.type for stream in streams_for(CAMERAS)} | {"/episode/status": STATUS}


def leaves(node: str | dict[str, Any]) -> Iterator[str]:
    """Panels in a tree of splits."""
    if isinstance(node, str):
        yield node
        return
    assert node["direction"] in ("row", "column") and 0 < node["splitPercentage"] < 100
    yield from leaves(node["first"])
    yield from leaves(node["second"])


def paths() -> list[str]:
    """Fields that panels plot or print."""
    found = [series["value"] for panel in PANELS.values() for series in panel.get("paths", ())]
    return found + [panel[key] for panel in PANELS.values() for key in ("path", "topicPath") if key in panel]


def shown() -> set[str]:
    """Topics that the 3D and image panels show."""
    whole = {topic for panel in PANELS.values() for topic in panel.get("topics", ())}
    return whole | {topic for panel in PANELS.values() for topic in panel.get("imageMode", {}).values()}


def test_every_panel_has_its_place_and_its_settings() -> None:
    assert sorted(leaves(LAYOUT["layout"])) == sorted(PANELS)
    kinds = {name.partition("!")[0] for name in PANELS}
    assert kinds == {"3D", "Image", "Plot", "StateTransitions", "Indicator", "RawMessages"}
    assert {"globalVariables", "userNodes", "playbackConfig"} <= set(LAYOUT)  # without them the file is refused


@pytest.mark.parametrize("path", paths())
def test_every_field_that_is_plotted_is_one_of_its_topics_message(path: str) -> None:
    topic = next(topic for topic in TOPICS if path.startswith(f"{topic}."))
    kind: Any = TOPICS[topic]
    for word in path.removeprefix(f"{topic}.").split("."):
        name, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", word).groups()
        node, described = dict(typestore().fielddefs[kind][1])[name]
        if index is not None:
            assert node.name == "ARRAY" and int(index) < described[1]
        else:
            assert node.name in ("BASE", "NAME")
        kind = described if node.name == "NAME" else None
    assert kind is None


def test_the_panels_show_the_arm_and_the_contracts_cameras() -> None:
    images = {f"/camera/{name}/{kind}" for name in CAMERAS for kind in ("image/compressed", "camera_info")}
    assert shown() == images | {"/robot_description"}
    assert PANELS["3D!arm"]["followTf"] == "base_link"
    assert {f"/policy/step.action[{k}]" for k in range(7)} | {"/policy/step.q"} <= set(paths())


def test_the_recorders_states_have_their_names() -> None:
    constants = {name.lower(): str(value) for name, _, value in typestore().fielddefs[STATUS][0]}
    assert {rule["label"]: rule["rawValue"] for rule in PANELS["Indicator!recorder"]["rules"]} == constants
