# SPDX-License-Identifier: Apache-2.0
"""Presets: files laid over one another, found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.cli import main
from ptr_models.training import presets as module
from ptr_models.training.config import ConfigError, TrainingConfig
from ptr_models.training.presets import preset, presets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of preset files in place of the package's."""
    files: dict[str, Path] = {}
    monkeypatch.setattr(module, "_files", lambda: files | {path.stem: path for path in tmp_path.glob("*.yaml")})
    return tmp_path


def test_every_preset_says_in_one_sentence_what_it_is() -> None:
    for name, about in presets().items():
        assert about.endswith(".") and 20 < len(about) < 160, name
        assert preset(name).preset == name


def test_each_method_has_a_preset_of_both_sizes_and_most_have_one_without_images() -> None:
    with_images = {name for name in presets() if not name.endswith("_low_dim")}
    methods = {name.rpartition("_")[0] for name in with_images}
    # ptr_paper has no imitation term, hence nothing to learn without Q; the two-way gripper was tried on a CPU only.
    alone = {"ptr_no_bc", "ptr_control", "ptr_bernoulli"}
    both = {f"{method}_{size}" for method in methods - alone for size in ("paper", "small")}
    assert with_images == both | {f"{method}_small" for method in alone}
    assert {name.removesuffix("_low_dim") for name in set(presets()) - with_images} <= methods


OF_PTR = ("ptr_low_dim", "ptr_no_bc_low_dim", "ptr_control_low_dim", "awr_low_dim", "cql_target_low_dim")
"""Presets whose losses were found without images, and are still to be tried with them."""


@pytest.mark.parametrize("name", [name for name in presets() if name.endswith("_low_dim") and name not in OF_PTR])
def test_a_preset_without_images_differs_from_its_small_twin_in_what_is_seen_alone(name: str) -> None:
    seen = {"encoder", "image_size", "precision", "state_center", "state_scale", "hidden", "critic_proprioception"}
    found = differences(name, name.replace("low_dim", "small"))
    assert set(found) == {"networks", "data"} and found["networks"] <= seen and found["data"] == {"augmentation"}
    assert preset(name).networks.encoder == "none"


@pytest.mark.parametrize("name", OF_PTR)
def test_presets_of_ptr_without_images_share_networks_and_critic(name: str) -> None:
    found, base = preset(name), preset("ptr_low_dim")
    assert found.networks == base.networks and found.networks.encoder == "none"
    assert (found.algorithm.cql_alpha, found.algorithm.critic_lr) == (
        base.algorithm.cql_alpha,
        base.algorithm.critic_lr,
    )


def test_the_defaults_are_the_paper_preset() -> None:
    assert preset("ptr_paper") == TrainingConfig()


def test_a_preset_replaces_values_of_its_base_and_of_the_base_of_that(folder: Path) -> None:
    (folder / "_first.yaml").write_text("batch_size: 8\nschedule: {mix: 0.5, target_from: 7}\n")
    (folder / "second.yaml").write_text("about: Two.\nbase: _first\nschedule: {mix: 0.6}\n")
    (folder / "third.yaml").write_text("about: Three.\nbase: second\nalgorithm: {cql_alpha: 2.0}\n")
    config = preset("third")
    assert (config.preset, config.batch_size, config.algorithm.cql_alpha) == ("third", 8, 2.0)
    assert (config.schedule.mix, config.schedule.target_from) == (0.6, 7)
    assert presets() == {"second": "Two.", "third": "Three."}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about: A.\nbase: b\n", "a -> b -> a are based on each other"),
        ("about: A.\nbase: nothing\n", "based on 'nothing', which does not exist"),
        ("about: A.\nalgorithm: {alfa: 1.0}\n", "unknown configuration key 'algorithm.alfa'.*algorithm.cql_alpha"),
    ],
)
def test_a_preset_that_makes_no_sense_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "a.yaml").write_text(text)
    (folder / "b.yaml").write_text("about: B.\nbase: a\n")
    with pytest.raises(ConfigError, match=message):
        preset("a")


@pytest.mark.parametrize("name", ["ptr_smal", "_small"])
def test_an_unknown_preset_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match="nearest is .*_small; known: .*ptr_paper"):
        preset(name)


def test_the_command_line_lists_presets_with_their_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "presets"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed and about in printed for name, about in presets().items())


IMPROVEMENTS = {
    "networks": {"num_critics", "critic_layer_norm", "critic_proprioception"},
    "algorithm": {"calibrated", "target_subset", "target_bounds", "bc_weight", "action_choice"},
    "data": {"task_balance"},
}


