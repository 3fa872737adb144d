# SPDX-License-Identifier: Apache-2.0
"""The plan of the table, and the commands that produce it, in order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ptr_bringup.sim.levels import DEFAULT_LEVEL
from ptr_bringup.sim.tasks import TARGET_TASKS
from ptr_models.common.assets import absolute
from ptr_models.common.errors import PtrError
from ptr_models.episodes.episode_discovery import episodes_so_far
from ptr_models.episodes.exclusion import only_in
from ptr_models.json_input import parse_json, read_object
from ptr_models.training.runs import checkpoint_step, latest_checkpoint, resolve_checkpoint
from ptr_policy.stages import PTR, Stage, number_in
from ptr_policy.table.methods import METHODS, Method, Recipe
from ptr_policy.table.targets import Target

LOW_DIM = "low_dim"
"""Size of presets of policies that see the poses of simulated objects instead of images."""
FULL_PRETRAINING, FULL_FINETUNING = 22_000, 500
"""Updates of the full table, and of `ptr table` by default."""

MODE, DECODING = "mode", "decoding.json"
OWN = "own"
"""How an external policy chooses its actions: as its file says."""
WITHOUT_Q = (MODE, "sample_gripper", "sample")
"""Ways of choosing actions that don't use a Q-function."""


@dataclass(frozen=True)
class Budget:
    """Equal for all methods.

    Attributes:
        pretraining, finetuning: updates; a method without pre-training does both on its data, and one that learns
            values of the videos first makes as many updates for that as for pre-training.
        demonstrations: of each target task.
        trials: per task and seed.
        validation: trials of each decoding, in other scenes, from which a cell's decoding is chosen; 0: the mode.
    """

    pretraining: int
    finetuning: int
    demonstrations: int = 10
    trials: int = 20
    validation: int = 10


@dataclass(frozen=True)
class TablePlan:
    """What is compared, where, and with what.

    Attributes:
        out: folder of all output.
        data: pre-training bags.   exclude: which of them are left out, see `episodes.exclusion`.
        methods: rows.
        size: of the presets, `small` or `paper`, or `low_dim`: policies that see objects instead of images.
        tasks: target task and the kitchen of its demonstrations and trials; without one, a person judges its trials,
            which `ptr evaluate` makes.
        targets: demonstrations that exist already, by task; the simulated operator records the others.
        trials_from: folders of `ptr evaluate` with judged trials, in addition to those in `evaluations`.
        cameras: that policies see, in this order; none: they see objects, or the bags decide.
        seeds: of pre-training, demonstrations and fine-tuning; trials are the same for all methods and seeds.
        level: of demonstrations and trials.   manner: of the operator who demonstrates.
        budget: updates, demonstrations, trials.
        checkpoints: pre-trained checkpoints that exist already, by method.
        threads: of PyTorch.
        settings: further `section.key=value` for every training command.
    """

    out: Path
    data: Path
    methods: tuple[Method, ...]
    size: str
    tasks: tuple[tuple[str, str], ...]
    seeds: tuple[int, ...]
    budget: Budget
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    threads: int = 1
    settings: tuple[str, ...] = ()
    level: str = DEFAULT_LEVEL
    manner: str = "human"
    exclude: tuple[str, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)
    trials_from: tuple[Path, ...] = ()
    cameras: tuple[str, ...] = ()

    @property
    def data_options(self) -> list[object]:
        """Options that name the pre-training bags; they do not exclude demonstrations of the target task."""
        return ["--data", self.data, *(f"--exclude={pattern}" for pattern in only_in(str(self.data), self.exclude))]

    @property
    def is_full(self) -> bool:
        """Whether it is the table of the paper: images of one camera, its tasks and methods, no smaller budget."""
        enough = Budget(FULL_PRETRAINING, FULL_FINETUNING)
        sizes = ("pretraining", "finetuning", "demonstrations", "trials")
        return (
            self.size != LOW_DIM
            and len(self.cameras) <= 1
            and not self.targets
            and {task.name for task in TARGET_TASKS} <= {task for task, _ in self.tasks}
            and {method.name for method in METHODS if method.real is not None} <= {it.name for it in self.methods}
            and all(getattr(self.budget, size) >= getattr(enough, size) for size in sizes)
        )

    @property
    def cells(self) -> list[tuple[Method, str, str, int]]:
        """Method, task, kitchen, seed of every entry of the table."""
        return [
            (method, task, kitchen, seed)
            for method, (task, kitchen), seed in itertools.product(self.methods, self.tasks, self.seeds)
            if seed in self.seeds_of(method)
        ]

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """The seeds of its runs; an external policy has one run, unless its address names the seed."""
        is_one = method.recipe is Recipe.EXTERNAL and "{seed}" not in method.address
        return self.seeds[:1] if is_one else self.seeds

    def policy(self, method: Method, task: str, seed: int) -> str:
        """What the trials of a cell load: the run's folder, or an external policy."""
        if method.recipe is not Recipe.EXTERNAL:
            return str(self.run(method, task, seed))
        return absolute(method.address.replace("{task}", task).replace("{seed}", str(seed)))

    def demonstrations(self, task: str, seed: int) -> Path:
        """Folder of the demonstrations that all methods share."""
        if task in self.targets:
            return self.targets[task].folder
        return self.out / "demonstrations" / f"{task}-s{seed}"

    def pretraining(self, method: Method, seed: int) -> Path:
        """Run folder of a method's pre-training, or the existing checkpoint, for every seed."""
        return self.checkpoints.get(method.name, self.out / method.name / f"pretraining-s{seed}")

    @property
    def judged_tasks(self) -> list[str]:
        """Tasks whose trials a person judges."""
        return [task for task, kitchen in self.tasks if not kitchen]

    @property
    def evaluations(self) -> Path:
        """Where `ptr evaluate` is told to put the trials that a person judges."""
        return self.out / "evaluations"

    def values(self, method: Method, seed: int) -> Path:
        """Run folder of what a method learns from the videos before its pre-training."""
        return self.out / method.name / f"values-s{seed}"

    def run(self, method: Method, task: str, seed: int) -> Path:
        """Run folder of a cell."""
        return self.out / method.name / f"{task}-s{seed}"

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "data": str(self.data),
            "exclude": list(self.exclude),
            "size": self.size,
            "tasks": dict(self.tasks),
            "targets": {task: target.to_dict() for task, target in self.targets.items()},
            "seeds": list(self.seeds),
            "budget": asdict(self.budget),
            "checkpoints": {name: str(path) for name, path in self.checkpoints.items()},
            "methods": [method.name for method in self.methods if not method.address],
            "policies": {method.name: method.address for method in self.methods if method.address},
            "threads": self.threads,
            "settings": list(self.settings),
            "level": self.level,
            "manner": self.manner,
            "cameras": list(self.cameras),
        }


