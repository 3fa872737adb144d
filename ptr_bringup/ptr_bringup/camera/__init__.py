# SPDX-License-Identifier: Apache-2.0
"""Cameras: from a device, a folder of images or a video file to JPEG on a topic."""
