# SPDX-License-Identifier: Apache-2.0
"""The result table: equal conditions for all methods, going on after an interruption, honest numbers."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re
from pathlib import Path

import pytest

from ptr_bringup.sim.tasks import TARGET_TASKS
from ptr_models.common.errors import PtrError
from ptr_models.training.presets import preset
from ptr_policy.stages import Stage
from ptr_policy.table.forecast import Forecast, all_work
from ptr_policy.table.methods import METHODS, Method, Recipe, methods
from ptr_policy.table.plan import Budget, TablePlan, all_stages, read_trials
from ptr_policy.table.plan_file import with_existing, write_plan
from ptr_policy.table.report import caption, figure, markdown, read_rows, write_report

TASKS = (("put_carrot_on_plate", "toykitchen_target1"), ("put_corn_in_pot", "toykitchen_target2"))


@pytest.fixture
def plan(tmp_path: Path) -> TablePlan:
    return TablePlan(tmp_path / "table", tmp_path / "bags", METHODS, "small", TASKS, (0, 1), Budget(1000, 100, 10, 20))


def checkpoint(folder: Path, step: int) -> None:
    """What the plan looks at."""
    place = folder / "checkpoints" / f"step_{step:08d}"
    place.mkdir(parents=True)
    (place / "checkpoint.json").write_text(json.dumps({"step": step}))


def finish_pretraining(plan: TablePlan) -> None:
    for method in plan.methods:
        if method.recipe.is_pretrained:
            for seed in plan.seeds:
                checkpoint(plan.pretraining(method, seed), plan.budget.pretraining)


def of(stage: Stage, method: Method) -> bool:
    """Whether a training belongs to a method."""
    return Path(after(list(stage.command), "--out")).parent.name == method.name


def after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_the_talk_s_ten_methods_are_there_with_presets_of_both_sizes() -> None:
    assert {method.title: method.real for method in METHODS if method.real is not None} == {
        "PTR": 23,
        "BC (fine-tune)": 6,
        "Autoregressive BC (fine-tune)": 9,
        "BeT (fine-tune)": 1,
        "COG (joint)": 7,
        "BC (joint)": 8,
        "CQL (target only)": 3,
        "BC (target only)": 1,
        "R3M + BC": 1,
        "MAE + BC": 4,
    }
    for method in METHODS:
        if method.real is not None:
            assert {preset(f"{method.name}_{size}").preset for size in ("small", "paper")}


def test_every_method_meets_the_same_demonstrations_trials_and_number_of_updates(plan: TablePlan) -> None:
    finish_pretraining(plan)
    stages = list(all_stages(plan))
    trained = {method.name: [s for s in stages if s.name.startswith("train_") and of(s, method)] for method in METHODS}
    tried = [stage for stage in stages if stage.name.startswith("try_")]
    assert len(tried) == len(METHODS) * 4 and {after(s.command, "--trials") for s in tried} == {"20"}
    assert not any("--seed" in stage.command for stage in tried)  # the same scenes for all
    for method in METHODS:
        total = {"FINETUNE": 100, "REPRESENTATION": 100, "VALUES": 100}.get(method.recipe.name, 1100)
        assert {stage.total for stage in trained[method.name]} == {total}
        assert {after(stage.command, "--target") for stage in trained[method.name]} == {
            str(plan.demonstrations(task, seed)) for task, _ in TASKS for seed in (0, 1)
        }
        mixes = method.recipe in (Recipe.FINETUNE, Recipe.VALUES, Recipe.JOINT)
        assert all(("--data" in stage.command) == mixes for stage in trained[method.name])


def test_a_checkpoint_that_exists_is_not_trained_again(plan: TablePlan, tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "checkpoint.json").write_text('{"step": 22000}')
    chosen = dataclasses.replace(plan, methods=methods(["ptr"]), checkpoints={"ptr": tmp_path / "shipped"})
    stages = list(all_stages(chosen))
    assert not any(stage.name.startswith("pretrain") for stage in stages)
    training = next(stage for stage in stages if stage.name.startswith("train_ptr"))
    assert after(training.command, "--checkpoint") == str(tmp_path / "shipped")
    checkpoint(chosen.run(chosen.methods[0], TASKS[0][0], 0), 22_060)
    assert training.done() == 60  # updates since the checkpoint that it started from


def test_an_interrupted_training_is_resumed(plan: TablePlan) -> None:
    finish_pretraining(plan)
    chosen = dataclasses.replace(plan, methods=methods(["bc"]))
    checkpoint(chosen.run(chosen.methods[0], TASKS[0][0], 0), 1040)
    first, second = [stage for stage in all_stages(chosen) if stage.name.startswith("train_bc")][:2]
    assert "--resume" in first.command and first.done() == 40
    assert "--resume" not in second.command and second.done() == 0


def write_trials(plan: TablePlan, method_index: int, task: str, seed: int, successes: int) -> None:
    run = plan.run(plan.methods[method_index], task, seed)
    checkpoint(run, 1100)
    (run / "trials-mode.json").write_text(json.dumps([{"success": n < successes} for n in range(20)]))


def test_rows_sum_tasks_and_seeds_with_wilson_s_interval(plan: TablePlan) -> None:
    for task, seed, successes in (
        ("put_carrot_on_plate", 0, 9),
        ("put_carrot_on_plate", 1, 8),
        ("put_corn_in_pot", 0, 6),
    ):
        write_trials(plan, 0, task, seed, successes)
    text, image = write_report(plan)
    row = read_rows(plan)[0]
    assert (str(row.of("put_carrot_on_plate")), str(row.total)) == ("17/40", "23/60")
    assert row.total.interval == pytest.approx((0.2709, 0.5098), abs=2e-4)  # Wilson (1927) for 23 of 60
    line = next(line for line in text.splitlines() if line.startswith("| PTR |"))
    # rates of the runs 0.375 and 0.4, standard error 0.0125, t of one degree of freedom 12.706
    assert line == "| PTR | 17/40 | 6/20 | 23/60 | 23-55 % | 23/60 |"
    assert "| BeT (fine-tune) | - | - | - | - | - |" in markdown(plan, read_rows(plan))
    with (plan.out / "table.csv").open() as stream:
        assert next(csv.DictReader(stream))["put carrot on plate"] == "17/40"
    assert r"PTR & 17/40 & 6/20 & 23/60 & 23-55 \% & 23/60 \\" in (plan.out / "table.tex").read_text()
    page = (plan.out / "table.html").read_text()
    assert "<td>17/40</td>" in page and str(plan.run(plan.methods[0], "put_corn_in_pot", 0)) in page
    for name in re.findall(r'href="([^"]+)"', page):
        assert (plan.out / name).is_file()
    assert image.stat().st_size > 5000
    stored = json.loads((plan.out / "table.json").read_text())
    assert stored["rows"][0]["total"] == [23, 60] and stored["plan"]["budget"]["pretraining"] == 1000


def test_page_and_how_to_name_every_file_that_is_written(plan: TablePlan) -> None:
    write_trials(plan, 0, TASKS[0][0], 0, 9)
    write_report(plan)
    written = {file.name for file in plan.out.iterdir() if file.is_file()}
    page = (plan.out / "table.html").read_text()
    assert {"table.json", "table.csv"} < written
    assert [name for name in written - {"table.html", "table.png"} if f'href="{name}"' not in page] == []
    how_to = (Path(__file__).resolve().parents[3] / "docs/how-to/table.md").read_text()
    assert [name for name in written if f"`{name}`" not in how_to] == []


def test_figures_of_the_real_arm_stand_beside_the_full_table_alone(plan: TablePlan) -> None:
    tasks = tuple((task.name, "toykitchen_target1") for task in TARGET_TASKS)
    full = dataclasses.replace(plan, tasks=tasks, budget=Budget(22_000, 500))
    smaller = [
        dataclasses.replace(full, budget=Budget(2000, 500)),
        dataclasses.replace(full, budget=Budget(22_000, 500, trials=10)),
        dataclasses.replace(full, tasks=tasks[:3]),
        dataclasses.replace(full, methods=methods(["ptr", "bc"])),
        dataclasses.replace(full, size="low_dim"),
    ]
    assert full.is_full and not any(plan.is_full for plan in smaller)
    write_trials(full, 0, TARGET_TASKS[0].name, 0, 9)
    rows = read_rows(full)
    assert "| real arm (talk) |" in markdown(full, rows) and "| 23/50 |" in markdown(full, rows)
    assert "real arm" not in markdown(smaller[0], rows)
    rings = [len(figure(which, rows).axes[0].lines) for which in (full, smaller[0])]
    assert rings[0] == rings[1] + 1


def test_the_remaining_time_is_that_of_what_is_left_at_the_speed_so_far(plan: TablePlan) -> None:
    chosen = dataclasses.replace(plan, methods=methods(["ptr", "bc_target"]), seeds=(0,), tasks=TASKS[:1])
    chosen.out.mkdir()
    finish_pretraining(chosen)
    stages = {stage.name.partition("_")[0] + "_" + stage.method: stage for stage in all_stages(chosen)}
    forecast = Forecast(chosen)
    forecast.add(stages["demonstrate_"], 10, 20.0)
    assert forecast.remaining() is None and "not known" in forecast.text()
    forecast.add(stages["pretrain_ptr"], 500, 50.0)  # half of it, then interrupted
    forecast.add(stages["validate_ptr"], 1, 30.0)
    forecast.add(stages["try_ptr"], 20, 10.0)
    again = Forecast(chosen)
    # 500 and 100 updates of PTR, 1100 of BC at 0.1 s; a validation of 30 s; 20 and 40 trials at 0.5 s
    assert again.remaining() == pytest.approx(60.0 + 110.0 + 30.0 + 30.0)
    assert again.text() == "about 4 min left"
    assert again.spent == 110.0
    again.add_existing(stages["train_ptr"])
    assert again.remaining() == pytest.approx(220.0)


def test_runs_count_as_one_each_and_their_interval_is_student_s(plan: TablePlan) -> None:
    """Rates 0.45, 0.5, 0.55: standard deviation 0.05, and t of two degrees of freedom is 4.3027 (any table)."""
    chosen = dataclasses.replace(plan, seeds=(0, 1, 2))
    for seed, successes in ((0, 9), (1, 10), (2, 11)):
        for task, _ in TASKS:
            write_trials(chosen, 0, task, seed, successes)
    row = read_rows(chosen)[0]
    assert row.runs == [0.45, 0.5, 0.55]
    assert row.interval == pytest.approx((0.5 - 4.3027 * 0.05 / 3**0.5, 0.5 + 4.3027 * 0.05 / 3**0.5), abs=1e-4)


@pytest.mark.parametrize(("successes", "interval"), [(20, (0.9541, 1.0)), (0, (0.0, 0.0459))])
def test_runs_that_do_not_differ_are_not_certain(
    plan: TablePlan, successes: int, interval: tuple[float, float]
) -> None:
    """Wilson (1927) for 80 or 0 of 80, instead of Student's t with a deviation of 0."""
    chosen = dataclasses.replace(plan, seeds=(0, 1))
    for seed in chosen.seeds:
        for task, _ in TASKS:
            write_trials(chosen, 0, task, seed, successes)
    assert read_rows(chosen)[0].interval == pytest.approx(interval, abs=2e-4)


