# SPDX-License-Identifier: Apache-2.0
"""Draw what the simulated kitchens look like: one row of scenes per level, then doors shut and open.

.venv/bin/python tests/benchmarks/draw_scenes.py docs/images/scenes.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from ptr_bringup.sim.levels import LEVELS
from ptr_bringup.sim.world import World

WIDTH, HEIGHT = 320, 240
SCENES = (
    ("toykitchen1", "put_carrot_on_plate"),
    ("toykitchen4", "put_pear_in_metal_bowl"),
    ("toykitchen9", "take_cucumber_out_of_pot"),
    ("toykitchen_target1", "put_sweet_potato_on_plate"),
)
DOORS = (
    ("toykitchen2", "close_cabinet"),
    ("toykitchen5", "close_oven"),
    ("toykitchen8", "open_microwave"),
    ("toykitchen_target1", "open_microwave"),
)


def picture(kitchen: str, task: str, level: str, words: str) -> np.ndarray:
    """A scene (HEIGHT, WIDTH, 3) with words below."""
    with World(kitchen, task, level) as world:
        world.reset(3)
        image = np.ascontiguousarray(world.render(WIDTH, HEIGHT))
    image[HEIGHT - 20 :] = 255
    cv2.putText(image, words, (6, HEIGHT - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    return image


def main() -> None:
    """Write the picture to the path that is given."""
    rows = [[picture(*scene, level, f"{level}: {scene[1].replace('_', ' ')}") for scene in SCENES] for level in LEVELS]
    rows.append([picture(kitchen, task, "easy", task.replace("_", " ")) for kitchen, task in DOORS])
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    path = Path(sys.argv[1])
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    print(path)


if __name__ == "__main__":
    main()
