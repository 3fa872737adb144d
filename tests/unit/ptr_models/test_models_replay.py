# SPDX-License-Identifier: Apache-2.0
"""The replay cache and the samplers."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ptr_models.contract import Contract, ContractError
from ptr_models.episodes.actions import scale
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_models.episodes.reader import read_episode
from ptr_models.replay import Batch, Dataset, MixingSampler, Sampler, open_episodes

CONTRACT = Contract()
IDS = {"put_carrot_in_pot": 2, "put_knife_in_pot": 5}


@pytest.fixture
def data(make_episode: Callable[..., Path], tmp_path: Path) -> Dataset:
    """Three episodes of 12, 5 and 8 steps; the last one is a failed knife trial."""
    make_episode(0, steps=12)
    make_episode(1, steps=5)
    make_episode(2, steps=8, task="put_knife_in_pot", outcome="failure", kind="trial")
    return open_episodes([tmp_path / "bags"], CONTRACT, root=tmp_path / "cache", progress=False)


def test_the_cache_holds_each_episode_as_the_reader_gives_it(data: Dataset, tmp_path: Path) -> None:
    assert (len(data), data.transitions) == (3, 25)
    assert data.task_names == ["put_carrot_in_pot", "put_knife_in_pot"]
    assert list(data.successes) == [True, True, False]
    for index, path in enumerate(data.paths):
        episode = read_episode(path)
        frames, states, actions = data.episode(index)
        assert (frames == episode.images["over_shoulder"]).all()
        assert (states == episode.states).all()
        assert (actions == episode.actions).all()
    assert len(data.frames) == 25 + 3


def test_transitions_pair_each_frame_with_its_successor_and_label(data: Dataset) -> None:
    batch = Sampler(data, IDS).gather(np.array([0, 11, 12, 16, 17, 24]))
    frames, states, actions = data.episode(0)
    assert (batch.image[0] == frames[0]).all()
    assert (batch.next_image[0] == frames[1]).all()
    assert (batch.next_image[1] == frames[12]).all()
    assert (batch.next_state[1] == states[12]).all()
    assert_allclose(batch.action[0], scale(actions[0], CONTRACT))
    assert_allclose(batch.reward, [-1, 10, -1, 10, -1, -1])
    assert_allclose(batch.mask, [1, 0, 1, 0, 1, 1])
    assert_allclose(batch.mc_return[[1, 2, 4, 5]], [10, 7.256, -25, -25], atol=1e-5)
    assert list(batch.task) == [2, 2, 2, 2, 5, 5]
    assert batch.image.dtype == np.uint8
    assert batch.action.dtype == batch.state.dtype == batch.mc_return.dtype == np.float32


def test_the_cache_is_used_again_until_a_bag_or_a_label_changes(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_episode(0)
    cache = tmp_path / "cache"

    def load(contract: Contract = CONTRACT) -> Dataset:
        return open_episodes([tmp_path / "bags"], contract, root=cache, progress=False)

    load()
    built = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    load()
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == built
    make_episode(1)
    assert len(load()) == 2
    metadata = EpisodeMetadata.from_json((folder / "episode.json").read_text())
    relabelled = metadata.labelled(Label("failure", 1, "reviewer"))
    (folder / "episode.json").write_text(relabelled.to_json())
    assert list(load().successes) == [False, True]
    shutil.rmtree(cache)
    assert list(load().successes) == [False, True]


def test_unusable_episodes_are_left_out_by_name_and_reason(
    make_episode: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(0)
    make_episode(1, outcome="unlabelled")
    make_episode(2, kind="practice")
    cut = make_episode(3) / "episode_0003.mcap"
    cut.write_bytes(cut.read_bytes()[:5000])
    data = open_episodes([tmp_path / "bags"], CONTRACT, root=tmp_path / "cache")
    assert [Path(entry.path).name for entry in data.left_out] == [
        "episode_0001",
        "episode_0002",
        "episode_0003",
    ]
    assert "its outcome is unlabelled" in data.left_out[0].reason
    assert "it is practice" in data.left_out[1].reason
    assert "cut off or damaged" in data.left_out[2].reason
    assert "3 episodes left out, 1 used" in capsys.readouterr().err


def test_a_folder_without_any_usable_episode_is_an_error(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    make_episode(0, outcome="unlabelled")
    with pytest.raises(EpisodeError, match="none of 1 episodes is usable; the first, .*episode_0000"):
        open_episodes([tmp_path / "bags"], CONTRACT, root=tmp_path / "cache", progress=False)
    assert list((tmp_path / "cache").iterdir()) == []


def test_one_bag_of_another_contract_is_an_error(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    make_episode(0)
    make_episode(1, contract=dataclasses.replace(CONTRACT, control_rate=10.0))
    with pytest.raises(ContractError, match="episode_0001 follows another contract"):
        open_episodes([tmp_path / "bags"], CONTRACT, root=tmp_path / "cache", progress=False)


def test_a_damaged_cache_says_to_delete_it(data: Dataset, tmp_path: Path) -> None:
    folder = next((tmp_path / "cache").iterdir())
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"rows": 10**6}))
    with pytest.raises(EpisodeError, match="is damaged .* delete the folder"):
        open_episodes([tmp_path / "bags"], CONTRACT, root=tmp_path / "cache", progress=False)


def test_selecting_keeps_only_some_episodes(data: Dataset) -> None:
    carrots = data.select([task == "put_carrot_in_pot" for task in data.tasks])
    assert (len(carrots), carrots.transitions) == (2, 17)
    assert set(Sampler(carrots, IDS).sample(100).task) == {2}
    with pytest.raises(EpisodeError, match="no episode of 3 is left"):
        data.select([False] * 3)


def test_draws_are_uniform_over_transitions(data: Dataset) -> None:
    sampler = Sampler(data, IDS, seed=1)
    counts = np.zeros(25)
    drawn = sampler.sample(5000)
    keys = {float(state[0]): i for i, state in enumerate(sampler.gather(np.arange(25)).state)}
    for state in drawn.state:
        counts[keys[float(state[0])]] += 1
    chi_squared = ((counts - 200) ** 2 / 200).sum()
    assert chi_squared < 51.2  # 99.9 % quantile with 24 degrees of freedom is 51.18


def test_a_resumed_sampler_draws_the_same_batches(data: Dataset) -> None:
    first = MixingSampler(Sampler(data, IDS, seed=3), Sampler(data, IDS, seed=4), 0.5)
    first.sample(8)
    state = json.loads(json.dumps(first.state_dict()))
    second = MixingSampler(Sampler(data, IDS, seed=8), Sampler(data, IDS, seed=9), 0.5)
    second.load_state_dict(state)
    one, two = first.sample(16), second.sample(16)
    for item in dataclasses.fields(Batch):
        assert (getattr(one, item.name) == getattr(two, item.name)).all()


@pytest.mark.parametrize(
    ("size", "fraction", "split"),
    [
        (64, 0.9, (57, 7)),
        (64, 0.7, (44, 20)),
        (64, 0.8, (51, 13)),
        (64, 0.5, (32, 32)),
        (256, 0.9, (230, 26)),
        (64, 1.0, (64, 0)),
        (64, 0.0, (0, 64)),
    ],
)
def test_the_prior_share_is_rounded_down(
    data: Dataset, size: int, fraction: float, split: tuple[int, int]
) -> None:
    carrots = data.select([task == "put_carrot_in_pot" for task in data.tasks])
    knives = data.select([task == "put_knife_in_pot" for task in data.tasks])
    mixing = MixingSampler(Sampler(carrots, IDS), Sampler(knives, IDS), fraction)
    assert mixing.split(size) == split
    tasks = mixing.sample(size).task
    assert ((tasks == 2).sum(), (tasks == 5).sum()) == split
    assert len(mixing.sample(size)) == size


def test_mixing_needs_the_data_it_mixes(data: Dataset) -> None:
    with pytest.raises(EpisodeError, match="needs target data"):
        MixingSampler(Sampler(data, IDS), None, 0.9)
    with pytest.raises(EpisodeError, match="must be in"):
        MixingSampler(Sampler(data, IDS), None, 1.9)
    assert len(MixingSampler(Sampler(data, IDS), None, 1.0).sample(4)) == 4


def test_a_task_without_an_id_is_refused_with_the_known_ones(data: Dataset) -> None:
    with pytest.raises(EpisodeError, match="put_knife_in_pot has no id; known tasks: put_carrot_in_pot"):
        Sampler(data, {"put_carrot_in_pot": 0})