def test_each_cell_is_tried_by_the_mode_and_as_did_best_in_its_validation_scenes(plan: TablePlan) -> None:
    chosen = dataclasses.replace(plan, methods=methods(["ptr"]), seeds=(0,), level="standard")
    finish_pretraining(chosen)
    run = chosen.run(chosen.methods[0], TASKS[0][0], 0)
    write_trials(chosen, 0, TASKS[0][0], 0, 5)
    (run / "decoding.json").write_text('{"best": "sample_gripper"}')
    (run / "trials-sample_gripper.json").write_text(json.dumps([{"success": n < 15} for n in range(20)]))
    tried = [stage for stage in all_stages(chosen) if stage.name.startswith("try_") and TASKS[0][0] in stage.name]
    assert [after(stage.command, "--choice") for stage in tried] == ["mode", "sample_gripper"]
    assert {after(stage.command, "--level") for stage in tried} == {"standard"}
    validated = next(stage for stage in all_stages(chosen) if stage.name.startswith("validate_"))
    assert "decoding" in validated.command and validated.done() == 1
    write_report(chosen)
    entries = json.loads((chosen.out / "results.json").read_text())
    assert [(entry["decoding"], entry["successes"], entry["best_in_validation"]) for entry in entries] == [
        ("mode", 5, False),
        ("sample_gripper", 15, True),
    ]
    row = read_rows(chosen)[0]
    assert (str(row.total), str(row.of(best=False))) == ("15/20", "5/20")


