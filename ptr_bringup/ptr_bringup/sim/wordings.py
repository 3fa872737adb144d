# SPDX-License-Identifier: Apache-2.0
"""Instructions for tasks in different words: some for demonstrations, others held out for trials."""

from __future__ import annotations

from ptr_bringup.sim.door_tasks import DoorTask
from ptr_bringup.sim.tasks import ON, Task

_PUT = (
    "put the {item} {into} the {place}",
    "place the {item} {into} the {place}",
    "set the {item} down {into} the {place}",
    "move the {item} to the {place}",
    "the {item} goes {into} the {place}",
    "pick up the {item} and put it {into} the {place}",
)
_TAKE = (
    "take the {item} {out} the {place}",
    "remove the {item} from the {place}",
    "lift the {item} {out} the {place}",
    "get the {item} {out} the {place}",
    "the {item} comes {out} the {place}",
    "take the {item} {out} the {place} and put it on the table",
)
_DOOR = ("{skill} the {kind}", "{skill} the door of the {kind}", "{skill} the {kind} door")
_HELD_OUT = {
    "put": (
        "could you put the {item} {into} the {place} please",
        "grab the {item} and place it {into} the {place}",
        "i want the {item} {into} the {place}",
        "move that {item} {into} the {place}",
    ),
    "take": (
        "could you take the {item} {out} the {place} please",
        "grab the {item} and lift it {out} the {place}",
        "i do not want the {item} in the {place}, take it out",
        "pick the {item} {out} the {place}",
    ),
}


def wordings(task: Task | DoorTask, held_out: bool = False) -> tuple[str, ...]:
    """Instructions for a task; the first is the simplest.

    Args:
        held_out: those not used in demonstrations; doors have none.
    """
    if isinstance(task, DoorTask):
        return () if held_out else tuple(text.format(skill=task.skill, kind=task.kind) for text in _DOOR)
    on = task.receptacle in ON
    words = {"into": "on" if on else "in", "out": "off" if on else "out of"}
    words |= {"item": task.item.replace("_", " "), "place": task.receptacle.replace("_", " ")}
    templates = _HELD_OUT[task.skill] if held_out else _PUT if task.skill == "put" else _TAKE
    return tuple(template.format(**words) for template in templates)
