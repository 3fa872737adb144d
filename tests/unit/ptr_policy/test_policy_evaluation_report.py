# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: what it says, what it hides, and that it stands alone."""

from __future__ import annotations

import csv
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from ptr_models.cli import build_parser
from ptr_models.common.errors import PtrError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_policy.evaluation.checkpoints import Checkpoint, seal
from ptr_policy.evaluation.protocol import Protocol
from ptr_policy.evaluation.references import image_path
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
    """An evaluation of zebra (better) and heron in 6 scenes, of which some trials are done; zebra's letter."""
    letters = seal(directory, SECRETS)
    better = next(letter for letter, checkpoint in letters.items() if checkpoint.name == "zebra")
    protocol = Protocol("put_<knife>_in_pot", "kitchen", tuple(letters), 6, seed=4, blind=True)
    file = TrialFile(directory / "trials.jsonl")
    for trial in protocol.save(directory).trials()[:made]:
        picture = image_path(directory, trial, "start")
        picture.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(picture), np.full((480, 640, 3), 90, np.uint8))
        file.append(
            Result(
                trial,
                outcome_of(trial, better),
                'the "knife" <lies> in the pot',
                steps=3,
                bag=f"bags/{trial.index}",
                started="2026-01-01T00:00:00+00:00",
                q=(1.0, None, 3.0),
                pictures=(f"pictures/{picture.name}",),
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


def test_the_command_of_an_open_evaluation_keeps_its_order_and_that_of_a_server_s_own_policy_its_name(
    tmp_path: Path,
) -> None:
    paths = {"zebra": "/checkpoints/striped", "heron": "/checkpoints/grey"}
    cases = {
        tuple(paths): "--open --checkpoint zebra=/checkpoints/striped --checkpoint heron=/checkpoints/grey",
        ("own",): "--policy own",
    }
    for names, words in cases.items():
        folder = tmp_path / names[0]
        given = {name: paths[name] for name in names if name in paths}
        protocol = Protocol("wipe", "", names, 1, seed=4, paths=given).save(folder)
        TrialFile(folder / "trials.jsonl").append(Result(protocol.trials()[0], "success", "seen"))
        write_report(folder)
        report = json.loads((folder / "report.json").read_text())
        assert report["command"] == f"ptr evaluate --task wipe --seed 4 --trials 1 {words} --out {folder}_again"


def test_the_page_stands_alone_and_escapes_what_people_wrote(tmp_path: Path) -> None:
    blind_evaluation(tmp_path)
    page = write_report(tmp_path).read_text()
    links = Links(page)
    assert not links.open  # every tag is closed
    for target in links.targets:
        beside = (tmp_path / target).is_file()
        assert beside or target.startswith(("data:image/jpeg;base64,", "#trial-", "bags/")), target
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


@pytest.mark.parametrize(("held", "told"), [(2, False), (16, True)])
def test_many_held_steps_are_told_before_the_counts(held: int, told: bool, tmp_path: Path) -> None:
    (trial,) = Protocol("put_knife_in_pot", "kitchen", ("after",), 1, seed=0).save(tmp_path).trials()
    TrialFile(tmp_path / "trials.jsonl").append(Result(trial, "failure", "", steps=40, held_steps=held))
    page = write_report(tmp_path).read_text()
    assert (f"{held} of 40 control steps were held" in page.partition('class="score"')[0]) == told


def test_trials_are_videos_and_the_page_says_what_to_do_with_them(tmp_path: Path) -> None:
    protocol = Protocol("put_knife_in_pot", "kitchen", ("after",), 2, seed=0, paths={"after": "/runs/knife"})
    images = {"over_shoulder": np.full((7, 48, 64, 3), 120, np.uint8)}
    trajectory = Trajectory.from_actions(
        np.zeros((6, 7)),
        images=images,
        measured_position=np.full((7, 3), 0.2),
        measured_rotation=np.tile(np.eye(3), (7, 1, 1)),
        gripper=np.ones(7),
    )
    file = TrialFile(tmp_path / "trials.jsonl")
    for trial in protocol.save(tmp_path).trials():
        name = f"trial_{trial.index}"
        write_episode(tmp_path / "bags", EpisodeMetadata(name, task=trial.task, outcome="failure"), trajectory)
        file.append(Result(trial, "failure", "it fell", bag=f"bags/{name}"))
    (tmp_path / "bags" / "trial_1" / "trial_1.mcap").write_bytes(b"cut off")
    page = write_report(tmp_path).read_text()
    assert page.count("data:video/mp4;base64,") == 1  # the damaged bag has none, and the report is there
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["bags-trial_0.mp4"]
    assert "<code>/runs/knife</code>" in page
    commands = [step["command"] for step in json.loads((tmp_path / "report.json").read_text())["next"]]
    assert commands[0] == f"ptr view {tmp_path}/bags/trial_0"
    assert commands[1].startswith(f"ptr train online --checkpoint /runs/knife --bags {tmp_path}/bags --labels")
    parser, _ = build_parser()
    for command in (commands[0], commands[2]):
        parser.parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize(("succeeded", "other"), [(True, "failure"), (False, "success")])
def test_the_command_that_corrects_a_judgment_gives_another_one(tmp_path: Path, succeeded: bool, other: str) -> None:
    write_report(single(tmp_path, "mine", 1, [succeeded]))
    commands = [step["command"] for step in json.loads((tmp_path / "report.json").read_text())["next"]]
    assert commands[-1].endswith(f"--trial 1 --outcome {other}")


def test_counts_and_trials_are_there_for_a_paper(tmp_path: Path) -> None:
    blind_evaluation(tmp_path)
    write_report(tmp_path)
    with (tmp_path / "results.csv").open() as stream:
        rows = {row["policy"]: row for row in csv.DictReader(stream)}
    assert (rows["zebra"]["successes"], rows["zebra"]["trials"], rows["zebra"]["with help"]) == ("4", "6", "1")
    with (tmp_path / "trials.csv").open() as stream:
        trials = list(csv.DictReader(stream))
    assert len(trials) == 12 and {trial["policy"] for trial in trials} == {"zebra", "heron"}
    assert r"\toprule" in (tmp_path / "results.tex").read_text()
    assert (tmp_path / "results.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "results.svg").read_text()


def single(directory: Path, policy: str, seed: int, outcomes: list[bool]) -> Path:
    protocol = Protocol("put_knife_in_pot", "kitchen", (policy,), len(outcomes), seed=seed)
    for trial, won in zip(protocol.save(directory).trials(), outcomes, strict=True):
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
    assert pair["advice"].endswith("excludes 0.")
    with pytest.raises(PtrError, match="need different names"):
        write_report(one, [single(tmp_path / "third", "before", 5, [True])])


def test_a_folder_without_trials_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(TrialsError, match="has no finished trial"):
        write_report(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