def test_the_q_function_of_a_control_chooses_none_of_its_actions(plan: TablePlan) -> None:
    finish_pretraining(plan)
    validated = [stage for stage in all_stages(plan) if stage.name.startswith("validate_ptr_")]
    restricted = {stage.name.split("_put")[0] for stage in validated if "--choice" in stage.command}
    assert restricted == {"validate_ptr_control"}
    assert not any(word.endswith("_q") for stage in validated for word in stage.command)


def test_v_ptr_learns_values_of_the_images_and_is_then_pretrained_from_their_encoder(plan: TablePlan) -> None:
    """Each of the three phases has its own run; an interrupted one goes on with what it began with."""
    chosen = dataclasses.replace(plan, methods=methods(["v_ptr"]), seeds=(0,), settings=("batch_size=8",))
    values, pretraining = chosen.out / "v_ptr" / "values-s0", chosen.out / "v_ptr" / "pretraining-s0"
    checkpoint(pretraining, 400)
    stages = {stage.name: stage for stage in all_stages(chosen) if stage.kind in ("values", "pretrain", "train")}
    assert list(stages)[:2] == ["values_v_ptr_0", "pretrain_v_ptr_0"] and len(stages) == 4
    first, second, third, _ = (list(stage.command) for stage in stages.values())
    assert (after(first, "--preset"), after(first, "--out"), after(first, "--steps")) == (
        "v_ptr_small",
        str(values),
        "1000",
    )
    assert not any("networks.weights" in word for word in first)
    assert "--resume" in second and "--preset" not in second  # 400 of its updates are made
    assert after(third, "--checkpoint") == str(pretraining) and after(third, "--data") == str(plan.data)
    assert stages["values_v_ptr_0"].total == 1000 == stages["pretrain_v_ptr_0"].total
    other = dataclasses.replace(chosen, out=plan.out / "new")
    fresh = next(stage.command for stage in all_stages(other) if stage.kind == "pretrain")
    settings = [word for before, word in itertools.pairwise(fresh) if before == "--set"]
    assert settings == ["batch_size=8", f"networks.weights={other.out / 'v_ptr' / 'values-s0'}"]
    work = [(item.kind, item.units) for item in all_work(chosen) if item.kind in ("values", "pretrain")]
    assert work == [("values", 1000), ("pretrain", 1000)]
    assert "V-PTR: as many updates before, on the images alone." in caption(chosen)
    ready = dataclasses.replace(chosen, checkpoints={"v_ptr": pretraining})
    assert not [stage for stage in all_stages(ready) if stage.kind in ("values", "pretrain")]


