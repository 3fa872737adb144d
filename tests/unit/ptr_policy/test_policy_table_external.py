# SPDX-License-Identifier: Apache-2.0
"""Policies that were trained elsewhere as rows of the table: the same scenes, nothing trained, named in every file."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from openpi_server import OpenPiServer, file_for, openpi_server

from ptr_models import cli
from ptr_models.common.errors import PtrError
from ptr_policy.evaluation.protocol import Protocol
from ptr_policy.evaluation.trials import Result, TrialFile
from ptr_policy.table.external import external, require_loadable
from ptr_policy.table.forecast import all_work
from ptr_policy.table.judged import missing_trials, read_evaluations
from ptr_policy.table.methods import methods
from ptr_policy.table.plan import Budget, TablePlan, all_stages
from ptr_policy.table.plan_file import with_existing, write_plan
from ptr_policy.table.report import read_rows, write_report

CORN, CARROT = ("put_corn_in_pot", "toykitchen_target2"), ("put_carrot_on_plate", "toykitchen_target1")


@pytest.fixture
def server() -> Iterator[OpenPiServer]:
    with openpi_server(np.zeros((40, 7))) as running:
        yield running


def plan_of(tmp_path: Path, *rows: str, **values: object) -> TablePlan:
    chosen = (*methods(["bc_target"]), *map(external, rows))
    budget = Budget(100, 10, demonstrations=2, trials=2, validation=0)
    plan = TablePlan(tmp_path / "table", tmp_path / "bags", chosen, "small", (CORN,), (0,), budget)
    return dataclasses.replace(plan, **values)


def test_an_external_policy_is_tried_in_the_scenes_of_the_others_and_never_trained(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "act=lerobot:runs/act", tasks=(CORN, CARROT), seeds=(0, 1))
    stages = [stage for stage in all_stages(plan) if stage.method == "act"]
    assert [stage.name for stage in stages] == ["try_act_put_corn_in_pot_0_own", "try_act_put_carrot_on_plate_0_own"]
    other = next(stage for stage in all_stages(plan) if stage.name == "try_bc_target_put_corn_in_pot_0_mode")
    mine, theirs = (list(stage.command) for stage in (stages[0], other))
    place = mine.index("--checkpoint") + 1
    assert mine[place] == "lerobot:runs/act" and "--choice" not in mine
    assert [word for word in theirs if word not in mine] == [
        str(plan.run(plan.methods[0], CORN[0], 0)),
        str(plan.run(plan.methods[0], CORN[0], 0) / "trials-mode.json"),
        "--choice",
        "mode",
    ]
    assert [(work.kind, work.units) for work in all_work(plan) if work.method == "act"] == [("try", 2), ("try", 2)]


def test_an_address_may_name_task_and_seed(tmp_path: Path) -> None:
    (tmp_path / "act" / f"{CORN[0]}-s1").mkdir(parents=True)
    plan = plan_of(tmp_path, f"act=lerobot:{tmp_path}/act/{{task}}-s{{seed}}", seeds=(0, 1))
    act = plan.methods[1]
    assert plan.policy(act, CORN[0], 1) == f"lerobot:{tmp_path}/act/{CORN[0]}-s1"
    assert [cell[3] for cell in plan.cells if cell[0] is act] == [0, 1]


def test_its_row_stands_in_every_file_with_where_it_was_trained(
    server: OpenPiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"openpi:{file_for(server, tmp_path)}"
    plan = plan_of(tmp_path, f"pi0={address}")
    require_loadable(plan)
    (stage,) = [stage for stage in all_stages(plan) if stage.method == "pi0"]
    assert cli.main(list(stage.command)[3:]) == 0
    assert stage.done() == stage.total == 2
    text, _ = write_report(plan)
    assert (
        "| pi0 | 0/2 | 0/2 | 0-66 % | - |" in text and "Trained elsewhere, on data unknown to the table: pi0." in text
    )
    (entry,) = json.loads((plan.out / "results.json").read_text())
    assert (entry["method"], entry["trials"], entry["decoding"]) == ("pi0", 2, "own")
    assert entry["settings"]["trained"] == "elsewhere" and entry["settings"]["policy"] == address
    assert "pretraining" not in entry["settings"] and entry["demonstrations"] is None
    page = (plan.out / "table.html").read_text()
    assert "<td>pi0</td>" in page and address in page


def test_one_that_cannot_be_loaded_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="external policy act: .*nowhere holds no LeRobot policy"):
        require_loadable(plan_of(tmp_path, f"act=lerobot:{tmp_path}/nowhere"))
    with pytest.raises(PtrError, match="two external policies are called act"):
        require_loadable(plan_of(tmp_path, "act=lerobot:a", "act=lerobot:b"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("act", "write NAME=KIND:ADDRESS"),
        ("act=runs/act", "write NAME=KIND:ADDRESS"),
        ("act=lerobot:", "write NAME=KIND:ADDRESS"),
        ("../act=lerobot:runs/act", "write NAME=KIND:ADDRESS"),
        ("ptr=lerobot:runs/act", "ptr is the name of a method"),
        ("act=leroboto:runs/act", "no kind of policy 'leroboto'; known: openpi, lerobot"),
    ],
)
def test_what_is_no_external_policy_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=sentence):
        external(text)


def test_rows_are_added_later_but_a_name_keeps_its_policy(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    write_plan(plan.out, plan.to_dict())
    for text in ("act=lerobot:runs/act", "pi0=openpi:pi0.yaml"):
        write_plan(plan.out, with_existing(plan_of(tmp_path, text)).to_dict())
    assert [method.name for method in with_existing(plan).methods][-2:] == ["act", "pi0"]
    with pytest.raises(PtrError, match="holds trials of act = lerobot:runs/act, not lerobot:runs/other"):
        with_existing(plan_of(tmp_path, "act=lerobot:runs/other"))


def test_a_person_judges_it_in_the_same_evaluation_as_the_methods(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "act=lerobot:/home/robot/act", tasks=(("fold_towel", ""),))
    place = plan.run(plan.methods[0], "fold_towel", 0) / "checkpoints" / "step_00000110"
    place.mkdir(parents=True)
    (place / "checkpoint.json").write_text('{"step": 110}')
    (step,) = missing_trials(plan, [])
    run = plan.run(plan.methods[0], "fold_towel", 0)
    assert f"checkpoint:=bc_target-s0={run},act-s0=lerobot:/home/robot/act" in step.command
    paths = {"mine": "lerobot:/home/robot/act"}
    asked = Protocol("fold_towel", "", ("mine",), 2, seed=0, paths=paths)
    directory = plan.evaluations / "fold_towel"
    file = TrialFile(directory / "trials.jsonl")
    for trial in asked.save(directory).trials():
        file.append(Result(trial, "success", "seen", judge="person", started="2026-01-01T00:00:00+00:00"))
    assert [str(row.total) for row in read_rows(plan, read_evaluations(plan))] == ["-", "2/2"]
