# SPDX-License-Identifier: Apache-2.0
"""Toy kitchens: each has a fixed look, which a seed varies slightly.

The counter's top is at z = 0 in `base_link`. Food lies around `spawn_center`, the receptacle stands at
`receptacle_spot`, and food taken out of it goes to `drop_spot`.
"""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[float, float, float]
Vector = tuple[float, float, float]
SPAWN_HALF = (0.055, 0.065)
"""Half the size (x, y in m) of the region in which food lies."""


@dataclass(frozen=True)
class Surface:
    """A textured surface: kind of texture, base and accent color, repeats per meter, shine 0..1."""

    kind: str
    base: Color
    accent: Color
    repeat: float = 3.0
    shine: float = 0.1


@dataclass(frozen=True)
class Block:
    """A piece of furniture or clutter: a box or cylinder with half sizes, and where it stands (m)."""

    kind: str
    size: tuple[float, ...]
    position: Vector
    color: Color


@dataclass(frozen=True)
class Kitchen:
    """The fixed look of a kitchen."""

    name: str
    counter: Surface
    wall: Surface
    light: Vector  # where the lamp hangs (m)
    lamp: float  # its strength, 0..1
    warmth: float  # -1 cold .. 1 warm
    camera: Vector  # position of over_shoulder (m)
    look_at: Vector
    fovy: float  # vertical field of view (deg)
    side: int  # 1: receptacle to the right of the arm (y < 0), -1: to its left
    clutter: tuple[Block, ...]

    @property
    def receptacle_spot(self) -> tuple[float, float]:
        """Where the receptacle stands (x, y in m)."""
        return (0.30, -0.115 * self.side)

    @property
    def spawn_center(self) -> tuple[float, float]:
        """Middle of the region in which food lies (x, y in m)."""
        return (0.29, 0.060 * self.side)

    @property
    def drop_spot(self) -> tuple[float, float]:
        """Where food taken out of the receptacle is put (x, y in m)."""
        return (0.29, 0.065 * self.side)


def _stove(x: float, y: float, color: Color = (0.12, 0.12, 0.13)) -> tuple[Block, ...]:
    """A stove top: a dark slab with two rings."""
    ring = (0.30, 0.10, 0.08)
    return (
        Block("box", (0.09, 0.06, 0.010), (x, y, 0.010), color),
        Block("cylinder", (0.032, 0.002), (x - 0.045, y, 0.022), ring),
        Block("cylinder", (0.032, 0.002), (x + 0.045, y, 0.022), ring),
    )


def _sink(x: float, y: float, steel: Color = (0.60, 0.63, 0.66)) -> tuple[Block, ...]:
    """A sink: a steel rim around a dark basin, and a tap."""
    return (
        Block("box", (0.09, 0.06, 0.003), (x, y, 0.003), steel),
        Block("box", (0.075, 0.045, 0.001), (x, y, 0.0062), (0.30, 0.33, 0.36)),
        Block("cylinder", (0.008, 0.06), (x, y - 0.052, 0.06), steel),
        Block("box", (0.007, 0.03, 0.006), (x, y - 0.025, 0.118), steel),
    )


def _jar(x: float, y: float, color: Color, radius: float = 0.028, height: float = 0.09) -> tuple[Block, ...]:
    """A jar with a lid."""
    lid = tuple(0.4 * c + 0.1 for c in color)
    return (
        Block("cylinder", (radius, height / 2), (x, y, height / 2), color),
        Block("cylinder", (radius * 1.05, 0.008), (x, y, height + 0.008), (lid[0], lid[1], lid[2])),
    )


def _towel(x: float, y: float, color: Color) -> tuple[Block, ...]:
    """A folded towel with a stripe."""
    pale = tuple(0.5 + 0.5 * c for c in color)
    return (
        Block("box", (0.05, 0.04, 0.006), (x, y, 0.006), color),
        Block("box", (0.050, 0.008, 0.0065), (x, y + 0.02, 0.0065), (pale[0], pale[1], pale[2])),
    )


