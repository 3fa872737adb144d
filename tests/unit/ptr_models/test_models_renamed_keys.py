# SPDX-License-Identifier: Apache-2.0
"""Former names of configuration keys, in commands, files and checkpoints."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ptr_models.cli import main
from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.config import ConfigError, TrainingConfig
from ptr_models.training.renamed_keys import RENAMED

CHECKPOINTS = Path(__file__).parents[3] / "models" / "checkpoints"
SHIPPED = ("ptr_small", "ptr_bernoulli_small", "ptr_bernoulli_standard")
FORMER: dict[str, tuple[str, Any]] = {
    "algorithm.polyak": ("algorithm.tau", 0.01),
    "algorithm.alpha": ("algorithm.cql_alpha", 3.0),
    "algorithm.samples": ("algorithm.cql_n_actions", 2),
    "algorithm.uniform_dimensions": ("algorithm.cql_uniform_dimensions", "parts"),
    "algorithm.actor_rate": ("algorithm.actor_lr", 2e-3),
    "algorithm.critic_rate": ("algorithm.critic_lr", 3e-3),
    "algorithm.critic_td_rate": ("algorithm.critic_td_lr", 4e-3),
    "algorithm.temperature_rate": ("algorithm.temperature_lr", 5e-3),
    "algorithm.bc_warmup": ("algorithm.bc_steps", 70),
    "algorithm.critic_in_warmup": ("algorithm.critic_in_bc_steps", False),
    "algorithm.entropy_in_warmup": ("algorithm.entropy_in_bc_steps", True),
    "algorithm.actor_average": ("algorithm.ema_decay", 0.9),
    "algorithm.choice": ("algorithm.action_choice", "argmax_q"),
    "algorithm.then": ("algorithm.next_algorithm", "bc"),
    "algorithm.contrastive.rate": ("algorithm.contrastive.lr", 6e-3),
    "algorithm.icvf.rate": ("algorithm.icvf.lr", 7e-3),
    "algorithm.masked.base_rate": ("algorithm.masked.base_lr", 8e-3),
    "algorithm.masked.normalise": ("algorithm.masked.norm_pix_loss", False),
    "networks.critics": ("networks.num_critics", 5),
}
"""By former key the present one, and a value that is not the default."""


def value_of(config: TrainingConfig, key: str) -> Any:
    """The value of a key with its sections."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def nested(key: str, value: Any) -> dict[str, Any]:
    """A configuration with one value."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def in_file(folder: Path, values: Any) -> Path:
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_no_former_name_is_in_use_again() -> None:
    assert set(FORMER) == set(RENAMED)
    for former, (present, value) in FORMER.items():
        assert value_of(TrainingConfig(), present) != value
        with pytest.raises(AttributeError):
            value_of(TrainingConfig(), former)


@pytest.mark.parametrize("former", FORMER)
def test_a_former_key_sets_the_present_one_and_nothing_else(former: str, tmp_path: Path) -> None:
    present, value = FORMER[former]
    wanted = TrainingConfig.from_dict(nested(present, value))
    assert value_of(wanted, present) == value
    assert TrainingConfig.from_dict(nested(former, value)) == wanted
    assert TrainingConfig().replaced([f"{former}={value}"]) == wanted
    assert TrainingConfig.from_yaml(in_file(tmp_path, nested(former, value))) == wanted


@pytest.mark.parametrize("former", FORMER)
def test_a_key_under_both_names_is_refused_in_one_sentence(former: str, tmp_path: Path) -> None:
    present, value = FORMER[former]
    sentence = f"^{former} is now called {present}, and both are given; remove {former}$"
    for order in ((former, present), (present, former)):
        with pytest.raises(ConfigError, match=sentence):
            TrainingConfig().replaced([f"{key}={value}" for key in order])
    *sections, name = former.split(".")
    both: Any = {name: value, present.split(".")[-1]: value}
    for section in reversed(sections):
        both = {section: both}
    with pytest.raises(ConfigError, match=sentence):
        TrainingConfig.from_yaml(in_file(tmp_path, both))


def test_a_file_that_refers_to_itself_is_read_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("algorithm: &a {alpha: 2.0, icvf: *a}\n")
    with pytest.raises(ConfigError, match=r"unknown configuration key 'algorithm\.icvf\.alpha'"):
        TrainingConfig.from_yaml(tmp_path / "own.yaml")


# ----------------------------------------------------------------------------- checkpoints
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_checkpoint_has_each_value_that_it_was_trained_with(name: str) -> None:
    """All of its keys, not those that were renamed alone; what it lacks has the default."""
    stored = json.loads((CHECKPOINTS / name / "checkpoint.json").read_text())["config"]
    assert {"alpha", "polyak", "samples", "actor_rate", "bc_warmup", "actor_average"} <= set(stored["algorithm"])
    found = read_checkpoint(CHECKPOINTS / name).config.to_dict()
    expected = TrainingConfig().to_dict()
    for section, values in stored.items():
        if not isinstance(values, dict):
            expected[section] = values
            continue
        for key, value in values.items():
            *_, present = FORMER.get(f"{section}.{key}", (key, None))[0].split(".")
            if isinstance(value, dict) and key != "aliases":
                names = {k: FORMER.get(f"{section}.{key}.{k}", (k, None))[0].split(".")[-1] for k in value}
                value = expected[section][key] | {names[k]: item for k, item in value.items()}
            expected[section][present] = value
    assert found == expected


def test_the_shipped_checkpoints_are_of_the_recorded_runs() -> None:
    small, easy, standard = (read_checkpoint(CHECKPOINTS / name).config for name in SHIPPED)
    for config in (small, easy, standard):
        algorithm = config.algorithm
        assert (algorithm.tau, algorithm.cql_n_actions, config.networks.num_critics) == (0.005, 4, 2)
        assert (algorithm.actor_lr, algorithm.temperature_lr, algorithm.critic_td_lr) == (3e-4, 3e-4, 0.0)
        assert not algorithm.critic_in_bc_steps and not algorithm.entropy_in_bc_steps
        assert (algorithm.action_choice, algorithm.next_algorithm) == ("argmax_q" if config is easy else "mode", "")
    assert [config.algorithm.cql_alpha for config in (small, easy, standard)] == [1.0, 0.3, 0.3]
    assert [config.algorithm.critic_lr for config in (small, easy, standard)] == [3e-4, 5e-4, 5e-4]
    assert [config.algorithm.bc_steps for config in (small, easy, standard)] == [18_000, 24_000, 32_000]
    assert [config.algorithm.ema_decay for config in (small, easy, standard)] == [0.999, 0.999, 0.99]
    uniform = [config.algorithm.cql_uniform_dimensions for config in (small, easy, standard)]
    assert uniform == ["all", "parts", "parts"]


# ----------------------------------------------------------------------------- the command line
def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[TrainingConfig, str]:
    """The configuration that `ptr train pretrain` would begin with, and what it says beside it."""
    assert main(["train", "pretrain", "--preset", "ptr_small", "--print-config", *words]) == 0
    out, err = capsys.readouterr()
    return TrainingConfig.from_dict(yaml.safe_load(out)), err


def test_set_takes_a_former_name_and_says_the_present_one_once(capsys: pytest.CaptureFixture[str]) -> None:
    plain, quiet = printed(capsys)
    words = ("--set", "algorithm.alpha=4", "--set", "algorithm.alpha=5", "--set", "schedule.mix=0.6")
    config, said = printed(capsys, *words)
    assert (config.algorithm.cql_alpha, config.schedule.mix, quiet) == (5.0, 0.6, "")
    assert said == "algorithm.alpha is now called algorithm.cql_alpha\n"
    assert dataclasses.replace(
        config,
        algorithm=dataclasses.replace(config.algorithm, cql_alpha=plain.algorithm.cql_alpha),
        schedule=dataclasses.replace(config.schedule, mix=plain.schedule.mix),
    ) == plain  # fmt: skip


@pytest.mark.parametrize("kind", ["pretrain", "finetune", "joint", "online"])
def test_set_under_both_names_ends_the_command_with_a_sentence(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--out", "nowhere", "--set", "networks.num_critics=3", "--set", "networks.critics=3"]
    assert main(["train", kind, *words]) == 2
    said = capsys.readouterr().err
    assert "networks.critics is now called networks.num_critics, and both are given; remove networks.critics" in said


def test_a_parser_begins_anew_with_each_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--set", "algorithm.alpha=5")[0].algorithm.cql_alpha == 5.0
    assert printed(capsys, "--set", "algorithm.cql_alpha=6")[0].algorithm.cql_alpha == 6.0


def test_a_file_with_former_keys_counts_and_each_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"algorithm": {"bc_warmup": 7, "masked": {"normalise": False}}, "seed": 3}
    file = in_file(tmp_path, values)
    config, said = printed(capsys, "--config", str(file), "--set", "algorithm.bc_steps=8")
    assert (config.seed, config.algorithm.bc_steps, config.algorithm.masked.norm_pix_loss) == (3, 8, False)
    assert said.splitlines() == [
        f"{file}: algorithm.bc_warmup is now called algorithm.bc_steps",
        f"{file}: algorithm.masked.normalise is now called algorithm.masked.norm_pix_loss",
    ]
