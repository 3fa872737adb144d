"""Save the camera's image, and follow the arm while somebody drives it.

First, in another terminal: ptr launch ptr_bringup robot.launch.xml
"""

import cv2

from ptr_bringup.client import Robot

with Robot() as robot:
    robot.wait_until_ready()
    print(f"cameras: {', '.join(robot.cameras)}")
    image = robot.image()  # (height, width, 3), RGB
    cv2.imwrite("image.jpg", image[..., ::-1])
    print(f"image.jpg: {image.shape[1]}x{image.shape[0]} pixels")

    for _ in range(20):
        state = robot.state
        x, y, z = 1000 * state.pose.position
        print(f"{state.mode.name:15} x {x:4.0f} y {y:4.0f} z {z:4.0f} mm, gripper {state.gripper:.2f}, {state.source}")
        robot.sleep(0.1)
