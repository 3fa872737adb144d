# SPDX-License-Identifier: Apache-2.0
"""What the page shows of saved episodes, and what it does with them: the same as the command line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from ptr_models.common.rotations import DEFAULT_ROTATION  # noqa: E402
from ptr_models.episodes.errors import EpisodeError  # noqa: E402
from ptr_models.episodes.metadata import EpisodeMetadata, Label  # noqa: E402
from ptr_models.episodes.reader import read_episode, read_metadata  # noqa: E402
from ptr_models.episodes.trajectory import Trajectory, write_episode  # noqa: E402
from ptr_teleop.console.episodes import THUMBNAIL_WIDTH, EpisodeLibrary  # noqa: E402
from ptr_teleop.console.values import ValueSource  # noqa: E402

STEPS, LEVELS = 6, (40, 220)  # gray levels of the first and of the last image


def write(root: Path, name: str) -> Path:
    """An episode whose images grow brighter."""
    actions = np.full((STEPS, 7), 0.01)
    levels = np.linspace(*LEVELS, STEPS + 1).astype(np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (STEPS + 1, 24, 32, 3)).copy()
    trajectory = Trajectory.from_actions(
        actions,
        images={"over_shoulder": images},
        measured_position=np.full((STEPS + 1, 3), 0.2),
        measured_rotation=np.repeat(DEFAULT_ROTATION[None], STEPS + 1, axis=0),
        gripper=np.ones(STEPS + 1),
        joint_positions=np.zeros((STEPS + 1, 6)),
        start_ns=1_700_000_000 * 10**9,
    )
    metadata = EpisodeMetadata(name, "put_carrot_in_pot").labelled(Label("success", 1, "Ada"))
    return write_episode(root, metadata, trajectory)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "bags", "episode_1")
    write(tmp_path / "bags", "episode_2")
    return tmp_path / "bags"


@pytest.fixture
def library(root: Path) -> EpisodeLibrary:
    return EpisodeLibrary(lambda: str(root))


def listed(library: EpisodeLibrary) -> dict[str, tuple[str, bool]]:
    return {entry["id"]: (entry["outcome"], entry["discarded"]) for entry in library.listing()["episodes"]}


def test_an_episode_is_discarded_into_the_folder_of_the_command_line_and_comes_back(
    root: Path, library: EpisodeLibrary
) -> None:
    library.discard("episode_1")
    assert (root / "discarded" / "episode_1").is_dir()
    assert listed(library) == {"episode_2": ("success", False), "episode_1": ("success", True)}
    assert (library.listing()["count"], library.listing()["discarded"]) == (1, 1)
    with pytest.raises(EpisodeError, match="already discarded"):
        library.discard("episode_1")
    library.restore("episode_1")
    assert listed(library)["episode_1"] == ("success", False)


def test_a_judgment_is_added_and_taken_back(root: Path, library: EpisodeLibrary) -> None:
    library.listing()
    library.relabel("episode_2", "partial", 0.5, "it slipped", "Bea")
    assert listed(library)["episode_2"][0] == "partial"
    newest = read_metadata(root / "episode_2").labels[-1]
    assert (newest.score, newest.note, newest.annotator) == (0.5, "it slipped", "Bea")
    library.undo("episode_2")
    library.undo("episode_2")
    assert listed(library)["episode_2"][0] == "unlabelled"
    with pytest.raises(EpisodeError, match="no judgment"):
        library.undo("episode_2")


@pytest.mark.parametrize("name", ["../episode_1", "", ".", "episode_3", "a/b", "episode_1/../episode_2"])
def test_only_episodes_of_the_folder_can_be_named(library: EpisodeLibrary, name: str) -> None:
    for act in (library.discard, library.restore, library.undo, library.thumbnail, library.recording):
        with pytest.raises(EpisodeError):
            act(name)


def test_a_damaged_episode_is_listed_with_what_is_wrong_and_can_be_discarded(
    root: Path, library: EpisodeLibrary
) -> None:
    (root / "episode_1" / "episode.json").write_text("{")
    problems = {entry["id"]: entry["problem"] for entry in library.listing()["episodes"]}
    assert "cannot be read" in problems["episode_1"] and not problems["episode_2"]
    library.discard("episode_1")


@pytest.mark.parametrize("directory", ["", "/nowhere/at/all"])
def test_without_a_folder_the_list_says_what_to_do(directory: str) -> None:
    with pytest.raises(EpisodeError, match="start"):
        EpisodeLibrary(lambda: directory).listing()


def test_a_thumbnail_is_small_and_shows_the_end(library: EpisodeLibrary) -> None:
    image = cv2.imdecode(np.frombuffer(library.thumbnail("episode_1"), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (round(THUMBNAIL_WIDTH * 24 / 32), THUMBNAIL_WIDTH, 3)
    assert image.mean() == pytest.approx(LEVELS[1], abs=3)


def test_the_player_gets_the_actions_that_training_reads_and_every_image(root: Path, library: EpisodeLibrary) -> None:
    recording = library.recording("episode_1")
    episode = read_episode(root / "episode_1")
    assert np.array(recording.view["actions"]) == pytest.approx(episode.actions, abs=1e-5)
    assert recording.view["steps"] == pytest.approx((episode.stamps - episode.stamps[0]) * 1e-9)
    assert recording.view["problem"] == ""
    times = recording.view["cameras"]["over_shoulder"]
    levels = [
        cv2.imdecode(np.frombuffer(recording.image("over_shoulder", index), np.uint8), cv2.IMREAD_COLOR).mean()
        for index in range(len(times))
    ]
    assert levels == sorted(levels) and levels[-1] == pytest.approx(LEVELS[1], abs=3)
    json.dumps(recording.view, allow_nan=False)
    for camera, index in (("over_shoulder", len(times)), ("wrist", 0)):
        with pytest.raises(EpisodeError, match="no image"):
            recording.image(camera, index)


def test_q_of_a_file_lies_on_the_control_steps_or_is_refused(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    q = [-3.0, -2.5, -2.0, -1.5, -1.0, -0.5]
    demonstrations = [{"name": "episode_1", "q": q}, {"name": "episode_2", "q": q[1:]}]
    file.write_text(json.dumps({"checkpoint": "runs/carrot", "demonstrations": demonstrations}))
    library = EpisodeLibrary(lambda: str(root), ValueSource(str(file)))
    found = library.values_along("episode_1")
    assert (found["of"], found["q"]) == ("runs/carrot", q)
    assert found["at"] == library.recording("episode_1").view["steps"][:-1]
    with pytest.raises(EpisodeError, match="5 values, but episode_2 has 6 steps"):
        library.values_along("episode_2")
    file.write_text('{"demonstrations": [{}]}')
    with pytest.raises(EpisodeError, match="contains no values"):
        library.values_along("episode_1")
    with pytest.raises(EpisodeError, match="is not known; add it to a file"):
        EpisodeLibrary(lambda: str(root)).values_along("episode_1")


def test_a_trial_has_the_q_of_its_policy_without_the_steps_that_were_held() -> None:
    from ptr_models.episodes.mcap_scan import Raw
    from ptr_models.episodes.messages import typestore
    from ptr_teleop.console.recording import STEP_TOPIC, _policy_q

    store, kind = typestore(), "ptr_msgs/msg/PolicyStep"
    header = store.types["std_msgs/msg/Header"](stamp=store.types["builtin_interfaces/msg/Time"](0, 0), frame_id="")

    def raw(step: int, q: float, held: bool) -> Raw:
        fields = {"header": header, "image_stamp": header.stamp, "action": np.zeros(7, np.float32)}
        texts = dict.fromkeys(("episode_id", "task", "reason"), "")
        numbers = dict.fromkeys(("q_spread", "q_mode", "image_age", "state_age", "inference_time"), 0.0)
        message = store.types[kind](**fields, **texts, **numbers, step=step, q=q, held=held)
        return Raw(step * 10**9, step * 10**9, store.serialize_cdr(message, kind))

    found = {STEP_TOPIC: (kind, [raw(1, -1.5, False), raw(2, 0.0, True), raw(3, np.nan, False), raw(4, -0.5, False)])}
    shown = _policy_q(found, lambda stamp: stamp * 1e-9)
    assert (shown["at"], shown["q"]) == ([1.0, 4.0], [-1.5, -0.5])
    assert _policy_q({}, float) is None
