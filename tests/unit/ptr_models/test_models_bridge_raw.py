# SPDX-License-Identifier: Apache-2.0
"""Bridge as it was recorded, and its numpy form, become the same bags as the RLDS release."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bridge_sample import SAMPLE, needs_sample
from numpy.testing import assert_array_equal

from ptr_models.cli import main
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import BridgeEpisode, find_files, import_bridge, read_bridge
from ptr_models.episodes.importing.naming import SourceFolder
from ptr_models.episodes.importing.recordings import import_recordings
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata
from ptr_models.episodes.trajectory import encode_jpeg
from ptr_models.episodes.writer import BagWriter

NEW, OLD = "2022-03-04_10-20-30", "2021-07-22_23-59-59"


def made_up(seed: int = 0, steps: int = 4) -> BridgeEpisode:
    """An episode with T+1 observations, each image of its own brightness."""
    generator = np.random.default_rng(seed)
    frames = [encode_jpeg(np.full((16, 16, 3), 10 * k + seed, np.uint8)) for k in range(steps + 1)]
    return BridgeEpisode(
        states=generator.uniform(0, 0.3, (steps + 1, 7)),
        actions=generator.uniform(-0.05, 0.05, (steps, 7)),
        images={"image_0": frames},
        instruction="put the carrot on the plate",
        source="",
        complete=True,
        size=0,
    )


def write_raw(
    session: Path, number: int, episode: BridgeEpisode, lang: str | None = None, others: Sequence[str] = ()
) -> Path:
    """An episode as the robot's recorder wrote it; the pickles hold what theirs hold."""
    folder = session / "raw" / f"traj_group{number // 1000}" / f"traj{number}"
    folder.mkdir(parents=True)
    steps = len(episode.actions)
    observed: dict[str, Any] = {
        "joint_effort": np.zeros((len(episode.states), 7)),
        "full_state": episode.states,
        "state": episode.states,
        "time_stamp": [1.6e9 + 0.2 * k for k in range(len(episode.states))],
        "env_done": [False] * len(episode.states),
    }
    told = [
        {"actions": action, "delta_robot_transform": np.eye(4), "policy_type": "VRTeleopPolicy"}
        for action in episode.actions
    ]
    (folder / "obs_dict.pkl").write_bytes(pickle.dumps(observed, 3))
    (folder / "policy_out.pkl").write_bytes(pickle.dumps(told, 3))
    (folder / "agent_data.pkl").write_bytes(pickle.dumps({"traj_ok": True, "term_t": steps}, 3))
    for name in ("images0", *others):
        (folder / name).mkdir()
        for k, data in enumerate(episode.images["image_0"]):
            (folder / name / f"im_{k}.{'png' if name.startswith('depth') else 'jpg'}").write_bytes(data)
    if lang is not None:
        (folder / "lang.txt").write_text(lang, encoding="utf-8")
    return folder


def session_of(root: Path, date: str = NEW, task: str = "put_carrot_on_plate") -> Path:
    return root / "rss" / "toykitchen2" / task / "03" / date