def all_stages(plan: TablePlan) -> Iterator[Stage]:
    """The stages of the table, in order; each is created when those before it have ended."""
    for (task, kitchen), seed in itertools.product(plan.tasks, plan.seeds):
        if task not in plan.targets:
            yield _demonstrate(plan, task, kitchen, seed)
    for seed, method in itertools.product(plan.seeds, plan.methods):  # an unfinished table has whole seeds
        if method.recipe is Recipe.EXTERNAL:
            if seed in plan.seeds_of(method):
                yield from (_try(plan, method, task, kitchen, seed, OWN) for task, kitchen in plan.tasks if kitchen)
            continue
        if method.recipe.is_pretrained and method.name not in plan.checkpoints:
            if method.recipe is Recipe.VALUES:
                yield _learn_values(plan, method, seed)
            yield _pretrain(plan, method, seed)
        for task, kitchen in plan.tasks:
            run = plan.run(method, task, seed)
            yield _train(plan, method, task, seed)
            if not kitchen:
                continue
            if plan.budget.validation:
                yield _validate(plan, method, task, kitchen, seed)
            for decoding in dict.fromkeys((MODE, best_decoding(run))):
                yield _try(plan, method, task, kitchen, seed, decoding)


def _demonstrate(plan: TablePlan, task: str, kitchen: str, seed: int) -> Stage:
    folder, count = plan.demonstrations(task, seed), plan.budget.demonstrations
    command = [*PTR, "sim", "collect", "--out", folder, "--episodes", count, "--task", task]
    command += ["--kitchen", kitchen, "--seed", seed, "--level", plan.level]
    command += ["--manner", plan.manner]
    command += ["--no-images"] if plan.size == LOW_DIM else []
    command += ["--camera", *plan.cameras] if plan.cameras else []
    name, title = f"demonstrate_{task}_{seed}", f"{task}, seed {seed}: demonstrations"
    return _stage(name, title, command, count, "bags", lambda: _bags(folder))


def _learn_values(plan: TablePlan, method: Method, seed: int) -> Stage:
    """Learn values from the images of the pre-training bags; actions are not used."""
    run, steps = plan.values(method, seed), plan.budget.pretraining
    command = _fresh(plan, method, run, seed)
    name, title = f"values_{method.name}_{seed}", f"{method.title}: values of the videos, seed {seed}"
    return _stage(name, title, command, steps, "updates", lambda: _updates(run), method)


def _pretrain(plan: TablePlan, method: Method, seed: int) -> Stage:
    run, steps = plan.pretraining(method, seed), plan.budget.pretraining
    weights = [f"networks.weights={plan.values(method, seed)}"] if method.recipe is Recipe.VALUES else []
    command = _fresh(plan, method, run, seed, weights)
    name, title = f"pretrain_{method.name}_{seed}", f"{method.title}: pre-training, seed {seed}"
    return _stage(name, title, command, steps, "updates", lambda: _updates(run), method)


def _fresh(plan: TablePlan, method: Method, run: Path, seed: int, settings: Sequence[str] = ()) -> list[object]:
    """A training on the pre-training bags from fresh networks.

    Args:
        settings: in addition to those of the plan.
    """
    steps = plan.budget.pretraining
    command: list[object] = [*PTR, "train", "pretrain", *plan.data_options, "--out", run]
    command += ["--steps", steps, "--seed", seed]
    return command + _training_options(plan, run, method, is_new=True, settings=settings)


