# SPDX-License-Identifier: Apache-2.0
"""The camera node on stand-ins of cv2.VideoCapture and pyrealsense2 that fail as they are told to; a test starts it.

`camera_on_stand_in.py WHAT,WHAT,... --ros-args ...`: what the camera does each time it is opened, the last one again
and again. `well`: images of a scene at rest with a sensor's noise. `freezes`, `tears`, `goes`: ten of these, and
then the last one for ever, or only the upper halves of images, or nothing. `frozen`: the last one of before.
`absent`: it can't be opened.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "ptr_bringup"))

from camera_stand_ins import Device, Frame, realsense  # noqa: E402

from ptr_models.common.jpeg import encode  # noqa: E402

PERIOD = 1.0 / 30.0
GOOD = 10
"""Images before a camera fails."""


class Camera:
    """What there is behind a stand-in, whatever library it is of."""

    def __init__(self, openings: list[str]) -> None:
        self._openings, self._noise, self._count = openings, np.random.default_rng(0), 0
        self._image = self._fresh()

    def opened(self) -> bool:
        """It is opened; False when that fails."""
        self.now, self._count = self._openings[0], 0
        self._openings = self._openings[1:] or self._openings
        return self.now != "absent"

    def _fresh(self) -> np.ndarray:
        return self._noise.integers(60, 200, (48, 64, 3), dtype=np.uint8)

    def take(self) -> np.ndarray | None:
        """The next image (48, 64, 3), a period later; None when it has gone."""
        time.sleep(PERIOD)
        self._count += 1
        if self.now == "goes" and self.failing:
            return None
        if self.now != "frozen" and not (self.now == "freezes" and self.failing):
            self._image = self._fresh()
        return self._image

    @property
    def failing(self) -> bool:
        return self._count > GOOD


def webcam(camera: Camera) -> type:
    """A cv2.VideoCapture."""

    class Webcam(Device):
        def __init__(self, name: str, backend: int) -> None:
            super().__init__(working=camera.opened())
            assert backend == cv2.CAP_V4L2

        def grab(self) -> bool:
            self.image = camera.take() if self.working else None
            return super().grab() and self.image is not None

        def retrieve(self):
            data = np.frombuffer(encode(self.image, 90), np.uint8)
            torn = camera.now == "tears" and camera.failing
            return True, data[None, : len(data) // 2 if torn else len(data)]

    return Webcam


def intel(camera: Camera):
    """A pyrealsense2 with one camera."""
    library = realsense(["817612071"])

    class Colour(Frame):
        def __init__(self, image: np.ndarray) -> None:
            super().__init__(library.timestamp_domain.system_time, 1e3 * time.time())
            self.image = image

        def get_data(self) -> np.ndarray:
            return self.image

    class Pipeline(library.pipeline):
        def start(self, config: object) -> Pipeline:
            if not camera.opened():
                raise RuntimeError("No device connected")
            return self

        def wait_for_frames(self, timeout: int) -> Frame:
            image = camera.take()
            if image is None:
                raise RuntimeError("Frame didn't arrive within 1000")
            return Colour(image)

        def stop(self) -> None:
            camera.now = "stopped"

    library.pipeline = Pipeline
    return library


def main() -> None:
    """Put the stand-ins in the libraries' places, and run the node as its entry point does."""
    camera = Camera(sys.argv.pop(1).split(","))
    cv2.VideoCapture = webcam(camera)
    sys.modules["pyrealsense2"] = intel(camera)
    from ptr_bringup.camera import node

    node.main()


if __name__ == "__main__":
    main()
