# SPDX-License-Identifier: Apache-2.0
"""Parses a page's text into a request, field by field, and checks the packets of a page that drives."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_teleop.console.requests import (
    ChooseTask,
    DiscardEpisode,
    Finish,
    JudgeTrial,
    NextScene,
    RebootMotors,
    Record,
    Relabel,
    Release,
    Request,
    RestoreEpisode,
    SceneReady,
    SetTorque,
    Stop,
    UndoJudgment,
    UndoLabel,
    UseDevice,
    UseGoal,
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
MAX_TASK_NAME = 80  # characters
MAX_MESSAGE = 4096  # bytes
TASK, OPERATOR, NOTE, NAME = 120, 80, 2000, 200  # characters
OUTCOMES = ("success", "failure", "partial", "unlabelled")
JUDGMENTS = ("success", "failure", "partial", "invalid")


def name_and_instruction(text: str) -> tuple[str, str]:
    """The name of a task, and its instruction; the instruction is empty if the text is already a name.

    `Put the knife / in the pot` becomes `put_the_knife_in_the_pot`. The name is empty if the text has neither a Latin
    letter nor a digit.
    """
    text = text.strip()
    if len(text) <= MAX_TASK_NAME and _NAME.fullmatch(text):
        return text, ""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    return "_".join(words)[:MAX_TASK_NAME].rstrip("_"), text


class RequestError(PtrError):
    """An invalid message from the page; the page shows the message of this error."""


def parse_request(text: str) -> tuple[int, Request]:
    """The number of a request, which its answer repeats, and the request.

    Raises:
        RequestError: not a valid request.
    """
    fields = parse_object(text)
    number = fields.pop("id", None)
    if type(number) is not int or not 0 <= number < 2**53:
        raise RequestError("a request needs a whole number as its `id`")
    name = fields.pop("request", None)
    reader = READERS.get(name) if isinstance(name, str) else None
    if reader is None:
        raise RequestError(f"unknown request {_shown(name)}; known: {', '.join(READERS)}")
    request = reader(fields)
    if fields:
        raise RequestError(f"`{name}` has no field {_shown(next(iter(fields)))}")
    return number, request


def check_packet(text: str) -> None:
    """Check that a packet of a page that drives is a JSON object with finite numbers.

    Raises:
        RequestError: it is not.
    """
    parse_object(text)


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object with finite numbers.

    Raises:
        RequestError: not such an object, or longer than MAX_MESSAGE.
    """
    if len(text) > MAX_MESSAGE or len(text.encode("utf-8", "replace")) > MAX_MESSAGE:
        raise RequestError(f"a message may have at most {MAX_MESSAGE} bytes")
    try:
        value = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise RequestError("a message is nested too deeply") from None
        raise RequestError(f"a message is not JSON with finite numbers ({str(error)[:80]})") from None
    if not isinstance(value, dict):
        raise RequestError("a message must be a JSON object")
    return value


def _not_finite(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return value


def _record(fields: dict[str, Any]) -> Record:
    words = _text(fields, "task", TASK)
    task, instruction = name_and_instruction(words)
    if not task:
        wrong = "has no Latin letter and no digit" if words.strip() else "is empty"
        raise RequestError(f"the task {wrong}; choose or enter one before recording")
    return Record(task, instruction, _text(fields, "operator", OPERATOR, "").strip())


def _choose_task(fields: dict[str, Any]) -> ChooseTask:
    chosen = _record(fields)
    return ChooseTask(chosen.task, chosen.instruction, chosen.operator)


def _finish(fields: dict[str, Any]) -> Finish:
    save = _truth(fields, "save")
    outcome, score = _outcome(fields, OUTCOMES, "unlabelled")
    return Finish(save, outcome, score, _text(fields, "note", NOTE, ""))


def _relabel(fields: dict[str, Any]) -> Relabel:
    outcome, score = _outcome(fields, OUTCOMES, "unlabelled")
    return Relabel(_text(fields, "episode", NAME, ""), outcome, score, _text(fields, "note", NOTE, ""))


def _use_device(fields: dict[str, Any]) -> UseDevice:
    return UseDevice(_text(fields, "device", NAME).strip())


def _set_torque(fields: dict[str, Any]) -> SetTorque:
    return SetTorque(_truth(fields, "on"))


def _judge_trial(fields: dict[str, Any]) -> JudgeTrial:
    outcome, score = _outcome(fields, JUDGMENTS)
    reason = _text(fields, "reason", NOTE, "").strip()
    if outcome in ("partial", "invalid") and not reason:
        raise RequestError(f"a trial that is {outcome} needs a reason; give it in a few words")
    return JudgeTrial(outcome, score, reason, _text(fields, "annotator", OPERATOR, "").strip())


def _truth(fields: dict[str, Any], name: str) -> bool:
    value = fields.pop(name, None)
    if not isinstance(value, bool):
        raise RequestError(f"`{name}` must be true or false, not {_shown(value)}")
    return value


def _outcome(fields: dict[str, Any], known: Sequence[str], default: str | None = None) -> tuple[str, float | None]:
    outcome = fields.pop("outcome", default)
    if outcome not in known:
        raise RequestError(f"unknown outcome {_shown(outcome)}; known: {', '.join(known)}")
    score = fields.pop("score", None)
    if outcome != "partial":
        if score is not None:
            raise RequestError("only a partial success has a score")
        return outcome, None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
        raise RequestError(f"a partial success needs a score from 0 to 1, not {_shown(score)}")
    return outcome, float(score)


def _text(fields: dict[str, Any], name: str, longest: int, default: str | None = None) -> str:
    """A text field without control characters, which ROS can't carry or a terminal would interpret."""
    value = fields.pop(name, default)
    if not isinstance(value, str):
        raise RequestError(f"`{name}` must be text, not {_shown(value)}")
    if len(value) > longest:
        raise RequestError(f"`{name}` may have at most {longest} characters, not {len(value)}")
    if any(not (letter.isprintable() or letter == "\n") for letter in value):
        raise RequestError(f"`{name}` contains unprintable characters")
    return value


def _shown(value: Any) -> str:
    """A value for an error message, shortened."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


READERS: dict[str, Callable[[dict[str, Any]], Request]] = {
    "record": _record,
    "finish": _finish,
    "relabel": _relabel,
    "next_scene": lambda fields: NextScene(),
    "discard": lambda fields: DiscardEpisode(_text(fields, "episode", NAME)),
    "restore": lambda fields: RestoreEpisode(_text(fields, "episode", NAME)),
    "undo": lambda fields: UndoLabel(_text(fields, "episode", NAME)),
    "device": _use_device,
    "goal": lambda fields: UseGoal(_text(fields, "episode", NAME)),
    "task": _choose_task,
    "stop": lambda fields: Stop(),
    "release": lambda fields: Release(),
    "torque": _set_torque,
    "reboot_motors": lambda fields: RebootMotors(),
    "ready": lambda fields: SceneReady(),
    "judge": _judge_trial,
    "undo_judgment": lambda fields: UndoJudgment(),
}
