# SPDX-License-Identifier: Apache-2.0
"""Toy food and toy crockery: sizes, colors and MJCF.

Food is chunky (3.4 to 4.4 cm across the fingers, which open 7.4 cm) and light. One simple geom collides; a few colored
shapes around it are visible. Lying objects have their long side along x. Receptacles are fixed: a floor and a ring of
low walls, under a lathed mesh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptr_bringup.sim.levels import Level
from ptr_bringup.sim.shapes import Profile, lathe_mesh, text

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """A visible part: a lathe mesh along x if it has a profile, else a primitive geom."""

    color: Color
    profile: Profile = ()
    kind: str = "box"
    size: tuple[float, ...] = ()
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0  # rad


@dataclass(frozen=True)
class FoodItem:
    """An object to grasp. Sizes in m; `half` is half the size (along x, across the fingers, up)."""

    name: str
    half: tuple[float, float, float]
    collision: str  # box, capsule or ellipsoid
    parts: tuple[Part, ...]

    @property
    def rest_height(self) -> float:
        """Height of the center above the surface that it lies on (m)."""
        return self.half[2]


@dataclass(frozen=True)
class Receptacle:
    """A round receptacle to put food in or on. Sizes in m."""

    name: str
    inner_radius: float
    wall_height: float
    floor_height: float
    color: Color
    inner_color: Color
    flare: float  # how much wider the rim is than the floor
    handles: int = 0
    shine: float = 0.3

    @property
    def outer_radius(self) -> float:
        """Radius that other objects must stay out of."""
        return self.inner_radius + 0.008 + self.flare


def _spindle(half_length: float, radius: float, power: float = 2.0, skew: float = 0.0, rings: int = 9) -> Profile:
    """Outline between ball (power 2) and bar (power 6); skew > 0 makes the +x end fatter."""
    outline = []
    for i in range(rings):
        t = -math.cos(math.pi * i / (rings - 1))
        r = radius * (max(0.0, 1.0 - abs(t) ** power)) ** (1.0 / power)
        outline.append((half_length * t, r * (1.0 + skew * t) / (1.0 + abs(skew) * 0.35)))
    return tuple(outline)


GREEN: Color = (0.15, 0.5, 0.12)
BLACK: Color = (0.06, 0.06, 0.07)
_CRUST: Color = (0.80, 0.50, 0.16)

# fmt: off
FOOD: dict[str, FoodItem] = {
    item.name: item
    for item in (
        FoodItem("carrot", (0.040, 0.018, 0.018), "capsule", (
            Part((1.0, 0.42, 0.02), ((-0.040, 0.004), (-0.036, 0.009), (-0.01, 0.015), (0.022, 0.0195), (0.029, 0.017),
                                     (0.031, 0.002))),
            Part(GREEN, ((0.028, 0.008), (0.036, 0.012), (0.043, 0.006), (0.044, 0.0))),
        )),
        FoodItem("sweet_potato", (0.036, 0.021, 0.020), "ellipsoid", (
            Part((0.62, 0.20, 0.22), _spindle(0.037, 0.0215, 2.4, 0.15)),)),
        FoodItem("cucumber", (0.040, 0.018, 0.018), "capsule", (
            Part((0.10, 0.42, 0.10), _spindle(0.040, 0.0185, 4.5)),)),
        FoodItem("croissant", (0.032, 0.020, 0.017), "box", (
            Part(_CRUST, kind="ellipsoid", size=(0.020, 0.0215, 0.0185)),
            Part((0.70, 0.40, 0.10), kind="ellipsoid", size=(0.017, 0.014, 0.014), position=(0.021, -0.006, -0.002),
                 yaw=-0.6),
            Part((0.70, 0.40, 0.10), kind="ellipsoid", size=(0.017, 0.014, 0.014), position=(-0.021, -0.006, -0.002),
                 yaw=0.6),
        )),
        FoodItem("knife", (0.040, 0.0175, 0.014), "box", (
            Part(BLACK, kind="box", size=(0.021, 0.0175, 0.0145), position=(-0.020, 0.0, 0.0)),
            Part((0.78, 0.80, 0.84), kind="box", size=(0.024, 0.0165, 0.008), position=(0.023, 0.0, 0.0)),
        )),
        FoodItem("eggplant", (0.038, 0.020, 0.020), "ellipsoid", (
            Part((0.28, 0.05, 0.34), _spindle(0.038, 0.0215, 2.3, 0.3)),
            Part(GREEN, ((-0.043, 0.003), (-0.037, 0.009), (-0.029, 0.0135), (-0.028, 0.0)))),),
        FoodItem("corn", (0.040, 0.0185, 0.0185), "capsule", (
            Part((0.98, 0.82, 0.10), _spindle(0.040, 0.019, 3.0)),
            Part((0.40, 0.62, 0.16), ((-0.042, 0.008), (-0.030, 0.018), (-0.010, 0.0197), (-0.009, 0.0)))),),
        FoodItem("pear", (0.033, 0.021, 0.021), "ellipsoid", (
            Part((0.80, 0.84, 0.22), ((-0.034, 0.002), (-0.032, 0.008), (-0.02, 0.0115), (-0.004, 0.017),
                                      (0.014, 0.0225), (0.026, 0.018), (0.032, 0.008), (0.033, 0.0))),
            Part((0.35, 0.2, 0.08), ((-0.041, 0.0025), (-0.032, 0.0025))))),
        FoodItem("lime", (0.023, 0.020, 0.020), "ellipsoid", (
            Part((0.42, 0.85, 0.06), _spindle(0.024, 0.0205)),)),
        FoodItem("sushi", (0.026, 0.018, 0.017), "box", (
            Part((0.95, 0.95, 0.92), kind="box", size=(0.026, 0.018, 0.011), position=(0.0, 0.0, -0.006)),
            Part((0.99, 0.45, 0.32), kind="box", size=(0.028, 0.0185, 0.006), position=(0.0, 0.0, 0.011)),
            Part(BLACK, kind="box", size=(0.006, 0.019, 0.0178)),
        )),
        FoodItem("tomato", (0.022, 0.021, 0.020), "ellipsoid", (
            Part((0.88, 0.06, 0.05), _spindle(0.022, 0.0215)),
            Part(GREEN, kind="ellipsoid", size=(0.009, 0.009, 0.003), position=(0.0, 0.0, 0.019)))),
        FoodItem("blue_cup", (0.023, 0.021, 0.019), "box", (
            Part((0.08, 0.28, 0.85), ((-0.023, 0.0), (-0.023, 0.018), (0.023, 0.022), (0.023, 0.019), (0.016, 0.0))),)),
    )
}
# fmt: on

# fmt: off
RECEPTACLES: dict[str, Receptacle] = {
    r.name: r
    for r in (
        Receptacle("pot", 0.070, 0.034, 0.004, (0.20, 0.21, 0.24), (0.33, 0.34, 0.37), 0.0, handles=2),
        Receptacle("metal_bowl", 0.062, 0.030, 0.004, (0.72, 0.74, 0.78), (0.60, 0.62, 0.66), 0.014, shine=0.9),
        Receptacle("plate", 0.078, 0.010, 0.005, (0.93, 0.93, 0.90), (0.86, 0.88, 0.90), 0.008),
        Receptacle("pan", 0.080, 0.020, 0.004, (0.10, 0.10, 0.11), (0.17, 0.17, 0.19), 0.004, handles=1),
    )
}
# fmt: on


def food_assets(item: FoodItem) -> str:
    """The item's meshes."""
    return "".join(
        lathe_mesh(f"{item.name}_{i}", part.profile, "x") for i, part in enumerate(item.parts) if part.profile
    )