def write_numpy(path: Path, episodes: Sequence[BridgeEpisode]) -> None:
    """The form that the published conversion saves."""
    found = []
    for episode in episodes:
        images = {
            name.replace("image_", "images"): [
                np.ascontiguousarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])
                for data in frames
            ]
            for name, frames in episode.images.items()
        }
        observed = [
            {name: frames[k] for name, frames in images.items()} | {"state": state, "time_stamp": 0.2 * k}
            for k, state in enumerate(episode.states)
        ]
        found.append(
            {
                "observations": observed[:-1],
                "next_observations": observed[1:],
                "actions": list(episode.actions),
                "terminals": [0] * len(episode.actions),
                "language": [episode.instruction, "confidence: 1"] if episode.instruction else [""],
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, found)  # type: ignore[arg-type]


def one_bag(root: Path) -> Path:
    (bag,) = find_episodes([root])
    return bag


def test_a_recording_becomes_a_bag_with_its_actions_and_all_its_states(tmp_path: Path) -> None:
    told = "\n put carrot on plate\nconfidence: 1\nmove the carrot\n"
    episode = made_up()
    folder = write_raw(session_of(tmp_path / "raw"), 7, episode, told)
    account = import_recordings(tmp_path / "raw", tmp_path / "bags")
    bag = read_episode(account.written[0])
    np.testing.assert_allclose(bag.actions, episode.actions, atol=1e-6)
    np.testing.assert_allclose(bag.states, episode.states, atol=1e-6)
    assert bag.path.name.rpartition("_")[0] == f"bridge_{NEW}_00007"
    known = bag.metadata
    assert (known.task, known.kitchen, known.outcome) == ("put_carrot_on_plate", "toykitchen2", "success")
    assert known.action_shift == 0
    assert known.extra["instruction"] == "put carrot on plate"
    assert known.extra["more_instructions"] == ["move the carrot"]
    assert known.extra["source"] == str(folder)


@needs_sample
def test_the_sample_written_as_recordings_gives_the_bags_of_the_sample(tmp_path: Path) -> None:
    source = list(read_bridge(find_files(SAMPLE)[0]))
    for number, episode in enumerate(source):
        last = slice(-1, None)
        whole = BridgeEpisode(
            states=np.concatenate([episode.states, episode.states[last]]),
            actions=episode.actions,
            images={"image_0": [*episode.images["image_0"], episode.images["image_0"][-1]]},
            instruction=episode.instruction,
            source="",
            complete=True,
            size=0,
        )
        task = SourceFolder.of(episode.source).task
        write_raw(session_of(tmp_path / "raw", task=task), number, whole, f"{episode.instruction}\n")
    raw = import_recordings(tmp_path / "raw", tmp_path / "from_raw")
    rlds = import_bridge(SAMPLE, tmp_path / "from_rlds")
    by_number = sorted(raw.written, key=lambda path: int(path.name.split("_")[-2]))
    assert len(by_number) == len(rlds.written) == 25 and not raw.left_out
    for ours, theirs in zip(map(read_episode, by_number), map(read_episode, rlds.written), strict=True):
        assert_array_equal(ours.actions, theirs.actions)
        assert_array_equal(ours.states, theirs.states)
        assert_array_equal(ours.images["over_shoulder"], theirs.images["over_shoulder"])
        for name in ("task", "outcome", "action_shift", "contract", "operator", "robot"):
            assert getattr(ours.metadata, name) == getattr(theirs.metadata, name)
        assert ours.metadata.extra["instruction"] == theirs.metadata.extra["instruction"]


def test_recordings_from_before_the_change_of_the_camera_delay_teach_what_their_conversion_teaches(
    tmp_path: Path,
) -> None:
    """The published conversion drops the first observation and the last action; here the bag's action_shift does it."""
    old = made_up(steps=6)
    converted = BridgeEpisode(
        states=old.states[1:],
        actions=old.actions[:-1],
        images={"image_0": old.images["image_0"][1:]},
        instruction=old.instruction,
        source="",
        complete=True,
        size=0,
    )
    write_raw(session_of(tmp_path / "raw", OLD), 0, old)
    write_numpy(
        tmp_path / "numpy" / "rss" / "toykitchen2" / "put_carrot_on_plate" / "03" / "train" / "out.npy", [converted]
    )
    batches = []
    for form in ("raw", "numpy"):
        import_recordings(tmp_path / form, tmp_path / "bags" / form)
        bag = one_bag(tmp_path / "bags" / form)
        assert read_metadata(bag).action_shift == int(form == "raw")
        episode = read_episode(bag)
        shift = episode.metadata.action_shift
        batches.append((episode.actions[: len(episode) - shift], episode.states[shift:]))
    (raw_actions, raw_states), (actions, states) = batches
    np.testing.assert_allclose(raw_actions, actions, atol=1e-6)
    np.testing.assert_allclose(raw_states, states, atol=1e-6)


def test_the_day_of_the_change_and_what_a_person_says_decide_about_the_shift(tmp_path: Path) -> None:
    for number, date in enumerate((OLD, "2021-07-23_00-00-00")):
        write_raw(session_of(tmp_path / "raw", date), number, made_up(number))
    import_recordings(tmp_path / "raw", tmp_path / "by_date")
    shifts = {
        read_metadata(bag).episode_id[7:17]: read_metadata(bag).action_shift
        for bag in find_episodes([tmp_path / "by_date"])
    }
    assert shifts == {"2021-07-22": 1, "2021-07-23": 0}
    command = ["import", "bridge", str(tmp_path / "raw"), "--out", str(tmp_path / "said"), "--workers", "1"]
    assert main([*command, "--action-shift", "2"]) == 0
    assert {read_metadata(bag).action_shift for bag in find_episodes([tmp_path / "said"])} == {2}


def test_the_numpy_form_gives_the_same_numbers_and_kitchen(tmp_path: Path) -> None:
    episodes = [made_up(seed) for seed in range(3)]
    write_numpy(tmp_path / "numpy" / "icra" / "toykitchen1" / "wipe" / "val" / "out.npy", episodes)
    account = import_recordings(tmp_path / "numpy", tmp_path / "bags")
    assert [path.name[:-9] for path in account.written] == [
        f"bridge_icra_toykitchen1_wipe_val_0000{n}" for n in range(3)
    ]
    for path, source in zip(account.written, episodes, strict=True):
        bag = read_episode(path)
        np.testing.assert_allclose(bag.actions, source.actions, atol=1e-6)
        np.testing.assert_allclose(bag.states, source.states, atol=1e-6)
        assert (bag.metadata.task, bag.metadata.kitchen) == ("wipe", "toykitchen1")
        assert bag.metadata.extra["instruction"] == source.instruction
    assert len(import_recordings(tmp_path / "numpy", tmp_path / "bags").kept) == 3


@pytest.mark.parametrize("lang", [None, "", "confidence: 0.4\n"])
def test_a_recording_without_an_instruction_is_kept_under_its_folders_name(tmp_path: Path, lang: str | None) -> None:
    write_raw(session_of(tmp_path / "raw"), 0, made_up(), lang)
    import_recordings(tmp_path / "raw", tmp_path / "bags", names="instruction")
    known = read_metadata(one_bag(tmp_path / "bags"))
    assert (known.task, known.extra["instruction"]) == ("put_carrot_on_plate", "")


def test_links_are_followed_and_a_loop_of_them_ends(tmp_path: Path) -> None:
    folder = write_raw(session_of(tmp_path / "elsewhere"), 0, made_up())
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "rss").symlink_to(tmp_path / "elsewhere" / "rss")
    (folder.parent / "again").symlink_to(tmp_path / "raw")
    assert len(import_recordings(tmp_path / "raw", tmp_path / "bags").written) == 1


