# SPDX-License-Identifier: Apache-2.0
"""The person beside a robot: questions at the terminal, answers of the page, and what each step of a trial was."""

from __future__ import annotations

import os
import pty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_policy.evaluation.human_judge import HumanJudge, Terminal, judgment, open_terminal
from ptr_policy.evaluation.log import TrialLog
from ptr_policy.evaluation.trials import Judgment, Trial, TrialsError

TRIAL = Trial(2, "put_knife_in_pot", "kitchen", "B", seed=5, scene=1)


class FakePage:
    """Answers as a page would, once it is asked often enough."""

    def __init__(self, ready_after: int = -1, label: Judgment | None = None, undo: bool = False) -> None:
        self.looks, self._ready_after, self._label, self._undo = 0, ready_after, label, undo

    def pop_undo(self) -> bool:
        undo, self._undo = self._undo, False
        return undo

    def pop_ready(self) -> bool:
        self.looks += 1
        return self.looks == self._ready_after

    @property
    def labelled(self) -> bool:
        return self._label is not None

    def pop_label(self) -> Judgment | None:
        label, self._label = self._label, None
        return label


class LatePage(FakePage):
    """Labels once the question was asked."""

    labelled = False

    def pop_label(self) -> Judgment | None:
        self.looks += 1
        return super().pop_label() if self.looks > 1 else None


class FakeTerminal:
    """Types a line after each question."""

    def __init__(self, *lines: str, typed_before: str = "") -> None:
        self.said: list[str] = []
        self._lines, self._waiting = list(lines), [typed_before] if typed_before else []

    def say(self, text: str) -> None:
        self.said.append(text)
        if self._lines:
            self._waiting.append(self._lines.pop(0))

    def line(self) -> str | None:
        return self._waiting.pop(0) if self._waiting else None

    @property
    def terminal(self) -> Terminal:
        return Terminal(self.say, self.line)


def patience(pauses: int = 20):
    """Raises when the person waits for ever."""
    left = iter(range(pauses))

    def pause(seconds: float) -> None:
        next(left)

    return pause


def judge(*lines: str) -> tuple[Judgment, list[str]]:
    terminal = FakeTerminal(*lines)
    return HumanJudge(FakePage(), terminal.terminal, patience()).judge(TRIAL), terminal.said


class Typist:
    """A terminal at which a test types; a person who judges at it or on a page."""

    def __init__(self, label: Judgment | None = None) -> None:
        self.said: list[str] = []
        self.typed: list[str] = []
        terminal = Terminal(self.said.append, lambda: self.typed.pop(0) if self.typed else None)
        self.person = HumanJudge(FakePage(label=label), terminal, patience())

    def types(self, *lines: str) -> bool:
        """Type lines while the policy acts; whether that ends the run."""
        self.typed += lines
        return self.person.judging


def test_a_person_is_asked_until_the_answer_is_one() -> None:
    label, said = judge("\n", "what?\n", "S\n")
    assert (label.outcome, label.judge, label.score) == ("success", "person", None)
    assert len(said) == 3
    assert said[0].startswith("Trial 3: (s)uccess")


def test_a_partial_success_gets_a_score_and_a_reason() -> None:
    label, said = judge("p\n", "much\n", "140\n", "60 %\n", "\n", "lifted it\n")
    assert label == Judgment("partial", "lifted it", 0.6, "person")
    assert [text for text in said if text.startswith("How much")] == said[1:4]


def test_an_invalid_trial_needs_a_reason() -> None:
    assert judge("i\n", " \n", "the cable caught\n")[0] == Judgment("invalid", "the cable caught", None, "person")


def test_the_page_answers_where_there_is_no_terminal() -> None:
    page = FakePage(ready_after=3, label=Judgment("failure", "dropped", judge="Anna"))
    person = HumanJudge(page, None, patience())
    person.lay_out(TRIAL)
    assert page.looks == 3
    assert person.judge(TRIAL).judge == "Anna"


