# SPDX-License-Identifier: Apache-2.0
"""Small pieces of MJCF: numbers to text, and bodies of revolution as inline meshes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

Profile = Sequence[tuple[float, float]]
"""Outline of a body of revolution: (distance along the axis, radius) in m, in order."""


def text(values: Iterable[float]) -> str:
    """Numbers as an MJCF attribute."""
    return " ".join(f"{float(v):.6g}" for v in values)


def lathe_mesh(name: str, profile: Profile, axis: str, segments: int = 20, squash: float = 1.0) -> str:
    """A `<mesh>` made by rotating a profile about the x or z axis.

    Args:
        profile: (along, radius) pairs, ordered from the bottom up on the outside and down on the inside.
        axis: "x" for objects that lie on their side, "z" for bowls and pots.
        squash: factor on the last coordinate across the axis (z for "x"), to flatten a lying body.
    """
    angles = np.linspace(0.0, 2.0 * math.pi, segments, endpoint=False)
    along = np.array([p[0] for p in profile])
    radius = np.maximum(np.array([p[1] for p in profile]), 1e-4)
    u = radius[:, None] * np.cos(angles)[None]
    v = radius[:, None] * np.sin(angles)[None]
    w = np.broadcast_to(along[:, None], u.shape)
    vertices = np.stack([w, u, v * squash] if axis == "x" else [u, v, w], axis=-1).reshape(-1, 3)
    faces = []
    for ring in range(len(profile) - 1):
        for k in range(segments):
            a, b = ring * segments + k, ring * segments + (k + 1) % segments
            c, d = a + segments, b + segments
            faces += [(a, b, d), (a, d, c)]
    flat = text(vertices.ravel())
    indices = " ".join(str(i) for face in faces for i in face)
    return f'<mesh name="{name}" inertia="shell" vertex="{flat}" face="{indices}"/>'