def test_images_that_no_camera_takes_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        write_raw(session_of(tmp_path / "raw"), number, made_up(number), others=("images1", "images2", "depth_images0"))
    command = ["import", "bridge", str(tmp_path / "raw"), "--out", str(tmp_path / "bags"), "--workers", "1"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert output.count("depth_images0 is not imported: bags hold no depth images") == 1
    assert output.count("images1 is not imported: no camera of the contract uses it") == 1
    assert "2 written, 0 kept, 0 left out" in output


def test_a_contract_with_more_cameras_takes_their_images(tmp_path: Path) -> None:
    write_raw(session_of(tmp_path / "raw"), 0, made_up(), others=("images1",))
    write_raw(session_of(tmp_path / "raw"), 1, made_up(1))
    two = Contract(cameras=(Camera("over_shoulder", 16, 16), Camera("side_1", 16, 16)))
    account = import_recordings(tmp_path / "raw", tmp_path / "bags", two)
    assert set(read_episode(account.written[0]).images) == {"over_shoulder", "side_1"}
    assert [item.reason for item in account.left_out] == ["it has no folder images1"]


def test_further_cameras_are_taken_from_the_recordings_that_have_them(tmp_path: Path) -> None:
    write_raw(session_of(tmp_path / "raw"), 0, made_up(), others=("images1",))
    write_raw(session_of(tmp_path / "raw"), 1, made_up(1))
    words = ["import", "bridge", str(tmp_path / "raw"), "--out", str(tmp_path / "bags"), "--workers", "1"]
    assert main([*words, "--further-camera", "side_1", "wrist"]) == 0
    seen = [list(read_episode(path).images) for path in find_episodes([tmp_path / "bags"])]
    assert seen == [["over_shoulder", "side_1"], ["over_shoulder"]]
    assert main([*words[:-1], "1", "--out", str(tmp_path / "two"), "--camera", "over_shoulder", "side_1"]) == 0
    (both,) = find_episodes([tmp_path / "two"])
    assert list(read_episode(both).images) == ["over_shoulder", "side_1"]


def test_further_cameras_are_taken_from_the_numpy_form(tmp_path: Path) -> None:
    one, two = made_up(), made_up(1)
    two = dataclasses.replace(two, images=two.images | {"image_3": two.images["image_0"][::-1]})
    write_numpy(tmp_path / "numpy" / "icra" / "toykitchen1" / "wipe" / "val" / "out.npy", [one, two])
    account = import_recordings(tmp_path / "numpy", tmp_path / "bags", further=["wrist"])
    assert [list(read_episode(path).images) for path in account.written] == [
        ["over_shoulder"],
        ["over_shoulder", "wrist"],
    ]


def test_several_processes_write_what_one_does(tmp_path: Path) -> None:
    for number in range(5):
        write_raw(session_of(tmp_path / "raw"), number, made_up(number))
    seen: list[tuple[int, int]] = []
    several = import_recordings(
        tmp_path / "raw", tmp_path / "two", advance=lambda done, total: seen.append((done, total)), workers=2
    )
    one = import_recordings(tmp_path / "raw", tmp_path / "one")
    assert [path.name for path in several.written] == [path.name for path in one.written]
    assert seen == [(done, 5) for done in range(1, 6)]
    for left, right in zip(several.written, one.written, strict=True):
        assert_array_equal(read_episode(left).actions, read_episode(right).actions)


def test_an_import_of_recordings_that_was_interrupted_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_raw(session_of(tmp_path / "raw"), number, made_up(number))
    honest, closed = BagWriter.close, list[BagWriter]()

    def fail(writer: BagWriter) -> Path:
        closed.append(writer)
        if len(closed) == 2:
            raise KeyboardInterrupt
        return honest(writer)

    monkeypatch.setattr(BagWriter, "close", fail)
    command = ["import", "bridge", str(tmp_path / "raw"), "--out", str(tmp_path / "bags"), "--workers", "1"]
    assert main(command) == 130
    assert "1 written, 0 kept, 0 left out\nthe same command continues" in capsys.readouterr().err
    assert main(command) == 0
    assert "2 written, 1 kept, 0 left out" in capsys.readouterr().out
    assert len(find_episodes([tmp_path / "bags"])) == 3


class Gadget:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def spoil(folder: Path, what: str) -> None:
    """Make one thing of a recording odd."""
    trap = folder.parents[8] / "trap"
    observed = {
        "hostile actions": ("policy_out.pkl", [{"actions": Gadget(trap)}]),
        "hostile states": ("obs_dict.pkl", {"full_state": Gadget(trap)}),
        "no states": ("obs_dict.pkl", {"state": np.zeros((5, 7))}),
        "few states": ("obs_dict.pkl", {"full_state": np.zeros((3, 7))}),
        "five numbers": ("policy_out.pkl", [{"actions": np.zeros(5)}] * 4),
        "no numbers": ("policy_out.pkl", [{"actions": "up"}] * 4),
        "not finite": ("policy_out.pkl", [np.full(7, np.nan)] * 4),
        "far away": ("policy_out.pkl", [np.full(7, 9.0)] * 4),
    }
    if what in observed:
        name, value = observed[what]
        (folder / name).write_bytes(pickle.dumps(value, 3))
    elif what == "cut off":
        (folder / "obs_dict.pkl").write_bytes((folder / "obs_dict.pkl").read_bytes()[:200])
    elif what == "no actions":
        (folder / "policy_out.pkl").unlink()
    elif what == "no images":
        shutil.rmtree(folder / "images0")
    elif what == "an image missing":
        (folder / "images0" / "im_2.jpg").unlink()
    elif what == "the last image missing":
        (folder / "images0" / "im_4.jpg").unlink()
    elif what == "no image":
        (folder / "images0" / "im_2.jpg").write_bytes(b"<html>")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("hostile actions", "policy_out.pkl: it names 'posix.system'; it holds more than plain numbers"),
        ("hostile states", "obs_dict.pkl: it names 'posix.system'"),
        ("no states", "obs_dict.pkl has no full_state"),
        ("few states", "it has 4 actions but {'states': 3}"),
        ("five numbers", "its actions are not rows of 7 numbers"),
        ("no numbers", "its actions are not rows of 7 numbers"),
        ("not finite", "its actions have a value that is not finite"),
        ("far away", "the action of step 0 holds 9 m; at most 2"),
        ("cut off", "obs_dict.pkl is not an intact pickle"),
        ("no actions", "it has no policy_out.pkl"),
        ("no images", "it has no folder images0"),
        ("an image missing", "images0 has no im_2.jpg"),
        ("the last image missing", "it has 4 actions but {'states': 5, 'image_0': 4}"),
        ("no image", "image_0 of step 2 (6 bytes) is not an image"),
    ],
)
def test_an_odd_recording_is_left_out_with_its_reason_and_the_others_come(
    tmp_path: Path, what: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_of(tmp_path / "raw")
    for number in range(2):
        write_raw(session, number, made_up(number))
    spoil(write_raw(session, 2, made_up(2)), what)
    command = ["import", "bridge", str(tmp_path / "raw"), "--out", str(tmp_path / "bags"), "--workers", "1"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "2 written, 0 kept, 1 left out" in output
    assert f"put_carrot_on_plate/03/{NEW}/raw/traj_group0/traj2: " in output
    assert reason in output
    assert not (tmp_path / "trap").exists()


def test_a_hostile_numpy_file_is_left_out_and_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    for name, array in (
        ("bad", np.array([{"actions": Gadget(trap)}], dtype=object)),
        ("worse", np.array(Gadget(trap), dtype=object)),
        ("numbers", np.zeros(3)),
    ):
        (tmp_path / "numpy" / name / "train").mkdir(parents=True)
        np.save(tmp_path / "numpy" / name / "train" / "out.npy", array)
    (tmp_path / "numpy" / "text" / "train").mkdir(parents=True)
    (tmp_path / "numpy" / "text" / "train" / "out.npy").write_text("hello")
    odd = made_up()
    write_numpy(tmp_path / "numpy" / "good" / "a" / "b" / "train" / "out.npy", [odd, made_up(1)])
    account = import_recordings(tmp_path / "numpy", tmp_path / "bags")
    assert len(account.written) == 2
    assert not trap.exists()
    reasons = {str(item).split("/")[-3]: item.reason for item in account.left_out}
    assert "names 'posix.system'" in reasons["bad"] and "names 'posix.system'" in reasons["worse"]
    assert reasons["numbers"] == "it holds an array of float64; a list of episodes is needed"
    assert "not an intact .npy file" in reasons["text"]


@pytest.mark.parametrize(
    "episode",
    [{}, {"observations": [], "next_observations": []}, 3, {"observations": 4, "next_observations": 5, "actions": 6}],
)
def test_an_odd_episode_of_the_numpy_form_is_left_out(tmp_path: Path, episode: Any) -> None:
    path = tmp_path / "numpy" / "out.npy"
    path.parent.mkdir()
    held = np.empty(1, dtype=object)
    held[0] = episode
    np.save(path, held)
    account = import_recordings(path, tmp_path / "bags")
    assert "it is not in Bridge's numpy form" in account.left_out[0].reason
    assert str(account.left_out[0]).endswith(account.left_out[0].reason)


def test_bags_of_another_contract_are_not_taken_for_those_that_are_wanted(tmp_path: Path) -> None:
    write_raw(session_of(tmp_path / "raw"), 0, made_up())
    import_recordings(tmp_path / "raw", tmp_path / "bags")
    with pytest.raises(EpisodeError, match=r"imported with another contract \(control_rate: 10.0 != 5.0\).*--out"):
        import_recordings(tmp_path / "raw", tmp_path / "bags", Contract(control_rate=10.0))