def test_a_folder_of_another_plan_is_refused_with_the_value_that_differs(plan: TablePlan) -> None:
    write_plan(plan.out, plan.to_dict())
    assert with_existing(plan) == plan
    with pytest.raises(PtrError, match=r"level = '\w+', not 'hard'"):
        with_existing(dataclasses.replace(plan, level="hard"))
    task, kitchen = plan.tasks[0]
    with pytest.raises(PtrError, match=f"holds {task} in {kitchen}, not in toykitchen9"):
        with_existing(dataclasses.replace(plan, tasks=((task, "toykitchen9"),)))


def test_methods_tasks_and_seeds_are_added_to_the_table_of_a_folder(plan: TablePlan) -> None:
    folder = Path("runs/ptr")
    before = dataclasses.replace(plan, checkpoints={"ptr": folder})
    write_plan(plan.out, before.to_dict())
    place = ("put_knife_on_pan", "toykitchen_target2")
    added = dataclasses.replace(plan, methods=tuple(methods(["awr", "bc"])), tasks=(place,), seeds=(7,))
    both = with_existing(added)
    assert [it.name for it in both.methods] == list(dict.fromkeys([it.name for it in plan.methods] + ["awr", "bc"]))
    assert both.tasks == (*plan.tasks, place) and both.seeds == (*plan.seeds, 7)
    assert both.checkpoints == {"ptr": folder}  # it is not pre-trained again
    kept = with_existing(added, usual=["methods", "tasks", "seeds"])
    assert (kept.methods, kept.tasks, kept.seeds) == (plan.methods, plan.tasks, plan.seeds)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"methods": 5}, "methods is 5"),
        ({"methods": ["gone"]}, "unknown method 'gone'"),
        ({"policies": []}, "policies is"),
        ({"policies": {"ptr": "lerobot:runs/act"}}, "ptr is the name of a method"),
        ({"policies": {"../act": "lerobot:runs/act"}}, "not an external policy"),
        ({"tasks": None}, "tasks is None"),
        ({"tasks": {"../x": ""}}, "task name '../x' is not usable"),
        ({"tasks": {"put_carrot_on_plate": "nowhere"}}, "unknown kitchen 'nowhere'"),
        ({"seeds": None}, "seeds is None"),
        ({"seeds": ["0"]}, "seeds"),
        ({"seeds": [-1]}, "a seed is -1"),
        ({"checkpoints": {"ptr": 5}}, "checkpoints"),
    ],
)
def test_a_damaged_plan_is_refused_in_one_sentence_that_names_the_file(
    plan: TablePlan, damage: dict[str, object], sentence: str
) -> None:
    write_plan(plan.out, plan.to_dict() | damage)
    with pytest.raises(PtrError, match=f"plan.json is damaged: .*{sentence}.*; choose another --out"):
        with_existing(plan)


