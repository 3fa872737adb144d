"""Ask a checkpoint what it would do along an episode, without a robot and without ROS.

usage: python docs/examples/07_offline_policy.py CHECKPOINT FOLDER_OF_AN_EPISODE
"""

import sys

import numpy as np

from ptr_models.episodes.reader import read_episode
from ptr_models.inference.policy import Policy

policy = Policy.load(sys.argv[1])
episode = read_episode(sys.argv[2], policy.contract)
images = np.concatenate([episode.images[camera.name] for camera in policy.contract.cameras], axis=-1)
print("step   Q    dx dy dz (mm): policy | data        gripper: policy | data")
for step, action in enumerate(episode.actions):
    decision = policy.act(images[step], episode.states[step], episode.metadata.task)
    mine, data = (np.round(1000 * motion[:3]).astype(int) for motion in (decision.action, action))
    print(f"{step:4} {decision.q:6.1f}  {str(mine):>14} | {str(data):14}  {decision.action[6]:.1f} | {action[6]:.1f}")
