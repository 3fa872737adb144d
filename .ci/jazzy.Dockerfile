# SPDX-License-Identifier: Apache-2.0
# The suite on an installed ROS 2 Jazzy (Ubuntu 24.04), with the real cv_bridge, launch and rosbag2.
#
#     docker build --file .ci/jazzy.Dockerfile --tag ptr:jazzy .
#     docker run --rm ptr:jazzy
#
# It has not been built: where the suite was written there is no Docker. docs/reference/ros-versions.md says what was
# tried of Jazzy.
FROM ros:jazzy-ros-base

RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        g++ git make python3-dev python3-pip python3-venv libegl1 libopengl0 libgl1-mesa-dri \
        ros-jazzy-cv-bridge ros-jazzy-trajectory-msgs ros-jazzy-rosbag2-storage-mcap ros-jazzy-ros2launch \
    && rm -rf /var/lib/apt/lists/*

COPY . /ptr
WORKDIR /ptr
SHELL ["/bin/bash", "-c"]
RUN source /opt/ros/jazzy/setup.bash && make setup

CMD ["/bin/bash", "-c", "source /opt/ros/jazzy/setup.bash && make test"]