def differences(name: str, base: str) -> dict[str, set[str]]:
    """Names of the values in which two presets differ, by section."""
    first, second = preset(name).to_dict(), preset(base).to_dict()
    sections = {key for key, value in first.items() if isinstance(value, dict) and value != second[key]}
    loose = {key for key in first if key != "preset" and key not in sections and first[key] != second[key]}
    found = {
        section: {key for key in first[section] if first[section][key] != second[section][key]} for section in sections
    }
    return found | ({"": loose} if loose else {})


def test_ptr_plus_is_ptr_with_all_improvements_on() -> None:
    assert differences("ptr_plus_paper", "ptr_paper") == IMPROVEMENTS


def test_the_small_ptr_plus_leaves_out_what_ptr_small_has_and_acts_by_its_mode() -> None:
    already = {"calibrated", "bc_weight"}
    assert differences("ptr_plus_small", "ptr_small") == IMPROVEMENTS | {
        "algorithm": IMPROVEMENTS["algorithm"] - already - {"action_choice"}
    }
    assert preset("ptr_small").algorithm.calibrated and preset("ptr_small").algorithm.bc_weight > 0
    assert preset("ptr_plus_small").algorithm.action_choice == "mode"


@pytest.mark.parametrize("size", ["paper", "small"])
def test_joint_and_target_only_baselines_differ_from_their_method_in_the_schedule_alone(size: str) -> None:
    joint, target = preset(f"bc_joint_{size}"), preset(f"bc_target_{size}")
    assert differences(f"bc_joint_{size}", f"bc_{size}") == {"schedule": {"target_from"}}
    assert differences(f"bc_target_{size}", f"bc_{size}") == {"schedule": {"target_from", "mix"}}
    assert (joint.schedule.target_from, target.schedule.target_from, target.schedule.mix) == (0, 0, 0.0)


def test_conservative_learning_on_target_data_alone_is_ptr_without_the_first_phase() -> None:
    assert differences("cql_target_paper", "ptr_paper") == {"schedule": {"target_from", "mix"}}
    assert preset("cql_target_paper").schedule.mix == 0.0


@pytest.mark.parametrize("size", ["paper", "small"])
def test_cog_is_plain_conservative_learning_on_all_data_at_once(size: str) -> None:
    config = preset(f"cog_joint_{size}")
    algorithm, networks = config.algorithm, config.networks
    assert (algorithm.name, algorithm.cql_alpha, algorithm.cql_n_actions) == ("ptr", 1.0, 1)
    assert algorithm.next_policy_actions and not algorithm.max_backup and not algorithm.calibrated
    assert (algorithm.bc_loss, algorithm.bc_weight) == ("likelihood", 0.0) and algorithm.bc_steps > 0
    assert algorithm.critic_in_bc_steps and algorithm.entropy_in_bc_steps and not networks.critic_injection
    assert config.schedule.target_from == 0 and 0.0 < config.schedule.mix < 1.0


def test_the_control_is_ptr_whose_actor_does_not_use_q() -> None:
    assert differences("ptr_control_small", "ptr_small") == {"algorithm": {"actor_q_weight"}}
    assert preset("ptr_control_small").algorithm.actor_q_weight == 0.0


def test_ptr_without_an_imitation_term_still_warms_up() -> None:
    algorithm = preset("ptr_no_bc_small").algorithm
    assert algorithm.bc_weight == 0.0 < algorithm.bc_steps and algorithm.critic_warmup_steps > 0


@pytest.mark.parametrize("size", ["paper", "small"])
def test_a_two_way_gripper_is_all_that_sets_it_apart(size: str) -> None:
    assert differences(f"bc_bernoulli_{size}", f"bc_{size}") == {"networks": {"gripper"}}


def test_v_ptr_is_ptr_behind_values_of_videos() -> None:
    """What comes after the values is ptr_small, from another encoder; the paper's has what its authors changed."""
    assert differences("v_ptr_small", "ptr_small") == {"algorithm": {"name", "next_algorithm", "icvf"}}
    assert (preset("v_ptr_small").algorithm.name, preset("v_ptr_small").algorithm.next_algorithm) == ("icvf", "ptr")
    assert differences("v_ptr_paper", "ptr_paper") == {
        "networks": {"encoder", "embeddings"},
        "algorithm": {"name", "next_algorithm", "cql_alpha", "calibrated"},
        "schedule": {"target_from"},
    }
