# SPDX-License-Identifier: Apache-2.0
"""The whole configuration of a training run, as dataclasses; read from and written to YAML."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.common.errors import PtrError
from ptr_models.episodes.labels import Labelling
from ptr_models.input_limits import MAX_CONTROL_RATE, MIN_CONTROL_RATE
from ptr_models.networks.config import NetworkConfig
from ptr_models.replay.augment import Augmentation
from ptr_models.replay.goals import FUTURE
from ptr_models.training.online_config import OnlineConfig
from ptr_models.training.renamed_keys import present_names
from ptr_models.training.tasks import GOAL_IMAGE, LANGUAGE, ONE_HOT
from ptr_models.training.text_encoders import HASHING
from ptr_models.yaml_input import parse_yaml, read_yaml

RETIRED = {
    "data.action_shift": "each bag stores how far its images lag behind its actions (ptr import bridge --action-shift)",
    "algorithm.masked.rate": "algorithm.masked.base_lr is the learning rate for a batch of 256",
}
"""Keys of earlier versions, which checkpoints may still have, and what replaced them."""
TASK_CONDITIONINGS = (ONE_HOT, LANGUAGE, GOAL_IMAGE)
AUGMENT_ON = ("auto", "cpu", "device")
COMPILE_MODES = ("", "default", "reduce-overhead", "max-autotune")


class ConfigError(PtrError):
    """A configuration has an unknown key or an invalid value."""


@dataclass(frozen=True)
class DataConfig:
    """What training uses from the bags.

    Attributes:
        labelling: rewards and terminals; the discount of returns is `algorithm.discount`.
        augmentation: random crops and colors, drawn independently for s and s'.
        target_episodes: at most this many target demonstrations, chosen by the seed; -1: all.
        aliases: task name to the name whose slot it shares.
        spare_tasks: slots for tasks that are not known yet.
        task_conditioning: `one_hot`: each task has a number (PTR). `language`: `text_encoder` embeds each instruction,
            or the words of the task's name if a bag has none; any text can be a task. `goal_image`: an image of the
            desired end state; in training, a later frame of the same episode.
        text_encoder: `hashing` (compares words, not meanings), or the folder of a sentence-transformers model.
        goal_future: share of goal images that are drawn uniformly from the frames after their state; the others are the
            last frames of their episodes.
        task_balance: b in [0, 1]; a task with n transitions of a data set is drawn with p
            proportional to n^(1 - b). 0: by data size, as PTR; 0.5: square root; 1: all tasks alike.
        augment_on: `cpu`: in the thread that draws the batches; `device`: where the networks train; `auto`: on the
            device if it is a GPU. The images are the same, up to rounding.
        cameras: cameras of the bags, in the order in which policies see them; empty: those of most bags.
        video_rate: frames per second to use from `--videos`; 0: the control rate of the bags, or 5.
        max_idle_steps: control steps to keep of each pause (the arm is commanded neither to move nor to grip); -1: all.
    """

    labelling: Labelling = field(default_factory=Labelling)
    augmentation: Augmentation = field(default_factory=Augmentation)
    target_episodes: int = -1
    aliases: dict[str, str] = field(default_factory=dict)
    spare_tasks: int = 8
    task_conditioning: str = ONE_HOT
    text_encoder: str = HASHING
    goal_future: float = FUTURE
    task_balance: float = 0.0
    augment_on: str = "auto"
    cameras: tuple[str, ...] = ()
    video_rate: float = 0.0
    max_idle_steps: int = -1

    @property
    def by_instruction(self) -> bool:
        """Whether tasks are given as instructions."""
        return self.task_conditioning == LANGUAGE

    @property
    def by_goal_image(self) -> bool:
        """Whether tasks are given as goal images."""
        return self.task_conditioning == GOAL_IMAGE

    def augments_on_device(self, device: str) -> bool:
        """Whether batches are augmented where networks on this device train."""
        return self.augment_on == "device" or (self.augment_on == "auto" and device.startswith("cuda"))

    def __post_init__(self) -> None:
        if self.task_conditioning not in TASK_CONDITIONINGS:
            known = ", ".join(TASK_CONDITIONINGS)
            raise ValueError(f"task_conditioning is {self.task_conditioning!r}; known: {known}")
        if self.augment_on not in AUGMENT_ON:
            raise ValueError(f"augment_on is {self.augment_on!r}; known: {', '.join(AUGMENT_ON)}")
        for name in ("task_balance", "goal_future"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1]")
        if self.max_idle_steps < -1:
            raise ValueError(f"max_idle_steps is {self.max_idle_steps}; it must be 0 or more, or -1 for all")
        if self.video_rate and not MIN_CONTROL_RATE <= self.video_rate <= MAX_CONTROL_RATE:
            raise ValueError(
                f"video_rate is {self.video_rate}; it must be 0, or {MIN_CONTROL_RATE:g} to {MAX_CONTROL_RATE:g} Hz"
            )
        if self.spare_tasks < 0:
            raise ValueError(f"spare_tasks is {self.spare_tasks}; it must not be negative")


UNLIMITED = 1_000_000_000
"""Updates of a run that only a time limit or a person ends."""


@dataclass(frozen=True)
class ScheduleConfig:
    """The schedule, in updates since the start of pre-training.

    Attributes:
        steps: the run ends after this many updates.
        seconds: or after this time (0: no limit).
        target_from: updates before the target demonstrations enter the batches; 0 is joint training.
        mix: fraction of pre-training data in a batch from then on.
        checkpoint_every, log_every: updates; a checkpoint is also written when the target data enter.
        keep_checkpoints: number of newest checkpoints to keep (0: all). Milestones always stay: every tenth, and the
            one at `target_from`.
        choose_from: updates of fine-tuning before a checkpoint can be chosen by its values, if there are later ones.
    """

    steps: int = UNLIMITED
    seconds: float = 0.0
    target_from: int = 160_000
    mix: float = 0.9
    checkpoint_every: int = 20_000
    log_every: int = 100
    keep_checkpoints: int = 0
    choose_from: int = 10_000

    def is_milestone(self, step: int) -> bool:
        """Whether the checkpoint after `step` updates is always kept."""
        return step == self.target_from or step % (10 * self.checkpoint_every) == 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.mix <= 1.0:
            raise ValueError(f"mix is {self.mix}; it must be in [0, 1]")
        if min(self.checkpoint_every, self.log_every) < 1:
            raise ValueError("checkpoint_every and log_every must be at least 1")
        if self.keep_checkpoints < 0:
            raise ValueError(f"keep_checkpoints is {self.keep_checkpoints}; it must be 0 (all) or more")


NEED_IMAGES = ("time_contrastive", "masked_autoencoder", "icvf")
"""Algorithms that learn from images only."""


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run.

    Attributes:
        preset: name of the preset that the values come from.
        seed: of initial weights, batches, augmentation and action samples.
        batch_size: transitions per update.
        device: cpu, cuda or auto (cuda if there is a GPU); a run stores the device that it found.
        threads: CPU threads of PyTorch; 0: PyTorch's default.
        compile: mode of torch.compile for the encoders (`reduce-overhead`: with CUDA graphs); empty: not compiled.
    """

    preset: str = "ptr_paper"
    seed: int = 42
    batch_size: int = 64
    device: str = "auto"
    threads: int = 0
    compile: str = ""
    networks: NetworkConfig = field(default_factory=NetworkConfig)
    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)
    data: DataConfig = field(default_factory=DataConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    online: OnlineConfig = field(default_factory=OnlineConfig)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")
        if self.networks.encoder == "none" and self.algorithm.name in NEED_IMAGES:
            raise ValueError(f"algorithm {self.algorithm.name} trains an image encoder, but networks.encoder is 'none'")
        if self.networks.encoder == "none" and self.data.by_goal_image:
            raise ValueError(
                "data.task_conditioning is 'goal_image', but networks.encoder is 'none' and sees no images"
            )
        if self.compile not in COMPILE_MODES:
            raise ValueError(f"compile is {self.compile!r}; known: {', '.join(COMPILE_MODES[1:])}, or nothing")
        subset, critics = self.algorithm.target_subset, self.networks.num_critics
        if subset > critics:
            raise ValueError(f"algorithm.target_subset is {subset}, but there are {critics} critics")

    @property
    def labelling(self) -> Labelling:
        """The labelling rule of the data, with the algorithm's discount."""
        return dataclasses.replace(self.data.labelling, discount=self.algorithm.discount)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, as YAML and JSON hold them."""
        return _plain(dataclasses.asdict(self))

    def to_yaml(self) -> str:
        """All values, including defaults."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], base: TrainingConfig | None = None) -> TrainingConfig:
        """`base` (or the defaults) with some values replaced. Former names of keys (`renamed_keys`) also work.

        Raises:
            ConfigError: an unknown key (the message names the nearest), a key given under both its former and its
            present name, or a value of the wrong type or range.
        """
        return _merge(base or cls(), present_names(values, ConfigError), "")

    @classmethod
    def from_yaml(cls, path: Path | str, base: TrainingConfig | None = None) -> TrainingConfig:
        """Read a YAML file; missing keys keep the value of `base`."""
        values = read_yaml(path, "the configuration", ConfigError) or {}
        if not isinstance(values, dict):
            raise ConfigError(f"the configuration {path} is not a mapping of names to values")
        return cls.from_dict(values, base)

    def replaced(self, assignments: list[str]) -> TrainingConfig:
        """With `section.key=value` assignments applied; values are YAML (`schedule.mix=0.8`)."""
        tree: dict[str, Any] = {}
        for assignment in assignments:
            name, separator, text = assignment.partition("=")
            if not separator:
                raise ConfigError(f"{assignment!r} is not an assignment; write section.key=value")
            node = tree
            *sections, key = name.strip().split(".")
            for section in sections:
                node = node.setdefault(section, {})
            node[key] = parse_yaml(text, name, ConfigError)
        return type(self).from_dict(tree, self)


def without_retired(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The configuration of an earlier version without keys that no longer exist."""
    return {
        key: without_retired(value, f"{path}{key}.") if isinstance(value, Mapping) else value
        for key, value in values.items()
        if f"{path}{key}" not in RETIRED
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _merge(base: Any, values: Mapping[str, Any], path: str) -> Any:
    """A dataclass with the fields in `values` replaced, recursively."""
    known = typing.get_type_hints(type(base))
    changes = {}
    for key, value in values.items():
        name = f"{path}{key}"
        if name in RETIRED:
            raise ConfigError(f"the configuration key {name} no longer exists: {RETIRED[name]}")
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ConfigError(f"unknown configuration key {name!r}; the nearest known one is {path}{near[0]!s}")
        current = getattr(base, key)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{name} is a section with keys of its own, not {value!r}")
            changes[key] = _merge(current, value, f"{name}.")
        else:
            changes[key] = _convert(known[key], value, name)
    try:
        return dataclasses.replace(base, **changes)
    except (ValueError, PtrError) as error:
        raise ConfigError(f"configuration {path.rstrip('.') or 'values'}: {error}") from error


def _convert(kind: Any, value: Any, name: str) -> Any:
    """`value` converted to the annotated type: int to float, list to tuple, numeric string to number."""
    origin = typing.get_origin(kind)
    if origin is tuple and isinstance(value, list | tuple):
        element = typing.get_args(kind)[0]
        return tuple(_convert(element, item, name) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return dict(value)
    if isinstance(kind, types.UnionType):
        return _convert_union(kind, value, name)
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as a string
        except ValueError:
            pass
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    wanted = kind.__name__ if isinstance(kind, type) else str(kind)
    raise ConfigError(f"{name} is {value!r}; wanted: {wanted}")


def _convert_union(kind: types.UnionType, value: Any, name: str) -> Any:
    """`value` converted to the first matching member of a union."""
    for member in typing.get_args(kind):
        try:
            return None if member is types.NoneType and value is None else _convert(member, value, name)
        except ConfigError:
            continue
    raise ConfigError(f"{name} is {value!r}; wanted: {kind}")