def test_the_methods_of_an_earlier_version_s_folder_are_those_that_have_runs_there(plan: TablePlan) -> None:
    old = {key: value for key, value in plan.to_dict().items() if key != "methods"}
    write_plan(plan.out, old)
    assert with_existing(plan, usual=["methods"]).methods == plan.methods
    for name in ("ptr", "bc"):
        checkpoint(plan.out / name / "pretraining-s0", 1000)
    added = with_existing(dataclasses.replace(plan, methods=tuple(methods(["awr"]))))
    assert [method.name for method in added.methods] == ["ptr", "bc", "awr"]
    kept = with_existing(plan, usual=["methods"])
    assert [method.name for method in kept.methods] == ["ptr", "bc"]


def test_a_method_keeps_the_checkpoint_that_its_runs_started_from(plan: TablePlan, tmp_path: Path) -> None:
    for name in ("first", "second"):
        checkpoint(tmp_path / name, 1000)
    one, other = (dataclasses.replace(plan, checkpoints={"ptr": tmp_path / name}) for name in ("first", "second"))
    write_plan(plan.out, one.to_dict())
    assert with_existing(one).checkpoints == {"ptr": tmp_path / "first"}
    with pytest.raises(PtrError, match="has ptr from .*first, not .*second; choose another --out"):
        with_existing(other)
    (tmp_path / "first").rename(tmp_path / "moved")
    assert with_existing(dataclasses.replace(plan, checkpoints={"ptr": tmp_path / "moved"})).checkpoints
    write_plan(plan.out, plan.to_dict())
    checkpoint(plan.out / "ptr" / "pretraining-s0", 1000)
    with pytest.raises(PtrError, match="has ptr from .*table/ptr, not .*second; choose another --out"):
        with_existing(other)


def test_what_is_left_out_is_left_out_of_the_pretraining_data_of_every_training(plan: TablePlan) -> None:
    finish_pretraining(plan)
    chosen = dataclasses.replace(plan, exclude=("*_0007",))
    wanted = [f"--exclude={plan.data}/*_0007", f"--exclude={plan.data}/*/*_0007"]
    trainings = [list(stage.command) for stage in all_stages(chosen) if "train" in stage.command]
    assert {"pretrain", "joint", "finetune"} == {command[command.index("train") + 1] for command in trainings}
    for command in trainings:
        assert [word for word in command if word.startswith("--exclude")] == (wanted if "--data" in command else [])


def test_a_table_of_before_goes_on_but_not_with_other_data(plan: TablePlan) -> None:
    old = ("exclude", "methods")
    write_plan(plan.out, {key: value for key, value in plan.to_dict().items() if key not in old})
    assert with_existing(plan) == plan
    with pytest.raises(PtrError, match=r"exclude = \[\], not \['\*_0007'\]"):
        with_existing(dataclasses.replace(plan, exclude=("*_0007",)))


def test_a_table_of_before_whose_settings_have_former_names_goes_on(plan: TablePlan) -> None:
    present = dataclasses.replace(plan, settings=("algorithm.cql_alpha=5", "batch_size=8"))
    before = present.to_dict() | {"settings": ["algorithm.alpha=5", "batch_size=8"]}
    write_plan(plan.out, before)
    assert with_existing(present) == present
    with pytest.raises(PtrError, match=r"settings = \['algorithm.cql_alpha=5', 'batch_size=8'\], not \[\]"):
        with_existing(dataclasses.replace(plan, settings=()))


def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(PtrError, match="'autoregresive_bc'; the nearest is autoregressive_bc"):
        methods(["autoregresive_bc"])


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 5000, "5", '["x"]', ""])
def test_files_of_a_table_that_are_no_such_files_are_refused_in_one_sentence(plan: TablePlan, text: str) -> None:
    run = plan.out / "cell"
    run.mkdir(parents=True)
    (run / "trials-mode.json").write_text(text)
    with pytest.raises(PtrError, match=r"trials-mode\.json"):
        read_trials(run, "mode")
    (plan.out / "plan.json").write_text(text)
    with pytest.raises(PtrError, match=r"plan\.json"):
        with_existing(plan)


def test_the_caption_says_how_actions_were_chosen(plan: TablePlan) -> None:
    assert "did best in 10 validation trials" in caption(plan)
    short = dataclasses.replace(plan, budget=Budget(2, 2, 1, 1, validation=0))
    assert "Simulation: 1 trial per task" in caption(short) and "Actions are the mode." in caption(short)
