"""Move the arm: named poses, a pose, velocities, the gripper.

First, in another terminal: ptr launch ptr_bringup robot.launch.xml
"""

from dataclasses import replace

import numpy as np

from ptr_bringup.client import Robot

with Robot() as robot:
    robot.wait_until_ready()
    robot.move_to("start", gripper=1.0)
    start = robot.state.pose
    print(f"start: {np.round(start.position, 3)} m")

    robot.move_to(replace(start, position=start.position + [0.0, 0.05, -0.03]))
    print(f"left and down: {np.round(robot.state.pose.position, 3)} m")

    for _ in range(5):  # 1 s at 5 Hz, as a policy commands
        robot.send_twist(linear=[0.0, -0.05, 0.03], duration=0.2)
        robot.sleep(0.2)
    robot.release()
    print(f"back: {np.round(robot.state.pose.position, 3)} m")

    print(f"closed to {robot.gripper(0.0):.2f}, opened to {robot.gripper(1.0):.2f}")
    robot.move_to("start")
