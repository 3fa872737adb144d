"""Record an episode in which a program moves the arm.

First, in another terminal:
ptr launch ptr_bringup collect.launch.xml task:=put_carrot_on_plate device:=none directory:=data/examples
"""

from ptr_bringup.client import Robot

with Robot() as robot:
    robot.wait_until_ready(cameras=["over_shoulder"])
    robot.move_to("start", gripper=1.0)

    with robot.record("put_carrot_on_plate", operator="03_record.py") as episode:
        for direction in (-1, 1):
            for _ in range(10):
                robot.send_twist(linear=[0.0, 0.0, 0.02 * direction], duration=0.2)
                robot.sleep(0.2)
        robot.release()
        episode.outcome = "failure"
        episode.note = "down and up again, without the carrot"

    print(f"{episode.path}\nthe audit recommends: {episode.recommendation or 'nothing yet'}")
    for finding in episode.findings:
        print(f"  - {finding}")
