# SPDX-License-Identifier: Apache-2.0
"""The demonstration's plan, runner and result, without the robot."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ptr_models import cli
from ptr_models.common.assets import checkpoint_path
from ptr_models.common.errors import PtrError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.viewing.clips import clips
from ptr_policy import stages
from ptr_policy.demo import figures, runner
from ptr_policy.demo.cli import DEFAULTS, confirmed, prepare
from ptr_policy.demo.plan import Plan
from ptr_policy.demo.report import read_result, write_report
from ptr_policy.demo.stages import stage_groups
from ptr_policy.stages import Stage, StageError, progress_bar, run_stage, run_together


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan whose folders lie in a temporary one."""
    return Plan(tmp_path / "run", 0, "put_knife_in_pot", "toykitchen_target1", 10, 10, tmp_path, tmp_path, 5, 5)


@pytest.fixture
def still() -> Trajectory:
    """An arm that stands."""
    return Trajectory.from_actions(
        np.zeros((6, 7)),
        images={"over_shoulder": np.full((7, 48, 64, 3), 120, np.uint8)},
        measured_position=np.full((7, 3), 0.2),
        measured_rotation=np.tile(np.eye(3), (7, 1, 1)),
        gripper=np.ones(7),
    )


def stage_of(code: str, total: int, done: int) -> Stage:
    """A stage that runs a line of Python and has then done so much."""
    return Stage("work", "Working", [sys.executable, "-c", code], total, lambda: done, "things")


def all_stages(plan: Plan) -> Iterator[Stage]:
    """Every stage in order; a group is made when the one before it has been taken."""
    return itertools.chain.from_iterable(stage_groups(plan))


def run(stage: Stage, logs: Path) -> None:
    """Run a stage without a bar on the screen."""
    with progress_bar(Console(quiet=True)) as progress:
        run_stage(stage, logs, progress)


