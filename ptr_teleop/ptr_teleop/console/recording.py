# SPDX-License-Identifier: Apache-2.0
"""A saved episode for playback in the page: its images, actions and events."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.bag import decode, refusing
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_scan import Raw, scan
from ptr_models.episodes.messages import EVENT_TOPIC
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import actions_from_targets, read_metadata, sample
from ptr_models.episodes.sampling import RecordedStream
from ptr_models.episodes.streams import Streams, control_grid, read_streams
from ptr_teleop.console.views import REASONS, number, shortened

SAFETY_TOPIC, STEP_TOPIC = "/arm/safety", "/policy/step"
MAX_BAG_SIZE = 1 << 30  # bytes
MAX_EVENTS = 500

Found = dict[str, tuple[str, list[Raw]]]


@dataclass(frozen=True)
class Recording:
    """An episode for playback.

    Attributes:
        view: everything but the images, as JSON values; times are s since the first image or step.
        images: encoded images by camera, in the order of `view["cameras"]`.
    """

    view: dict[str, Any]
    images: Mapping[str, RecordedStream[NDArray[np.uint8]]]

    def image(self, camera: str, index: int) -> bytes:
        """A JPEG or PNG as it was recorded.

        Raises:
            EpisodeError: no such image.
        """
        images = self.images.get(camera)
        if images is None or not 0 <= index < len(images):
            raise EpisodeError(f"there is no image {index} of camera {camera[:40]}")
        return images[index][1].tobytes()


def read_recording(path: Path) -> Recording:
    """Read an episode. If its control steps can't be read, `view["problem"]` says why, and its images still play.

    Raises:
        EpisodeError: the bag can't be read or is too large.
    """
    size = sum(bag.stat().st_size for bag in path.glob("*.mcap"))
    if size > MAX_BAG_SIZE:
        raise EpisodeError(f"{path.name} is {size / 1e9:.1f} GB, too large for this page; open it in Foxglove")
    metadata = read_metadata(path)
    with refusing(path):
        return _read(path, metadata)


def _read(path: Path, metadata: EpisodeMetadata) -> Recording:
    streams = read_streams(path, metadata.contract)
    found = scan(path, [EVENT_TOPIC, SAFETY_TOPIC, STEP_TOPIC])
    stamps, actions, problem = _steps(streams, metadata.contract)
    start = min([*(images.stamps[0] for images in streams.images.values() if images), *stamps[:1]], default=0)

    def seconds(stamp: int) -> float:
        return round((int(stamp) - start) * 1e-9, 3)

    cameras = {name: [seconds(stamp) for stamp in images.stamps] for name, images in streams.images.items() if images}
    ends = [times[-1] for times in cameras.values()] + [seconds(stamp) for stamp in stamps[-1:]]
    view = {
        "id": path.name,
        **{key: getattr(metadata, key) for key in ("task", "instruction", "kind", "outcome", "operator", "device")},
        "judgments": [dataclasses.asdict(label) for label in metadata.labels],
        "duration": max(ends, default=0.0),
        "cameras": cameras,
        "steps": [seconds(stamp) for stamp in stamps],
        "actions": np.asarray(actions, dtype=float).round(5).tolist(),
        "events": [{**event, "at": seconds(event["at"])} for event in _events(found)],
        "q": _policy_q(found, seconds),
        "problem": problem,
    }
    return Recording(view, streams.images)


def _steps(streams: Streams, contract: Contract) -> tuple[NDArray[np.int64], NDArray[np.float32], str]:
    """Stamps (T+1,) and actions (T, 7) of the control steps, as training reads them; or none, and why not."""
    try:
        stamps = control_grid(streams, contract, contract.observation_delay)
        _, commands = sample(streams, contract, stamps, contract.observation_delay)
        targets = np.array([(*command.pose, command.gripper) for command in commands])
        return stamps, actions_from_targets(targets), ""
    except PtrError as error:
        return np.empty(0, np.int64), np.empty((0, 7), np.float32), str(error)


def _events(found: Found) -> list[dict[str, Any]]:
    """The events in order; `at` in ns."""
    events: list[dict[str, Any]] = []
    for stamp, message in _decoded(found, EVENT_TOPIC):
        kind = str(message.type).replace("_", " ")
        events.append({"at": stamp, "kind": shortened(kind), "text": shortened(str(message.message))})
    for stamp, message in _decoded(found, SAFETY_TOPIC):
        reasons = [text for bit, (_, _, text) in REASONS.items() if message.reason & bit]
        if reasons:
            events.append({"at": stamp, "kind": "safety", "text": shortened(", ".join(reasons))})
    return sorted(events, key=lambda event: event["at"])[:MAX_EVENTS]


def _policy_q(found: Found, seconds: Callable[[int], float]) -> dict[str, Any] | None:
    """Q of each action of the policy that acted; None: no policy acted, or it has no Q."""
    points = [
        (seconds(stamp), number(message.q, 4))
        for stamp, message in _decoded(found, STEP_TOPIC)
        if not message.held and number(message.q, 4) is not None
    ]
    if not points:
        return None
    return {"of": "the policy that acted", "at": [at for at, _ in points], "q": [q for _, q in points]}


def _decoded(found: Found, topic: str) -> list[tuple[int, Any]]:
    kind = found[topic][0] if topic in found else ""
    return [(raw.stamp, decode(raw.data, kind)) for raw in (found[topic][1] if kind else ())]
