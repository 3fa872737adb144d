"""Read an episode as arrays on the control grid: images, states, actions.

usage: python docs/examples/04_read_a_bag.py FOLDER_OF_AN_EPISODE
"""

import sys

import numpy as np

from ptr_models.contract import Contract
from ptr_models.episodes.reader import read_episode

contract = Contract()  # the default one: 5 Hz, images of 64x64 pixels; see docs/reference/episodes.md
episode = read_episode(sys.argv[1], contract)
print(f"{episode.metadata.task}: {episode.metadata.outcome}, {len(episode)} steps")
for camera, images in episode.images.items():
    print(f"images of {camera}: {images.shape} {images.dtype}")
print(f"states: {episode.states.shape}, {', '.join(contract.proprioception)}")
print(f"actions: {episode.actions.shape}, {', '.join(contract.action)}")
way = np.abs(episode.actions[:, :3]).sum(axis=0)
closed = np.mean(episode.actions[:, 6] < 0.5)
print(f"way along x, y, z: {np.round(way, 3)} m; gripper closed in {closed:.0%} of the steps")