def test_a_namespace_of_the_terminal_is_none_of_the_demonstration_s_robot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever PTR_NAMESPACE is, the stages neither start a robot in it nor look for one there."""

    def run_all(plan: Plan, console: Console) -> list[runner.StageTime]:
        assert "PTR_NAMESPACE" not in os.environ and os.environ["ROS_DOMAIN_ID"] == "77"
        commands = [word for stage in all_stages(plan) for word in stage.command]
        assert not any(word.startswith(("namespace:=", "--namespace")) for word in commands)
        raise PtrError("stopped by the test")

    for name, value in {"PTR_NAMESPACE": "le ft", "ROS_DOMAIN_ID": "77"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runner, "run_all", run_all)
    options = cli.build_parser()[0].parse_args(
        ["demo", "--out", str(tmp_path / "run"), "--data", str(tmp_path / "data")]
    )
    with pytest.raises(PtrError, match="stopped by the test"):
        options.run(options)


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (4, "2"), (32, "2")])
def test_fine_tunings_share_the_cores(plan: Plan, monkeypatch: pytest.MonkeyPatch, cores: int, threads: str) -> None:
    (plan.checkpoint / "checkpoint.json").write_text('{"step": 7}')
    monkeypatch.setattr("ptr_policy.demo.stages.cores", lambda: cores)
    *_, together = itertools.islice(stage_groups(plan), 3)
    assert [stage.name for stage in together] == ["finetune_ptr", "finetune_bc"]
    commands = [stage.command for stage in together]
    assert [command[command.index("--threads") + 1] for command in commands] == [threads, threads]


def test_a_run_of_another_plan_is_moved_aside_and_nothing_of_it_is_lost(plan: Plan) -> None:
    assert prepare(plan) is None
    (plan.out / "report.json").write_text("precious")
    moved = prepare(dataclasses.replace(plan, seed=1))
    assert moved is not None
    assert (moved / "report.json").read_text() == "precious"
    assert json.loads((plan.out / "plan.json").read_text())["seed"] == 1
    assert not (plan.out / "report.json").exists()


def test_the_same_plan_goes_on_where_it_was(plan: Plan) -> None:
    prepare(plan)
    (plan.out / "stages.json").write_text("[]")
    assert prepare(plan) is None
    assert (plan.out / "stages.json").exists()


def test_fresh_removes_a_run_of_this_command(plan: Plan) -> None:
    prepare(plan)
    (plan.out / "report.json").write_text("{}")
    assert prepare(plan, fresh=True) is None
    assert [path.name for path in plan.out.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_of_somebody_else_is_neither_removed_nor_filled(plan: Plan, fresh: bool) -> None:
    plan.out.mkdir()
    (plan.out / "thesis.tex").write_text("precious")
    with pytest.raises(PtrError, match="is not a run of `ptr demo`"):
        prepare(plan, fresh)
    assert [path.name for path in plan.out.iterdir()] == ["thesis.tex"]


def test_fresh_asks_before_it_removes_and_refuses_where_nobody_can_be_asked(plan: Plan) -> None:
    prepare(plan)
    with (plan.out / "stages.log").open("w") as stream, pytest.raises(PtrError, match="add --yes"):
        confirmed(plan.out, Console(file=stream))
    assert (plan.out / "plan.json").is_file()


def test_interrupted_finetuning_is_resumed_and_its_chosen_checkpoint_deployed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").write_text('{"step": 7}')
    plan = Plan(tmp_path / "run", 0, "put_knife_in_pot", "toykitchen_target1", 10, 10, tmp_path, tmp_path, 5, 5)
    before = {stage.name: stage.command for stage in all_stages(plan)}
    assert "--resume" not in before["finetune_ptr"] and str(plan.bags) in before["finetune_ptr"]
    for name in ("step_00000010", "step_00000012"):
        folder = plan.run("ptr") / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "checkpoint.json").write_text("{}")
    (plan.run("ptr") / "choice.json").write_text('{"chosen": "step_00000010"}')
    after = {stage.name: stage.command for stage in all_stages(plan)}
    assert "--resume" in after["finetune_ptr"]
    assert f"checkpoint:={plan.run('ptr') / 'checkpoints' / 'step_00000010'}" in after["evaluate_ptr"]


def test_all_stages_look_through_the_cameras_of_the_checkpoint(plan: Plan) -> None:
    (plan.checkpoint / "checkpoint.json").write_text('{"step": 7}')
    seen = dataclasses.replace(plan, cameras=("over_shoulder", "wrist"))
    commands = {stage.name: stage.command for stage in all_stages(seen)}
    assert commands["pretraining_data"][-3:] == ["--camera", "over_shoulder", "wrist"]
    for name in ("record", "evaluate_ptr", "evaluate_pretrained"):
        assert "cameras:=over_shoulder,wrist" in commands[name]


def test_a_stage_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="exit code 3(.|\n)*the motor is hot"):
        run(stage_of("print('the motor is hot'); raise SystemExit(3)", 2, 2), tmp_path)


def test_a_stage_that_ends_well_with_less_than_its_total_has_failed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="after 1 of 2 things"):
        run(stage_of("pass", 2, 1), tmp_path)


def test_a_stage_leaves_its_output_in_a_log(tmp_path: Path) -> None:
    run(stage_of("print('all is well')", 1, 1), tmp_path)
    assert (tmp_path / "work.log").read_text() == "all is well\n"


def test_an_interrupted_run_goes_on_with_the_stage_that_had_not_finished(plan: Plan, monkeypatch) -> None:
    prepare(plan)
    log = plan.out / "done.txt"
    note = f"open({str(log)!r}, 'a').write('%s')"
    first, broken = stage_of(note % "1", 1, 1), stage_of("raise SystemExit(1)", 1, 1)
    stages = [dataclasses.replace(first, name="first"), dataclasses.replace(broken, name="second")]
    monkeypatch.setattr(runner, "stage_groups", lambda _: iter([(stage,) for stage in stages]))
    with pytest.raises(StageError):
        runner.run_all(plan, Console(quiet=True))
    stages[1] = dataclasses.replace(stages[1], command=stage_of(note % "2", 1, 1).command)
    times = runner.run_all(plan, Console(quiet=True))
    assert log.read_text() == "12"  # the first stage was not run again
    assert [time.finished for time in times] == [True, True]


def test_stages_of_a_group_run_at_once_and_the_one_that_ended_well_is_not_run_again(plan: Plan, monkeypatch) -> None:
    prepare(plan)
    meeting = (
        "import pathlib, sys, time\nown, other = map(pathlib.Path, {!r})\nown.touch()\n"
        "end = time.monotonic() + 60\nwhile not other.exists(): time.sleep(0.01); assert time.monotonic() < end\n"
    )
    here, there = str(plan.out / "here"), str(plan.out / "there")
    log = plan.out / "done.txt"
    first = stage_of(meeting.format((here, there)) + f"open({str(log)!r}, 'a').write('1')", 1, 1)
    wait = f"while not pathlib.Path({str(log)!r}).exists(): time.sleep(0.01)\ntime.sleep(0.5)\n"
    second = stage_of(meeting.format((there, here)) + wait + "raise SystemExit(1)", 1, 1)
    group = [dataclasses.replace(first, name="first"), dataclasses.replace(second, name="second")]
    monkeypatch.setattr(runner, "stage_groups", lambda _: iter([tuple(group)]))
    with pytest.raises(StageError, match="'second'"):
        runner.run_all(plan, Console(quiet=True))
    group[1] = dataclasses.replace(group[1], command=stage_of(f"open({str(log)!r}, 'a').write('2')", 1, 1).command)
    times = runner.run_all(plan, Console(quiet=True))
    assert log.read_text() == "12"  # the first was not run again
    assert [time.finished for time in times] == [True, True]


def test_a_stage_that_fails_ends_the_one_beside_it(tmp_path: Path) -> None:
    waiting = stage_of("import time; time.sleep(600)", 1, 1)
    broken = stage_of("raise SystemExit(1)", 1, 1)
    seconds: dict[str, float] = {}
    with progress_bar(Console(quiet=True)) as progress, pytest.raises(StageError, match="'broken'"):
        stages = [dataclasses.replace(waiting, name="waiting"), dataclasses.replace(broken, name="broken")]
        run_together(stages, tmp_path, progress, seconds)
    assert seconds == {}


def test_a_stage_that_ended_well_together_with_one_that_failed_has_its_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(stages, "POLL_PERIOD", 60.0)  # both have ended when they are looked at
    done = tmp_path / "done"
    code = f"import pathlib, time\nwhile not pathlib.Path({str(done)!r}).exists(): time.sleep(0.01)\ntime.sleep(1.0)\n"
    broken = dataclasses.replace(stage_of(code + "raise SystemExit(1)", 1, 1), name="broken")
    good = dataclasses.replace(stage_of(f"open({str(done)!r}, 'w')", 1, 1), name="good")
    seconds: dict[str, float] = {}
    with progress_bar(Console(quiet=True)) as progress, pytest.raises(StageError, match="'broken'"):
        run_together([broken, good], tmp_path, progress, seconds)
    assert list(seconds) == ["good"]


def test_stages_of_one_group_count_once_in_the_total() -> None:
    times = [runner.StageTime("a", "", 100.0), runner.StageTime("b", "", 250.0, group=1)]
    assert runner.total_seconds([*times, runner.StageTime("c", "", 90.0, group=1)]) == 350.0


def test_a_result_without_trials_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="the evaluation did not run"):
        read_result(tmp_path)


def test_invalid_trials_count_neither_way(tmp_path: Path) -> None:
    trials = [{"outcome": outcome, "bag": ""} for outcome in ("success", "invalid", "failure")]
    summary = {"successes": 1, "success_rate": 0.5, "wilson_95": [0.09, 0.91], "trials": trials}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    result = read_result(tmp_path)
    assert (result.successes, result.trials, result.outcomes) == (1, 2, [True, False])


def test_the_report_shows_videos_checkpoints_bags_and_what_comes_next(
    plan: Plan, still: Trajectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_episode(plan.bags, EpisodeMetadata("demonstration", task=plan.task, outcome="success"), still)
    for name in plan.names:
        folder = plan.evaluation(name)
        write_episode(folder / "bags", EpisodeMetadata("trial", task=plan.task, outcome="success"), still)
        trials = [{"outcome": "success", "bag": "bags/trial"}]
        summary = {"successes": 1, "success_rate": 1.0, "wilson_95": [0.21, 1.0], "trials": trials}
        (folder / "summary.json").write_text(json.dumps(summary))
    monkeypatch.setattr(figures, "draw_all", lambda *_: ([], 0.9))
    (plan.out / "figures").mkdir()
    write_report(plan, [])
    page = plan.page.read_text()
    assert page.count("data:video/mp4;base64,") == 4  # the three trials' videos have different names
    assert len(list((plan.out / "videos").iterdir())) == 4
    assert f"<code>{plan.checkpoint}</code>" in page and f"<code>{plan.checkpoint_of('ptr')}</code>" in page
    assert "do not settle which is better" in page  # one trial each
    beside = re.findall(r'href="([^"]+)"', page)
    assert {"evaluation/pretrained/bags/trial", "results.tex", "figures/results.pdf"} <= set(beside)
    assert all((plan.out / link).exists() for link in beside)
    assert f"<pre>ptr view {plan.evaluation('ptr')}/bags/trial</pre>" in page
    with (plan.out / "results.csv").open() as stream:
        assert [row["successes"] for row in csv.DictReader(stream)] == ["1", "1", "1"]


def test_a_page_holds_the_videos_that_fit_and_links_the_others(still: Trajectory, tmp_path: Path) -> None:
    bags = [write_episode(tmp_path / "b", EpisodeMetadata(name, task="t"), still) for name in ("one", "two")]
    inside, beside, none = clips([*bags, None], tmp_path / "page.html", most_inside=1)
    assert (inside, beside, none) == ("videos/b-one.mp4", "videos/b-two.mp4", "")
    size = (tmp_path / inside).stat().st_size
    first, second = clips(bags, tmp_path / "page.html", most_inside=size)
    assert first.startswith("data:video/mp4;base64,") and second == "videos/b-two.mp4"


HOSTILE = ("9" * 5000, "[" * 5000, "[]", "null", '{"judged": "x", "trials": 5, "wilson_95": [1]}', '[{"name": []}]', "")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_an_earlier_run_left_is_read_or_refused_in_one_sentence(plan: Plan, text: str) -> None:
    plan.out.mkdir()
    (plan.out / "plan.json").write_text(text)
    with pytest.raises(PtrError, match=r"plan\.json") if not text.startswith("{") else contextlib.nullcontext():
        prepare(plan)
    (plan.out / "summary.json").write_text(text)
    with pytest.raises(PtrError, match=r"summary\.json"):
        read_result(plan.out)
    (plan.checkpoint / "checkpoint.json").write_text(text)
    with pytest.raises(PtrError, match=r"checkpoint\.json"):
        list(all_stages(plan))
    (plan.out / "stages.json").write_text(text)
    if text != "[]":
        with pytest.raises(PtrError, match=r"(stages|checkpoint)\.json"):
            runner.run_all(plan, Console(quiet=True))


def test_the_operators_manner_is_that_of_the_demonstrations_and_of_what_is_mixed_in(plan: Plan) -> None:
    stages = iter(all_stages(dataclasses.replace(plan, manner="human")))
    mixed_in, recorded = next(stages).command, next(stages).command
    assert mixed_in[mixed_in.index("--manner") + 1] == "human"
    assert "manner:=human" in recorded


def settings_in(command: Sequence[str]) -> set[str]:
    """What a command gives by `--set`."""
    return {command[i + 1] for i, word in enumerate(command) if word == "--set"}


def test_imitation_starts_where_ptr_does_and_never_follows_q(plan: Plan) -> None:
    (plan.checkpoint / "checkpoint.json").write_text('{"step": 7}')
    stages = {stage.name: stage for stage in all_stages(plan)}
    ptr, bc = stages["finetune_ptr"].command, stages["finetune_bc"].command
    for option in ("--checkpoint", "--data", "--target", "--seed", "--steps"):
        assert ptr[ptr.index(option) + 1] == bc[bc.index(option) + 1]
    added = settings_in(bc) - settings_in(ptr)
    assert added == {
        "algorithm.bc_steps=1000000",
        "algorithm.critic_warmup_steps=0",
        "algorithm.action_choice=sample_gripper",
    }
    assert f"checkpoint:={plan.run('bc')}" in stages["evaluate_bc"].command
    alone = [stage.name for stage in all_stages(dataclasses.replace(plan, baseline=False))]
    assert alone == ["pretraining_data", "record", "finetune_ptr", "evaluate_ptr", "evaluate_pretrained"]


@pytest.mark.parametrize("kind", [kind for kind in DEFAULTS if kind != ("machine", "standard")])
def test_each_manner_and_level_but_one_has_a_shipped_checkpoint_to_begin_with(kind: tuple[str, str]) -> None:
    assert (checkpoint_path(DEFAULTS[kind].checkpoint) / "checkpoint.json").is_file()


def test_without_a_shipped_checkpoint_one_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "--level", "standard", "--manner", "machine", "--out", str(tmp_path / "run")]
    assert cli.main(command) == 2
    assert "give one with --checkpoint" in capsys.readouterr().err
    assert cli.main([*command, "--checkpoint", str(tmp_path)]) == 2
    assert "give one with --checkpoint" not in capsys.readouterr().err  # this folder is refused, not the choice


def test_data_demonstrations_and_trials_are_of_one_level(plan: Plan) -> None:
    (plan.checkpoint / "checkpoint.json").write_text('{"step": 7}')
    stages = {stage.name: stage.command for stage in all_stages(dataclasses.replace(plan, level="standard"))}
    mixed_in = stages["pretraining_data"]
    assert mixed_in[mixed_in.index("--level") + 1] == "standard"
    for name in ("record", "evaluate_ptr", "evaluate_bc", "evaluate_pretrained"):
        assert "level:=standard" in stages[name]
