# SPDX-License-Identifier: Apache-2.0
"""MJCF of a door: a fixed box, a panel on a hinge with friction, and a handle.

Panel, handle and box only collide with the fingers' pads; the hinge's range stops the panel. Friction holds it at any
angle, and its weight is balanced, as by a spring in a real oven.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptr_bringup.sim.doors import THICKNESS, Color, Door
from ptr_bringup.sim.shapes import text

BOX_DEPTH = 0.10
"""m behind the panel."""
_WALL = 0.006
_SEAM = 0.002
_COLLIDING = 'contype="0" conaffinity="2" solref="0.01 1"'
_VISUAL = 'contype="0" conaffinity="0"'
_DARK: Color = (0.05, 0.05, 0.06)
_GLASS: Color = (0.10, 0.12, 0.14)
_STEM = 0.007


def door_body(door: Door) -> str:
    """The fixed body `door_box` and, in it, the body `door` on its joint `hinge`, with the site `handle`."""
    return (
        f'<body name="door_box" pos="{text(door.hinge_position)}">{_box(door)}'
        '<body name="door" gravcomp="1">'
        f'<joint name="hinge" type="hinge" axis="{text(door.axis)}" range="0 {door.max_angle}" damping="0.06" '
        'frictionloss="0.05" armature="0.002"/>'
        f"{_panel(door)}{_handle(door)}</body></body>"
    )


def _shade(color: Color, share: float) -> Color:
    red, green, blue = color
    return share * red, share * green, share * blue


def _geom(kind: str, size: Sequence[float], position: Sequence[float], color: Color, rest: str) -> str:
    return (
        f'<geom type="{kind}" size="{text(size)}" pos="{text(position)}" rgba="{text(color)} 1" '
        f'material="shiny" {rest}/>'
    )


def _box(door: Door) -> str:
    """Walls, floor, ceiling and back around a dark inside, and the controls of the kind."""
    width, height = door.size
    x, y, z = door.panel_center
    inner, depth = x + THICKNESS + _SEAM, BOX_DEPTH / 2
    low = z - height / 2 - door.bottom
    middle = inner + depth
    top = z + height / 2
    xml = ""
    for side in (-1, 1):
        xml += _geom(
            "box",
            (depth, _WALL / 2, (top - low) / 2),
            (middle, y + side * (width - _WALL) / 2, (top + low) / 2),
            door.box_color,
            _COLLIDING,
        )
    xml += _geom("box", (depth, width / 2, _WALL / 2), (middle, y, top - _WALL / 2), door.box_color, _COLLIDING)
    plinth = max(door.bottom, _WALL)
    xml += _geom("box", (depth, width / 2, plinth / 2), (middle, y, low + plinth / 2), door.box_color, _COLLIDING)
    xml += _geom(
        "box",
        (_WALL / 2, width / 2, (top - low) / 2),
        (inner + BOX_DEPTH, y, (top + low) / 2),
        _shade(door.box_color, 0.35),
        _VISUAL,
    )
    if door.kind == "microwave":
        xml += _controls_beside(door, inner, top, low)
    if door.kind == "oven":
        xml += _controls_above(door, inner, top)
    return xml


def _controls_beside(door: Door, inner: float, top: float, low: float) -> str:
    """A microwave's control strip, on the side of its handle."""
    side = -1.0 if door.hinge == "left" else 1.0
    y = door.panel_center[1] + side * (door.size[0] / 2 + 0.021)
    xml = _geom(
        "box",
        (BOX_DEPTH / 2 + THICKNESS / 2, 0.018, (top - low) / 2),
        (inner + BOX_DEPTH / 2 - THICKNESS / 2, y, (top + low) / 2),
        door.box_color,
        _VISUAL,
    )
    front = inner - THICKNESS - 0.001
    xml += _geom("box", (0.001, 0.012, 0.008), (front, y, top - 0.018), (0.15, 0.55, 0.30), _VISUAL)
    for row in range(3):
        xml += _geom("box", (0.001, 0.010, 0.004), (front, y, top - 0.042 - 0.016 * row), _DARK, _VISUAL)
    return xml


def _controls_above(door: Door, inner: float, top: float) -> str:
    """An oven's strip with three dials above its panel."""
    width, y = door.size[0], float(door.panel_center[1])
    xml = _geom(
        "box", (BOX_DEPTH / 2, width / 2, 0.012), (inner + BOX_DEPTH / 2, y, top + 0.012), door.box_color, _VISUAL
    )
    for k in (-1, 0, 1):
        xml += _geom(
            "cylinder",
            (0.007, 0.004),
            (inner - 0.002, y + k * width / 4, top + 0.012),
            door.handle.color,
            f'euler="0 1.5707963 0" {_VISUAL}',
        )
    return xml


def _panel(door: Door) -> str:
    """The panel; cabinets have a raised field, ovens and microwaves a window."""
    width, height = door.size
    x, y, z = door.panel_center
    xml = _geom(
        "box",
        (THICKNESS / 2, width / 2 - 0.001, height / 2 - 0.001),
        (x + THICKNESS / 2, y, z),
        door.color,
        f'mass="0.12" {_COLLIDING}',
    )
    if door.kind == "cabinet":
        pale = _shade(door.color, 0.82)
        return xml + _geom(
            "box", (0.0008, width / 2 - 0.018, height / 2 - 0.018), (x, y, z), pale, f'mass="0" {_VISUAL}'
        )
    share = 0.28 if door.kind == "oven" else 0.32
    down = 0.10 * height if door.kind == "oven" else 0.0
    for face in (-0.0008, THICKNESS + 0.0008):
        xml += _geom(
            "box", (0.0008, 0.36 * width, share * height), (x + face, y, z - down), _GLASS, f'mass="0" {_VISUAL}'
        )
    return xml


def _handle(door: Door) -> str:
    """The handle, its stems, and a site at its middle."""
    handle, (x, y, z) = door.handle, door.handle_position
    depth, across, up = handle.half
    color = handle.color
    rest = f'mass="0.01" {_COLLIDING} friction="1.5 0.02 0.002"'
    xml = f'<site name="handle" pos="{text((x, y, z))}" size="0.002" rgba="0 0 0 0"/>'
    if handle.kind == "knob":
        xml += _geom("cylinder", (across, depth), (x, y, z), color, f'euler="0 1.5707963 0" {rest}')
    elif handle.kind == "ball":
        xml += _geom("ellipsoid", handle.half, (x, y, z), color, rest)
    elif handle.hooked:
        xml += _geom("capsule", (depth, across), (x, y, z), color, f'euler="1.5707963 0 0" {rest}')
    else:
        xml += _geom("box", handle.half, (x, y, z), color, rest)
    return xml + "".join(_stem(door, dy, dz) for dy, dz in _stems(door))


def _stems(door: Door) -> list[tuple[float, float]]:
    """Positions of the stems between handle and panel: (along y, up) in m from the handle's middle."""
    _, across, up = door.handle.half
    free = 1.0 if door.hinge == "right" else -1.0
    match door.handle.kind:
        case "bar":
            return [(-across, 0.0), (across, 0.0)]
        case "hook":
            return [(free * across, 0.0)]
        case "pull":
            return [(0.0, -0.65 * up), (0.0, 0.65 * up)]
    return [(0.0, 0.0)]


def _stem(door: Door, along: float, up: float) -> str:
    x, y, z = door.handle_position
    half = door.handle.standoff / 2
    thick = min(_STEM, door.handle.half[2])
    return _geom(
        "box", (half, thick, thick), (x + half, y + along, z + up), door.handle.color, f'mass="0" {_COLLIDING}'
    )
