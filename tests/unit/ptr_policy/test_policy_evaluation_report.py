# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: what it says, what it hides, and that it stands alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from ptr_models.common.errors import PtrError
from ptr_policy.evaluation.checkpoints import Checkpoint, seal
from ptr_policy.evaluation.protocol import Protocol
from ptr_policy.evaluation.references import picture_path
from ptr_policy.evaluation.report import write_report
from ptr_policy.evaluation.trials import Result, Trial, TrialFile, TrialsError

SECRETS = (Checkpoint("zebra", "/checkpoints/striped"), Checkpoint("heron", "/checkpoints/grey"))
NAMES = ("zebra", "heron", "striped", "grey")


class Links(HTMLParser):
    """Everything that a page would fetch or point to, and the ids that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.targets += [values[name] or "" for name in ("src", "href") if name in values]
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag not in ("meta", "img", "br", "rect", "path", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outcome_of(trial: Trial, better: str) -> str:
    """`better` succeeds in all scenes but the last, the other one in none but the first."""
    won = trial.scene < 5 if trial.policy == better else trial.scene == 0
    return "success" if won else "failure"


def blind_evaluation(directory: Path, made: int = 12) -> str:
    """An evaluation of zebra (better) and heron in 6 scenes, of which some trials are made; zebra's letter."""
    letters = seal(directory, SECRETS)
    better = next(letter for letter, checkpoint in letters.items() if checkpoint.name == "zebra")
    protocol = Protocol("put_<knife>_in_pot", "kitchen", tuple(letters), 6, seed=4, blind=True)
    file = TrialFile(directory / "trials.jsonl")
    for trial in protocol.keep(directory).trials()[:made]:
        picture = picture_path(directory, trial, "start")
        picture.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(picture), np.full((480, 640, 3), 90, np.uint8))
        file.append(
            Result(
                trial, outcome_of(trial, better), 'the "knife" <lies> in the pot', steps=3, bag=f"bags/{trial.index}",
                started="2026-01-01T00:00:00+00:00", q=(1.0, None, 3.0), pictures=(f"pictures/{picture.name}",),
                human_steps=(2,) if trial.policy == better and trial.scene == 4 else (),
            )  # fmt: skip
        )
    return better


def test_a_finished_evaluation_names_the_checkpoints_and_compares_them(tmp_path: Path) -> None:
    blind_evaluation(tmp_path)
    page = write_report(tmp_path).read_text()
    report = json.loads((tmp_path / "report.json").read_text())
    zebra, heron = sorted(report["policies"], key=lambda policy: -policy["successes"])
    assert (zebra["name"], zebra["checkpoint"]) == ("zebra", "/checkpoints/striped")
    assert (zebra["successes"], zebra["assisted"], zebra["assisted_successes"], zebra["judged"]) == (4, 1, 1, 6)
    assert zebra["wilson_95"] == pytest.approx([0.300, 0.903], abs=5e-4)
    assert (heron["successes"], heron["judged"]) == (1, 6)
    (pair,) = report["comparisons"]
    cells = pair["scenes"]
    assert (cells["both"], {cells["first_only"], cells["second_only"]}, cells["neither"]) == (1, {3, 0}, 2)
    assert pair["p"] == 2 / 2**3
    assert "--checkpoint heron=/checkpoints/grey --checkpoint zebra=/checkpoints/striped" in report["command"]
    assert "was zebra" in page
    assert "with a person's help in 1: 5 of 6" in " ".join(page.split())


def test_the_page_stands_alone_and_escapes_what_people_wrote(tmp_path: Path) -> None:
    blind_evaluation(tmp_path)
    page = write_report(tmp_path).read_text()
    links = Links(page)
    assert not links.open  # every tag is closed
    for target in links.targets:
        assert target.startswith(("data:image/jpeg;base64,", "#trial-", "bags/")), target
    assert {target[1:] for target in links.targets if target.startswith("#")} == set(links.ids)
    assert sum(target.startswith("data:") for target in links.targets) == 12
    assert "&lt;lies&gt;" in page
    assert "<lies>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<path ") == 24  # the held step parts each curve in two


def test_before_the_last_trial_no_name_is_shown(tmp_path: Path) -> None:
    blind_evaluation(tmp_path, made=11)
    page = write_report(tmp_path).read_text()
    text = page + (tmp_path / "report.json").read_text()
    assert not [name for name in NAMES if name in text.lower()]
    assert "11 of 12 trials are judged" in page
    assert {"policy A", "policy B"} <= set(re.findall(r"policy [A-Z]\b", page))
    assert "zebra" in write_report(tmp_path, disclose=True).read_text()


def test_a_folder_of_an_older_version_is_reported(tmp_path: Path) -> None:
    old = {"bag": "", "outcome": "success", "reason": "", "trial": {"index": 0, "kitchen": "k", "policy": "finetuned"}}
    old["trial"] |= {"seed": 7, "task": "put_knife_in_pot"}
    (tmp_path / "trials.jsonl").write_text(json.dumps(old) + "\n")
    assert "finetuned" in write_report(tmp_path).read_text()
    assert json.loads((tmp_path / "report.json").read_text())["judged"] == 1


def single(directory: Path, policy: str, seed: int, outcomes: list[bool]) -> Path:
    protocol = Protocol("put_knife_in_pot", "kitchen", (policy,), len(outcomes), seed=seed)
    for trial, won in zip(protocol.keep(directory).trials(), outcomes, strict=True):
        TrialFile(directory / "trials.jsonl").append(Result(trial, "success" if won else "failure", ""))
    return directory


def test_evaluations_of_the_same_scenes_are_compared_in_pairs(tmp_path: Path) -> None:
    one = single(tmp_path / "one", "before", 3, [False] * 9 + [True])
    other = single(tmp_path / "other", "after", 3, [True] * 10)
    write_report(one, [other])
    (pair,) = json.loads((one / "report.json").read_text())["comparisons"]
    assert (pair["paired"], pair["p"]) == (True, 2 / 2**9)
    assert pair["advice"].startswith("Settled: after is better than before")


def test_evaluations_of_other_scenes_are_compared_as_separate_trials(tmp_path: Path) -> None:
    one = single(tmp_path / "one", "before", 3, [True] * 3 + [False] * 7)
    other = single(tmp_path / "other", "after", 4, [True] * 9 + [False])
    write_report(one, [other])
    (pair,) = json.loads((one / "report.json").read_text())["comparisons"]
    assert pair["interval_95"] == pytest.approx([-0.8090, -0.1705], abs=5e-5)
    assert pair["advice"].endswith("tells them apart.")
    with pytest.raises(PtrError, match="need different names"):
        write_report(one, [single(tmp_path / "third", "before", 5, [True])])


def test_a_folder_without_trials_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(TrialsError, match="holds no finished trial"):
        write_report(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
