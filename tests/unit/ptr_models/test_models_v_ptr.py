# SPDX-License-Identifier: Apache-2.0
"""V-PTR: from images without actions, of bags and of MP4 files, to values, to PTR from their encoder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import prior_only

from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.common.video import Encoding, encode
from ptr_models.inference.policy import Policy
from ptr_models.replay.mixing import MixingSampler
from ptr_models.training.checkpoint import encoder_weights, load_algorithm, read_checkpoint
from ptr_models.training.config import ConfigError, TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.presets import preset
from ptr_models.training.representation import describe, first_objective
from ptr_models.training.run_setup import resume, start_finetuning, start_pretraining

SMALL = [
    "batch_size=6",
    "threads=1",
    "networks.latent=16",
    "networks.hidden=[16, 16]",
    "networks.precision=fp32",
    "networks.multilinear_value={hidden: [16, 16]}",
    "algorithm.bc_steps=0",
    "schedule.steps=3",
    "schedule.log_every=1",
    "schedule.target_from=2",
]
VALUES = preset("v_ptr_small").replaced(SMALL)
TASK, TARGET = "put_carrot_in_pot", "put_knife_in_pot"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two videos of a moving square, one of them below it, and a file that is no video."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "more").mkdir()
    for name, color in (("one.mp4", 250), ("more/two.mp4", 120)):
        frames = np.zeros((40, 72, 96, 3), np.uint8)
        for time, frame in enumerate(frames):
            frame[20:40, 2 * time : 2 * time + 16] = color
        encode(folder / name, frames, (72, 96), 10, Encoding(crf=10))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def values(training_bags: Bags, training_folder: Path) -> Path:
    """A run of three updates on the images of the pre-training bags."""
    run = training_folder / "values"
    if not run.exists():
        start_pretraining(VALUES, prior_only(training_bags), run).run()
    return run


def from_values(run: Path, *more: str) -> TrainingConfig:
    return VALUES.replaced([f"networks.weights={run}", *more])


# --------------------------------------------------------------------------- values
def test_the_images_of_bags_are_enough(values: Path) -> None:
    entries = [json.loads(line) for line in (values / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [1, 2, 3] and entries[0]["value_loss"] > 0
    checkpoint = read_checkpoint(values)
    assert checkpoint.config.algorithm.name == "icvf"
    assert describe(checkpoint.card).endswith("trained on the pre-training videos of this project (icvf).")


def test_actions_and_states_of_the_bags_leave_no_trace(values: Path, training_bags: Bags, tmp_path: Path) -> None:
    """With other actions and states in the cache the same weights are learned."""
    cache = shutil.copytree(training_bags.cache, tmp_path / "cache")
    trainer = start_pretraining(VALUES, dataclasses.replace(prior_only(training_bags), cache=cache), tmp_path / "run")
    (prior,) = (item.prior for item in trainer.source._phases[:1] if isinstance(item, MixingSampler))
    noise = np.full_like(np.asarray(prior.dataset.actions), np.nan)
    prior.dataset = dataclasses.replace(prior.dataset, actions=noise, states=np.full_like(prior.dataset.states, np.nan))
    other = read_checkpoint(trainer.run().checkpoint)
    first, second = (load_algorithm(item).modules for item in (read_checkpoint(values), other))
    for name in first:
        for one, two in zip(first[name].parameters(), second[name].parameters(), strict=True):
            assert torch.equal(one, two)


def test_videos_alone_are_enough(videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        trainer = start_pretraining(VALUES, Bags(videos=(videos,), cache=tmp_path / "cache"), tmp_path / "run")
    assert "videos: 2 parts, 40 frames, 1 files left out" in caplog.text  # 4 s at 5 Hz each
    assert "broken.mp4 is not an intact MP4 video" in caplog.text
    checkpoint = read_checkpoint(trainer.run().checkpoint)
    assert checkpoint.tasks.names == () and checkpoint.contract.image_shape == (64, 64, 3)
    assert describe(checkpoint.card) == "Visual features: trained on 2 video files (icvf)."
    report = json.loads((tmp_path / "run" / "data.json").read_text())
    assert set(report) == {"videos"} and report["videos"]["left_out"][0]["bag"].endswith("broken.mp4")


def test_bags_and_videos_are_learned_from_together(training_bags: Bags, videos: Path, tmp_path: Path) -> None:
    bags = dataclasses.replace(prior_only(training_bags), videos=(videos,))
    trainer = start_pretraining(VALUES, bags, tmp_path / "run")
    prior = trainer.source._phases[0].prior
    assert len(prior.dataset) == 6 and len(prior) == 4 * 12 + 2 * 19
    images = trainer.source.sample(200, 0).image
    gray = (np.ptp(images, axis=-1) <= 2).all(axis=(1, 2))  # the videos are gray, the bags are not
    assert 50 < gray.sum() < 130  # 200 * 38 / 86 = 88
    trainer.run()
    assert set(json.loads((tmp_path / "run" / "data.json").read_text())) == {"prior", "videos"}


def test_a_run_on_videos_goes_on_as_if_it_had_not_been_interrupted(videos: Path, tmp_path: Path) -> None:
    bags = Bags(videos=(videos,), cache=tmp_path / "cache")
    start_pretraining(VALUES.replaced(["schedule.steps=4"]), bags, tmp_path / "whole").run()
    start_pretraining(VALUES.replaced(["schedule.steps=2"]), bags, tmp_path / "parts").run()
    resume(None, tmp_path / "parts", ["schedule.steps=4"], cache=bags.cache).run()
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert texts[0] == texts[1] and texts[0].count("\n") == 4


# --------------------------------------------------------------------------- PTR from their encoder
def test_actor_critic_and_their_copies_begin_with_the_encoder_of_the_values(
    values: Path, training_bags: Bags, tmp_path: Path
) -> None:
    trainer = start_pretraining(from_values(values), training_bags, tmp_path / "run")
    learned = encoder_weights(read_checkpoint(values))
    assert set(trainer.algorithm.modules) == {"actor", "critic", "target_critic", "average_actor"}
    for module in trainer.algorithm.modules.values():
        own = module.encoder.state_dict()
        assert own.keys() == learned.keys() and all(torch.equal(own[name], learned[name]) for name in own)
    fresh = start_pretraining(VALUES, prior_only(training_bags), tmp_path / "fresh").algorithm.actor.encoder
    assert not torch.equal(fresh.dense.weight, learned["dense.weight"])
    sentence = "started from the run values after 3 updates of icvf on the pre-training videos of this project."
    assert describe(trainer.start.card) == f"Visual features: {sentence}"


def test_it_is_ptr_with_both_of_its_phases_and_the_encoder_goes_on_learning(
    values: Path, training_bags: Bags, tmp_path: Path
) -> None:
    config = first_objective(from_values(values))
    assert (config.algorithm.name, config.algorithm.next_algorithm) == ("ptr", "") and config.schedule.target_from == 2
    trainer = start_pretraining(from_values(values), training_bags, tmp_path / "run")
    assert [trainer.source.phase(step) for step in range(4)] == [0, 0, 1, 1]
    before = encoder_weights(read_checkpoint(values))
    trainer.run()
    for module in (trainer.algorithm.actor, trainer.algorithm.critic):
        after = module.encoder.state_dict()
        assert all(not torch.equal(after[name], before[name]) for name in ("dense.weight", "pooling.kernel"))
    tuned = start_finetuning(tmp_path / "run", training_bags, tmp_path / "tuned", ["schedule.steps=5"]).run()
    policy = Policy.load(tuned.checkpoint)
    assert "run values after 3 updates of icvf" in describe(policy.checkpoint.card)
    image = np.zeros(policy.contract.image_shape, np.uint8)
    assert np.isfinite(policy.act(image, np.zeros(7, np.float32), TARGET, choice="argmax_q").q)


def test_the_encoder_of_videos_serves_robots_with_two_cameras(values: Path, tmp_path: Path) -> None:
    """One encoder sees each view, so that the number of views does not matter to its weights."""
    from ptr_models.algorithms import make_algorithm
    from ptr_models.training.representation import load_features

    config = first_objective(from_values(values))
    config = dataclasses.replace(config, networks=dataclasses.replace(config.networks, cameras=2))
    algorithm = make_algorithm(config.algorithm, config.networks, 1)
    assert load_features(algorithm, config)["representation"]["updates"] == 3
    learned = encoder_weights(read_checkpoint(values))
    assert torch.equal(algorithm.actor.encoder.dense.weight, learned["dense.weight"])


def test_values_of_videos_are_no_policy_and_not_to_be_fine_tuned(
    values: Path, training_bags: Bags, tmp_path: Path
) -> None:
    following = "ptr train pretrain --preset v_ptr_small --set networks.weights=RUN"
    with pytest.raises(PtrError, match=f"without a policy .icvf.; pre-train a policy from them with {following}"):
        Policy.load(values)
    with pytest.raises(PtrError, match=f"holds values of videos; .* with {following}"):
        start_finetuning(values, training_bags, tmp_path / "tuned")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("networks.latent=8", r"has networks\.latent 16, not 8; give both runs the same"),
        ("networks.encoder=resnet_small", r"has networks\.encoder tiny, not resnet_small"),
        ("networks.pooling=mean", r"has networks\.pooling spatial_embeddings, not mean"),
    ],
)
def test_a_run_with_another_encoder_is_refused(
    change: str, message: str, values: Path, training_bags: Bags, tmp_path: Path
) -> None:
    with pytest.raises(PtrError, match=message):
        start_pretraining(from_values(values, change), prior_only(training_bags), tmp_path / "run")


def test_a_checkpoint_whose_values_could_not_be_in_its_file_is_refused(values: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(read_checkpoint(values).path, tmp_path / "copy")
    index = json.loads((folder / "checkpoint.json").read_text())
    index["config"]["networks"]["multilinear_value"]["hidden"] = [16, 10**9]
    (folder / "checkpoint.json").write_text(json.dumps(index))
    with pytest.raises(
        PtrError, match=r"networks\.multilinear_value\.hidden is 1000000000, but model\.safetensors has"
    ):
        read_checkpoint(folder)


def test_a_folder_that_is_no_run_is_refused(training_bags: Bags, tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="there is no checkpoint at"):
        start_pretraining(from_values(tmp_path), prior_only(training_bags), tmp_path / "run")


# --------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize("name", ["ptr_small", "bet_small", "mae_bc_small"])
def test_what_needs_more_than_frames_refuses_videos(name: str, videos: Path, tmp_path: Path) -> None:
    with pytest.raises(PtrError, match=r"videos have no actions, but \w+ learns from (transitions|windows)"):
        start_pretraining(preset(name), Bags(videos=(videos,), cache=tmp_path / "cache"), tmp_path / "run")
    assert not (tmp_path / "cache").exists()


def test_the_features_of_r3m_can_be_learned_from_videos_too(training_bags: Bags, videos: Path, tmp_path: Path) -> None:
    config = preset("r3m_bc_small").replaced(SMALL)
    bags = dataclasses.replace(prior_only(training_bags), videos=(videos,))
    first = start_pretraining(config, bags, tmp_path / "first").run().checkpoint
    assert "and 2 video files (time_contrastive)" in describe(read_checkpoint(first).card)
    tuned = start_finetuning(first, training_bags, tmp_path / "tuned", ["schedule.steps=4"]).run().checkpoint
    assert "video" not in Policy.load(tuned).tasks


def test_values_are_learned_without_goal_images(training_bags: Bags, tmp_path: Path) -> None:
    config = VALUES.replaced(["data.task_conditioning=goal_image"])
    with pytest.raises(PtrError, match="values of videos are learned without goals; omit it"):
        start_pretraining(config, prior_only(training_bags), tmp_path / "run")


def test_goal_images_are_for_the_policy_that_follows(values: Path, training_bags: Bags, tmp_path: Path) -> None:
    config = from_values(values, "data.task_conditioning=goal_image")
    trainer = start_pretraining(config, prior_only(training_bags), tmp_path / "run")
    assert trainer.algorithm.actor.encoder.cameras == 2
    learned = encoder_weights(read_checkpoint(values))
    assert torch.equal(trainer.algorithm.critic.encoder.dense.weight, learned["dense.weight"])


def test_a_policy_of_chunks_begins_with_the_same_encoder(values: Path, training_bags: Bags, tmp_path: Path) -> None:
    config = from_values(values, "algorithm.chunk=2", "schedule.steps=1")
    trainer = start_pretraining(config, prior_only(training_bags), tmp_path / "run")
    learned = encoder_weights(read_checkpoint(values))
    assert torch.equal(trainer.algorithm.critic.encoder.dense.weight, learned["dense.weight"])
    assert Policy.load(trainer.run().checkpoint).checkpoint.config.algorithm.chunk == 2


@pytest.mark.parametrize("rate", ["-1", "1e6"])
def test_a_rate_that_no_video_has_is_refused(rate: str) -> None:
    with pytest.raises(ConfigError, match="video_rate is .* it must be 0, or 0.01 to 1000 Hz"):
        VALUES.replaced([f"data.video_rate={rate}"])


# --------------------------------------------------------------------------- the command line
def words(*more: Any) -> list[str]:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    return ["train", "pretrain", "--preset", "v_ptr_small", *settings, *map(str, more)]


def test_from_a_folder_of_mp4_files_to_a_fine_tuned_policy(
    videos: Path, training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three commands: values of the videos, PTR on the bags, fine-tuning to the demonstrations."""
    cache = ["--cache", str(training_bags.cache)]
    run = tmp_path / "values"
    assert main(words("--videos", videos, "--out", run, *cache)) == 0
    printed = capsys.readouterr().out
    assert "Visual features: trained on 2 video files (icvf)." in printed
    assert f"next: ptr train pretrain --preset v_ptr_small --set networks.weights={run} --data … --out …" in printed
    assert main(["train", "pretrain", "--resume", "--out", str(run), "--steps", "4", *cache]) == 0
    assert read_checkpoint(run).step == 4
    capsys.readouterr()

    pretrained = tmp_path / "pretrained"
    data = ["--data", training_bags.prior[0]]
    assert main(words("--set", f"networks.weights={run}", *data, "--out", pretrained, *cache)) == 0
    printed = capsys.readouterr().out
    assert "started from the run values after 4 updates of icvf on 2 video files." in printed
    assert f"next: ptr train finetune --checkpoint {pretrained}" in printed

    tuned = [
        "--checkpoint",
        str(pretrained),
        "--target",
        str(training_bags.target[0]),
        "--out",
        str(tmp_path / "tuned"),
    ]
    assert main(["train", "finetune", *tuned, *map(str, data), "--steps", "2", *cache]) == 0
    policy = Policy.load(tmp_path / "tuned")
    image = np.zeros(policy.contract.image_shape, np.uint8)
    assert policy.act(image, np.zeros(7, np.float32), TARGET).action.shape == (7,)


def test_a_folder_without_videos_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(words("--videos", tmp_path / "empty", "--out", tmp_path / "run", "--cache", tmp_path / "cache")) == 2
    assert capsys.readouterr().err.strip() == f"error: {tmp_path / 'empty'} holds no .mp4 file"
    assert not (tmp_path / "run").exists()


def test_a_preset_that_needs_actions_refuses_videos_on_the_command_line(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "pretrain", "--preset", "ptr_small", "--videos", str(videos), "--out", str(tmp_path / "run")]
    assert main(command) == 2
    message = "videos have no actions, but ptr learns from transitions; omit --videos, or choose a preset"
    assert message in capsys.readouterr().err
