# SPDX-License-Identifier: Apache-2.0
"""Access to a plugged-in SpaceMouse: its hidraw file, and pyspacemouse's models and parsers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptr_teleop.devices.base import Button, DeviceError
from ptr_teleop.devices.button_press import Press, PressTimer
from ptr_teleop.devices.hidraw import HidrawFile, find

CLOSE = ("LEFT", "MENU")
OPEN = ("RIGHT", "FIT")
RECORDER = {"BTN_1": Button.TOGGLE, "BTN_2": Button.FAIL, "BTN_3": Button.NEXT, "ESC": Button.DISCARD}
"""By pyspacemouse's button names; the Pro and Enterprise models have these buttons."""
INSTALL = "pip install 'pyspacemouse>=2.1'"


class SpaceMouseButtons:
    """Left closes, right opens. Both together start or save an episode; held for 1 s, they discard it.

    Two buttons must suffice; more are used if a model has them. The gripper moves with the first button of a chord; the
    chord then reverts that, so that the gripper stays as it was.

    Args:
        names: names of the model's buttons, in the order of their states.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._close, self._open = self._present(CLOSE), self._present(OPEN)
        self._down: frozenset[str] = frozenset()
        self._chord = PressTimer()
        self._in_chord = False
        self.pressed: set[Button] = set()

    def _present(self, candidates: Collection[str]) -> str | None:
        return next((name for name in candidates if name in self._names), None)

    @property
    def gripping(self) -> bool:
        """True while a gripper button is held outside of a chord."""
        return not self._in_chord and bool(self._down & {self._close, self._open})

    def advance(self, states: Sequence[int], now: float) -> float | None:
        """Process the state of all buttons at `now` (s). Requests to the recorder are added to `pressed`.

        Returns:
            The requested opening; None: none.
        """
        before = self._down
        self._down = frozenset(name for name, state in zip(self._names, states, strict=False) if state)
        self.pressed |= {RECORDER[name] for name in self._down - before if name in RECORDER}
        close, open_ = self._close in self._down, self._open in self._down
        self._advance_chord(close and open_, now)
        if self._in_chord:
            self._in_chord = close or open_
            return None
        return None if close == open_ else float(open_)

    def _advance_chord(self, both: bool, now: float) -> None:
        self._in_chord = self._in_chord or both
        press = self._chord.advance(both, now)
        if press is not None:
            self.pressed.add(Button.DISCARD if press is Press.LONG else Button.TOGGLE)


def specifications() -> dict[str, Any]:
    """pyspacemouse's models by name, with axes as in REP 103: x forward, y left, z up.

    Raises:
        DeviceError: pyspacemouse is not installed.
    """
    try:
        import pyspacemouse
    except ImportError as error:
        raise DeviceError(f"the device spacemouse needs pyspacemouse ({error}): {INSTALL}") from None
    ros = pyspacemouse.AxisConvention.ROS
    models = pyspacemouse.get_device_specs().items()
    return {name: pyspacemouse.apply_axis_convention(model, ros) for name, model in models}


def locate(path: str, model: str) -> tuple[Path, Any]:
    """The device file and pyspacemouse's specification of a SpaceMouse.

    Args:
        path: device file; empty: the first SpaceMouse that is plugged in.
        model: pyspacemouse's name; empty: detected by the device's identifiers.
    Raises:
        DeviceError: no SpaceMouse, or an unknown model.
    """
    models = specifications()
    if model and model not in models:
        raise DeviceError(f"spacemouse.model is {model!r}; pyspacemouse knows {', '.join(models)}")
    if path and model:
        return Path(path), models[model]
    by_id = {(spec.vendor_id, spec.product_id): spec for spec in models.values()}
    nodes = find()
    for node in nodes:
        spec = models[model] if model else by_id.get((node.vendor, node.product))
        wanted = node.path == Path(path) if path else node.multi_axis
        if wanted and spec is not None and (node.vendor, node.product) == (spec.vendor_id, spec.product_id):
            return node.path, spec
    what = f"{path} is not a SpaceMouse that pyspacemouse knows" if path else "no SpaceMouse is plugged in"
    raise DeviceError(f"{what} ({len(nodes)} HID devices were checked); plug one in, or select another device")


class OpenSpaceMouse:
    """An open SpaceMouse: its file, pyspacemouse's parser, and its buttons.

    Raises:
        DeviceError: the file can't be opened.
    """

    def __init__(self, path: Path, specification: Any) -> None:
        from pyspacemouse import SpaceMouseDevice

        try:
            self._file = HidrawFile(path)
        except PermissionError:
            raise DeviceError(f"no access to {path}; `ptr doctor` shows the command that grants it") from None
        except BlockingIOError:
            raise DeviceError(f"the SpaceMouse at {path} drives another arm; set spacemouse.path to another") from None
        except OSError as error:
            raise DeviceError(f"the SpaceMouse at {path} can't be opened: {error}") from None
        self._parser = SpaceMouseDevice(specification, self._file)
        self._state: Any = None  # pyspacemouse's, from the first report on
        self.model: str = specification.name
        self.buttons = SpaceMouseButtons(specification.button_names)

    def read_report(self) -> bool:
        """Parse the oldest pending report; False: none is pending.

        Raises:
            OSError: the device is gone.
        """
        before = self._file.reports
        state = self._parser.read()
        if self._file.reports == before:
            return False
        self._state = state
        return True

    def advance_buttons(self, now: float) -> float | None:
        """See `SpaceMouseButtons.advance`."""
        return self.buttons.advance(() if self._state is None else self._state.buttons, now)

    @property
    def axes(self) -> np.ndarray:
        """(6,) deflections x, y, z, roll, pitch, yaw as in REP 103, in [-1, 1]."""
        state = self._state
        if state is None:
            return np.zeros(6)
        return np.array([state.x, state.y, state.z, state.roll, state.pitch, state.yaw])

    @property
    def reports(self) -> int:
        """Number of reports read."""
        return self._file.reports

    @property
    def closed(self) -> bool:
        """True once the device is gone or closed."""
        return self._file.closed

    def fileno(self) -> int:
        """For select."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