def _kitchen(
    number: str,
    counter: Surface,
    wall: Surface,
    view: tuple[float, float, float],
    lamp: float,
    warmth: float,
    side: int,
    clutter: tuple[Block, ...],
    light: Vector = (0.1, 0.3, 1.4),
) -> Kitchen:
    """A kitchen whose camera deviates from the usual one by `view`: (m sideways, m up, deg field of view)."""
    along, up, wider = view
    return Kitchen(
        name=number,
        counter=counter,
        wall=wall,
        light=light,
        lamp=lamp,
        warmth=warmth,
        camera=(0.02 + along, 0.36 + along, 0.56 + up),
        look_at=(0.32, 0.06, 0.05),
        fovy=30.0 + wider,
        side=side,
        clutter=clutter,
    )


_WHITE: Color = (0.92, 0.92, 0.90)
# fmt: off
KITCHENS: dict[str, Kitchen] = {
    k.name: k
    for k in (
        _kitchen("toykitchen1", Surface("wood", (0.72, 0.52, 0.33), (0.50, 0.33, 0.18)),
                 Surface("tiles", (0.86, 0.90, 0.92), (0.60, 0.64, 0.66)), (0.0, 0.0, 0.0), 0.65, 0.3, 1,
                 _sink(0.56, -0.20) + _jar(0.16, -0.33, (0.75, 0.20, 0.18))),
        _kitchen("toykitchen2", Surface("granite", (0.34, 0.36, 0.39), (0.62, 0.63, 0.66), 5.0),
                 Surface("plain", (0.93, 0.86, 0.70), (0.80, 0.72, 0.55)), (0.02, 0.02, 0.5), 0.75, 0.1, 1,
                 _stove(0.57, -0.05) + _jar(0.40, -0.34, (0.90, 0.75, 0.20))),
        _kitchen("toykitchen3", Surface("plain", (0.88, 0.87, 0.83), (0.70, 0.69, 0.66)),
                 Surface("tiles", (0.25, 0.48, 0.55), (0.80, 0.85, 0.86)), (-0.02, 0.01, 0.0), 0.55, -0.2, 1,
                 _towel(0.54, 0.06, (0.75, 0.15, 0.18)) + _sink(0.55, -0.22)),
        _kitchen("toykitchen4", Surface("plain", (0.30, 0.45, 0.62), (0.22, 0.35, 0.50)),
                 Surface("plain", (0.95, 0.94, 0.88), (0.85, 0.84, 0.78)), (0.01, -0.02, 1.0), 0.70, 0.0, -1,
                 _jar(0.52, -0.12, (0.85, 0.82, 0.75)) + _stove(0.57, 0.12)),
        _kitchen("toykitchen5", Surface("wood", (0.40, 0.25, 0.15), (0.25, 0.14, 0.08)),
                 Surface("marble", (0.85, 0.83, 0.80), (0.55, 0.52, 0.50)), (0.03, 0.0, -0.5), 0.80, 0.5, 1,
                 _stove(0.57, 0.0, (0.75, 0.76, 0.78)) + _towel(0.14, -0.34, (0.15, 0.35, 0.65))),
        _kitchen("toykitchen6", Surface("tiles", (0.90, 0.88, 0.80), (0.60, 0.50, 0.42), 3.5),
                 Surface("wood", (0.62, 0.44, 0.28), (0.42, 0.28, 0.16)), (-0.03, 0.02, 0.5), 0.60, 0.2, -1,
                 _sink(0.56, 0.02) + _jar(0.38, -0.33, (0.20, 0.45, 0.30))),
        _kitchen("toykitchen7", Surface("plain", (0.45, 0.60, 0.45), (0.36, 0.50, 0.36)),
                 Surface("tiles", (0.94, 0.94, 0.92), (0.72, 0.72, 0.70)), (0.0, 0.03, 0.0), 0.65, -0.3, 1,
                 _jar(0.53, -0.16, (0.82, 0.42, 0.15)) + _jar(0.54, -0.08, (0.85, 0.80, 0.70), 0.022, 0.07)
                 + _towel(0.55, 0.10, (0.90, 0.80, 0.30))),
        _kitchen("toykitchen8", Surface("marble", (0.93, 0.92, 0.90), (0.45, 0.45, 0.48), 2.0),
                 Surface("plain", (0.60, 0.35, 0.30), (0.50, 0.28, 0.24)), (0.02, -0.01, -0.5), 0.55, 0.1, -1,
                 _stove(0.57, -0.15) + _jar(0.54, 0.03, (0.30, 0.40, 0.70))),
        _kitchen("toykitchen9", Surface("plain", (0.85, 0.70, 0.45), (0.72, 0.58, 0.36)),
                 Surface("plain", (0.42, 0.58, 0.68), (0.34, 0.48, 0.58)), (-0.01, 0.0, 1.0), 0.70, 0.4, 1,
                 _sink(0.56, -0.02, (0.75, 0.75, 0.72)) + _towel(0.42, -0.34, _WHITE)),
        _kitchen("toykitchen10", Surface("granite", (0.70, 0.66, 0.62), (0.35, 0.30, 0.28), 4.0),
                 Surface("tiles", (0.55, 0.20, 0.22), (0.88, 0.85, 0.80)), (0.01, 0.02, 0.0), 0.75, 0.0, 1,
                 _jar(0.53, 0.02, _WHITE) + _stove(0.57, -0.18)),
        _kitchen("toykitchen11", Surface("tiles", (0.50, 0.53, 0.58), (0.75, 0.77, 0.80), 3.0),
                 Surface("plain", (0.88, 0.88, 0.86), (0.76, 0.76, 0.74)), (-0.02, -0.02, 0.5), 0.80, -0.2, -1,
                 _towel(0.54, 0.08, (0.55, 0.25, 0.55)) + _jar(0.53, -0.10, (0.70, 0.55, 0.35))),
        _kitchen("toykitchen12", Surface("wood", (0.86, 0.74, 0.55), (0.70, 0.56, 0.38), 2.5),
                 Surface("granite", (0.28, 0.30, 0.32), (0.50, 0.52, 0.55), 4.0), (0.03, 0.01, 0.5), 0.60, 0.1, 1,
                 _stove(0.57, 0.05) + _sink(0.55, -0.22)),
        _kitchen("toykitchen_target1", Surface("wood", (0.62, 0.47, 0.36), (0.44, 0.31, 0.22), 3.5),
                 Surface("tiles", (0.80, 0.84, 0.72), (0.55, 0.58, 0.48)), (0.01, 0.01, 0.2), 0.70, 0.1, 1,
                 _jar(0.53, -0.06, (0.25, 0.55, 0.60)) + _sink(0.56, -0.22)),
        _kitchen("toykitchen_target2", Surface("granite", (0.78, 0.77, 0.74), (0.50, 0.50, 0.52), 5.0),
                 Surface("plain", (0.36, 0.44, 0.58), (0.30, 0.36, 0.48)), (-0.01, 0.01, 0.0), 0.65, 0.2, 1,
                 _stove(0.57, -0.02) + _towel(0.15, -0.33, (0.80, 0.35, 0.20))),
    )
}
# fmt: on


def held_out_kitchens() -> tuple[str, ...]:
    """Kitchens that are not in the pre-training data."""
    return tuple(name for name in KITCHENS if "target" in name)


def pretraining_kitchens() -> tuple[str, ...]:
    """Kitchens of the pre-training data."""
    return tuple(name for name in KITCHENS if "target" not in name)


def kitchen_named(name: str) -> Kitchen:
    """The kitchen of that name."""
    if name not in KITCHENS:
        raise ValueError(f"unknown kitchen {name!r}; known: {', '.join(KITCHENS)}")
    return KITCHENS[name]