def test_a_judgment_is_undone_by_a_key_or_on_the_page_while_the_scene_is_laid_out() -> None:
    terminal = FakeTerminal("u\n", "\n")
    person = HumanJudge(FakePage(), terminal.terminal, patience())
    assert not person.lay_out(TRIAL, "trial 2: failure")
    assert terminal.said[0].endswith("then press Enter. To undo (trial 2: failure): u, Enter.")
    assert person.lay_out(TRIAL, "trial 2: failure")
    assert not HumanJudge(FakePage(undo=True), None, patience()).lay_out(TRIAL, "trial 2: failure")


def test_the_last_judgment_is_undone_by_a_key_or_on_the_page_before_the_evaluation_ends() -> None:
    terminal = FakeTerminal("u\n", "\n")
    person = HumanJudge(FakePage(), terminal.terminal, patience())
    assert not person.finish("trial 3: failure")
    assert terminal.said == [
        "All trials are done. Press Enter to finish (it ends in 60 s). To undo (trial 3: failure): u, Enter."
    ]
    assert person.finish("trial 3: failure")
    assert not HumanJudge(FakePage(undo=True), None, patience()).finish("trial 3: failure")
    assert HumanJudge(FakePage(ready_after=3), None, patience()).finish("trial 3: failure")


def test_an_evaluation_that_nobody_finishes_ends_by_itself() -> None:
    pauses: list[float] = []
    assert HumanJudge(FakePage(), None, pauses.append).finish("trial 3: failure")
    assert sum(pauses) == pytest.approx(60.0, abs=0.2)


def test_without_a_judgment_to_undo_the_key_does_not_begin_the_trial() -> None:
    terminal = FakeTerminal("u\n", "\n")
    assert HumanJudge(FakePage(undo=True), terminal.terminal, patience()).lay_out(TRIAL)
    assert terminal.said[1].startswith("There is no judgment to undo. Trial 3")


def test_what_is_judged_again_is_asked_again() -> None:
    desk = Typist()
    desk.person.attend(TRIAL)
    assert desk.types("s\n") and desk.person.judge(TRIAL).outcome == "success"
    desk.typed.append("f\n")
    assert desk.person.judge_again(TRIAL, "It is taken back.").outcome == "failure"


def test_a_label_that_ended_the_run_is_not_asked_for_again() -> None:
    terminal = FakeTerminal()
    page = FakePage(label=Judgment("failure", "dropped", judge="Anna"))
    assert HumanJudge(page, terminal.terminal, patience()).judge(TRIAL).judge == "Anna"
    assert terminal.said == []


def test_the_first_answer_counts_whether_typed_or_clicked() -> None:
    page = LatePage(label=Judgment("failure", "dropped", judge="Anna"))
    assert HumanJudge(page, FakeTerminal("s\n").terminal, patience()).judge(TRIAL).outcome == "failure"
    assert HumanJudge(FakePage(), FakeTerminal("s\n").terminal, patience()).judge(TRIAL).outcome == "success"


def test_what_was_typed_before_the_question_does_not_answer_it() -> None:
    person = HumanJudge(FakePage(), FakeTerminal(typed_before="s\n").terminal, patience())
    with pytest.raises(StopIteration):
        person.lay_out(TRIAL)
    person = HumanJudge(FakePage(), FakeTerminal(typed_before="s\n").terminal, patience())
    person.attend(TRIAL)
    assert not person.judging
    with pytest.raises(StopIteration):
        person.judge(TRIAL)


def test_a_line_that_is_typed_while_the_policy_acts_ends_the_trial_with_that_label() -> None:
    desk = Typist()
    desk.person.attend(TRIAL)
    assert not desk.types()
    assert desk.types("f\n")
    assert desk.person.judge(TRIAL).outcome == "failure"
    assert len(desk.said) == 1 and "Judging ends the trial: (s)uccess" in desk.said[0]


def test_a_trial_that_is_being_judged_ends_before_every_question_is_answered() -> None:
    desk = Typist()
    desk.person.attend(TRIAL)
    assert desk.types("partial\n")
    assert desk.said[1:] == ["How much of the task, in percent (0-100)?"]
    desk.typed += ["60\n", "it slipped\n"]
    assert desk.person.judge(TRIAL, "A fault ended the run.") == Judgment("partial", "it slipped", 0.6, "person")
    assert desk.said[2:] == ["Why?"]


