"""Run the policy that a policy server has loaded, in five scenes of the simulator.

First, in another terminal:
ptr launch ptr_bringup deploy.launch.xml task:=put_carrot_on_plate checkpoint:=models/checkpoints/ptr_small
"""

from ptr_bringup.client import Robot

TASK, KITCHEN = "put_carrot_on_plate", "toykitchen1"

with Robot() as robot:
    robot.wait_until_ready()
    successes = 0
    for seed in range(5):
        robot.stage.begin(KITCHEN, TASK, seed)  # lays out the scene, and brings the arm to its start
        run = robot.run_policy(TASK, until=lambda: robot.stage.outcome()[0])
        succeeded, reason = robot.stage.outcome()
        successes += succeeded
        print(f"scene {seed}: {run.result.value} after {run.steps} steps, mean Q {run.mean_q:.1f}; {reason}")
    print(f"{successes} of 5 succeeded")