def _train(plan: TablePlan, method: Method, task: str, seed: int) -> Stage:
    """Fine-tuning, or for a method without pre-training the whole of its training."""
    run, budget = plan.run(method, task, seed), plan.budget
    command = ["--target", plan.demonstrations(task, seed), "--out", run, "--seed", seed]
    if method.recipe.mixes:
        command += plan.data_options
    if method.recipe.is_pretrained:
        base = _step(resolve_checkpoint(plan.pretraining(method, seed)))
        steps = budget.finetuning
        command = [*PTR, "train", "finetune", "--checkpoint", plan.pretraining(method, seed), *command]
    else:
        base, steps = 0, budget.pretraining + budget.finetuning
        command = [*PTR, "train", "joint", *command]
    is_new = method.recipe in (Recipe.JOINT, Recipe.TARGET)
    command += ["--steps", steps, *_training_options(plan, run, method, is_new)]
    if plan.cameras and is_new and "--resume" not in command:  # own demonstrations may have more
        command += ["--set", f"data.cameras=[{', '.join(plan.cameras)}]"]
    name, title = f"train_{method.name}_{task}_{seed}", f"{method.title}: {task}, seed {seed}"
    return _stage(name, title, command, steps, "updates", lambda: max(0, _updates(run) - base), method)


def _validate(plan: TablePlan, method: Method, task: str, kitchen: str, seed: int) -> Stage:
    """Try every decoding in the same validation scenes, which differ from those of the trials."""
    run = plan.run(method, task, seed)
    command = [*PTR, "sim", "decoding", "--checkpoint", run, "--task", task, "--kitchen", kitchen]
    command += ["--trials", plan.budget.validation, "--level", plan.level, "--json", run / DECODING]
    command += [] if method.chooses_by_q else ["--choice", *WITHOUT_Q]
    name, title = f"validate_{method.name}_{task}_{seed}", f"{method.title}: {task}, seed {seed}: decoding"
    return _stage(name, title, command, 1, "choice", lambda: int((run / DECODING).is_file()), method)


def _try(plan: TablePlan, method: Method, task: str, kitchen: str, seed: int, decoding: str) -> Stage:
    """The same scenes for every method, seed and decoding."""
    run, trials = plan.run(method, task, seed), plan.budget.trials
    policy = plan.policy(method, task, seed)
    command: list[object] = [*PTR, "sim", "evaluate", "--checkpoint", policy, "--task", task, "--kitchen", kitchen]
    command += ["--trials", trials, "--level", plan.level, "--json", trials_file(run, decoding)]
    command += [] if decoding == OWN else ["--choice", decoding]
    name = f"try_{method.name}_{task}_{seed}_{decoding}"
    title = f"{method.title}: {task}, seed {seed}: trials, {decoding}"
    return _stage(name, title, command, trials, "trials", lambda: len(read_trials(run, decoding)), method)


def _training_options(
    plan: TablePlan, run: Path, method: Method, is_new: bool, settings: Sequence[str] = ()
) -> list[object]:
    """Options of a training with fresh networks (`is_new`) or from a checkpoint, or of one that continues a run."""
    if _updates(run):
        return ["--resume"]
    options: list[object] = ["--preset", f"{method.name}_{plan.size}"] if is_new else []
    options += ["--threads", plan.threads]
    return options + [word for setting in (*plan.settings, *settings) for word in ("--set", setting)]


def _stage(
    name: str,
    title: str,
    command: Sequence[object],
    total: int,
    unit: str,
    done: Callable[[], int],
    method: Method | None = None,
) -> Stage:
    words, kind = [str(word) for word in command], name.partition("_")[0]
    return Stage(name, title.replace("_", " "), words, total, done, unit, kind, "" if method is None else method.name)


def _bags(folder: Path) -> int:
    return len(episodes_so_far(folder))


def _updates(run: Path) -> int:
    """Updates of the newest checkpoint of a run; 0 before the first."""
    newest = latest_checkpoint(run)
    return 0 if newest is None else checkpoint_step(newest)


def _step(checkpoint: Path) -> int:
    """Updates as stored in a checkpoint; its folder may have any name."""
    index = checkpoint / "checkpoint.json"
    return number_in(read_object(index, finite=False), "step", index)


def best_decoding(run: Path) -> str:
    """The decoding that did best in a cell's validation scenes; the mode where none was tried."""
    file = run / DECODING
    return str(read_object(file, finite=False).get("best", MODE)) if file.is_file() else MODE


def trials_file(run: Path, decoding: str) -> Path:
    """Where a cell's trials with a decoding are."""
    return run / f"trials-{decoding}.json"


def read_trials(run: Path, decoding: str) -> list[dict]:
    """Trials of a cell, none before it was tried."""
    file = trials_file(run, decoding)
    trials = parse_json(file.read_bytes(), str(file), finite=False) if file.is_file() else []
    if not (isinstance(trials, list) and all(isinstance(trial, dict) for trial in trials)):
        raise PtrError(f"{file} is not a list of trials; delete it to try this cell again")
    return trials