def test_a_line_that_is_no_outcome_does_not_end_the_trial() -> None:
    desk = Typist()
    desk.person.attend(TRIAL)
    for line in ("\n", "stop\n", "passed\n", "is it well?\n"):
        assert not desk.types(line)
        assert desk.said[-1].startswith("(s)uccess")
    desk.typed.append("i\n")
    assert desk.person.judging


def test_a_label_of_one_trial_is_not_that_of_the_next() -> None:
    desk = Typist()
    desk.person.attend(TRIAL)
    assert desk.types("s\n")
    assert desk.person.judge(TRIAL).outcome == "success"
    desk.person.attend(TRIAL)
    assert not desk.person.judging
    with pytest.raises(StopIteration):
        desk.person.judge(TRIAL)


def test_the_page_may_answer_what_the_terminal_has_begun() -> None:
    desk = Typist(label=Judgment("failure", "dropped", judge="Anna"))
    desk.person.attend(TRIAL)
    assert desk.types("p\n")
    assert desk.person.judge(TRIAL).judge == "Anna"


def test_a_terminal_is_read_without_waiting_for_it() -> None:
    typist, typed = pty.openpty()
    with os.fdopen(typed, "r", closefd=True) as stream:
        terminal = open_terminal(print, stream)
        assert terminal is not None
        assert terminal.line() is None
        os.write(typist, b"ready\n")
        assert terminal.line() == "ready\n"
        assert terminal.line() is None
    os.close(typist)


def test_no_terminal_is_none() -> None:
    with open(os.devnull, encoding="utf-8") as stream:
        assert open_terminal(print, stream) is None


@pytest.mark.parametrize(
    ("outcome", "score", "reason", "part"),
    [
        ("won", None, "", "known: success"),
        ("partial", None, "lifted it", "needs a score between 0 and 1, not None"),
        ("partial", 1.5, "lifted it", "not 1.5"),
        ("partial", 0.5, " ", "needs a reason"),
        ("invalid", None, "", "needs a reason"),
    ],
)
def test_labels_that_lack_something_are_refused(outcome: str, score: float | None, reason: str, part: str) -> None:
    with pytest.raises(TrialsError, match=part):
        judgment(outcome, score, reason, "Anna")


def test_steps_during_which_a_person_drove_are_marked() -> None:
    log = TrialLog()
    log.start()
    for q in (1.0, 1.5):
        log.step(q, held=False)
    log.arm(200, True, "spacemouse")  # in the middle of the second step
    log.step(1.7, held=False)
    log.arm(300, False, "")
    log.step(float("nan"), held=True)
    log.end()
    log.arm(400, True, "spacemouse")  # clears the scene: no takeover
    log.step(9.0, held=False)
    assert log.q == [1.0, 1.5, 1.7, None]
    assert log.human_steps == [1, 2]
    assert [(change.taken, change.stamp, change.step) for change in log.changes] == [(True, 200, 2), (False, 300, 3)]


@given(st.lists(st.sampled_from(["step", "take", "release"])))
def test_a_step_counts_once_however_often_a_person_takes_the_arm(events: list[str]) -> None:
    log = TrialLog()
    log.start()
    for stamp, event in enumerate(events):
        if event == "step":
            log.step(1.0, held=False)
        else:
            log.arm(stamp, event == "take", "keyboard")
    assert log.human_steps == sorted(set(log.human_steps))
    assert all(0 <= index < len(log.q) for index in log.human_steps)
    if "take" not in events:
        assert not log.human_steps


def test_who_drives_when_the_run_begins_drives_its_first_step() -> None:
    log = TrialLog()
    log.arm(1, True, "spacemouse")
    log.start()
    log.step(1.0, held=False)
    assert log.human_steps == [0]


def test_an_arm_that_is_stopped_between_runs_did_not_stop_in_one() -> None:
    log = TrialLog()
    log.arm(1, False, "", stopped=True)
    log.start()
    assert not log.stopped
    log.arm(2, False, "", stopped=True)
    log.arm(3, False, "", stopped=False)
    assert log.stopped