def food_body(item: FoodItem, level: Level, name: str = "object") -> str:
    """The item as a free body; its invisible geom collides, the visible ones don't."""
    a, b, c = item.half
    size = (b, a - b) if item.collision == "capsule" else (a, b, c)
    turned = 'euler="0 1.5707963 0" ' if item.collision == "capsule" else ""
    xml = (
        f'<body name="{name}"><freejoint name="{name}"/>'
        f'<geom name="{name}" type="{item.collision}" size="{text(size)}" {turned}mass="{level.mass}" group="3" '
        f'condim="6" friction="{level.friction} 0.02 {level.rolling}" solref="0.01 1"/>'
    )
    for i, part in enumerate(item.parts):
        shape = f'type="{part.kind}" size="{text(part.size)}"'
        if part.profile:
            shape = f'type="mesh" mesh="{item.name}_{i}"'
        turn = f'euler="0 0 {part.yaw}" ' if part.yaw else ""
        xml += (
            f'<geom {shape} pos="{text(part.position)}" {turn}rgba="{text(part.color)} 1" mass="0" '
            'contype="0" conaffinity="0" group="2"/>'
        )
    return xml + "</body>"


def receptacle_assets(r: Receptacle) -> str:
    """Outer shell and inner face of the receptacle."""
    base, rim, top = r.inner_radius + 0.006, r.inner_radius + 0.006 + r.flare, r.wall_height
    outside = ((0.0, 0.0), (0.0, base - 0.004), (0.004, base), (top - 0.002, rim), (top, rim - 0.002))
    inside = (
        (top, rim - 0.002),
        (top - 0.002, rim - 0.005),
        (r.floor_height + 0.006, r.inner_radius),
        (r.floor_height, r.inner_radius - 0.008),
        (r.floor_height, 0.0),
    )
    return lathe_mesh("receptacle_out", outside, "z", 28) + lathe_mesh("receptacle_in", inside, "z", 28)


def receptacle_body(r: Receptacle) -> str:
    """The receptacle as a fixed body named `receptacle`, whose origin is on the counter, at its center."""
    xml = '<body name="receptacle">'
    for mesh, color in (("receptacle_out", r.color), ("receptacle_in", r.inner_color)):
        xml += (
            f'<geom type="mesh" mesh="{mesh}" rgba="{text(color)} 1" contype="0" conaffinity="0" group="2" '
            f'material="shiny"/>'
        )
    for k in range(r.handles):
        x = (1 if k == 0 else -1) * (r.inner_radius + (0.02 if r.handles == 2 else 0.045))
        length = 0.016 if r.handles == 2 else 0.04
        xml += (
            f'<geom type="box" size="{length} 0.012 0.004" pos="{x} 0 {r.wall_height - 0.006}" '
            f'rgba="{text(BLACK)} 1" contype="0" conaffinity="0" group="2"/>'
        )
    xml += (
        f'<geom type="cylinder" size="{r.inner_radius} {r.floor_height / 2}" pos="0 0 {r.floor_height / 2}" group="3"/>'
    )
    walls = 12
    lean = math.atan2(r.flare, r.wall_height)
    for k in range(walls):
        angle = 2.0 * math.pi * k / walls
        radius = r.inner_radius + 0.003 + r.flare / 2
        half_width = radius * math.tan(math.pi / walls)
        xml += (
            f'<body pos="{text((radius * math.cos(angle), radius * math.sin(angle), r.wall_height / 2))}" '
            f'euler="0 0 {angle:.6f}"><geom type="box" size="0.003 {half_width:.5f} {r.wall_height / 2:.5f}" '
            f'euler="0 {lean:.5f} 0" group="3"/></body>'
        )
    return xml + "</body>"
