# SPDX-License-Identifier: Apache-2.0
"""The evaluation's live state and reference image on ROS topics, and the services for the operator's page."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger

from ptr_bringup.ros.qos import LATCHED
from ptr_models.episodes.request_text import RequestTextError, check_texts
from ptr_msgs.msg import EvaluationSummary, EvaluationTrial
from ptr_msgs.srv import LabelTrial
from ptr_policy.evaluation.human_judge import judgment
from ptr_policy.evaluation.trials import Judgment, Trial, TrialsError

LABEL = {"outcome": 40, "reason": 2000, "annotator": 80}
"""Maximum length of a label's texts, characters."""
GO_AHEAD = {"ready": "the trial starts", "review": "the evaluation ends"}
"""Phases that wait for /evaluation/ready, and its effect."""
_COUNTS = ("task", "kitchen", "policy", "planned", "judged", "successes", "assisted")


class LiveStatus:
    """Publishes /evaluation/trial, summary and the reference image; offers /evaluation/ready, undo and label.

    Args:
        camera: over whose images the page shows the reference.
    Attributes:
        asks: a person judges. They may also label a trial while the policy is acting, which ends it.
        blind: letters stand for the policies, and viewers must not learn which is which.
    """

    def __init__(self, node: Node, camera: str = "") -> None:
        self._node, self._camera = node, camera
        self.asks = self.blind = False
        self._state = EvaluationTrial(phase="idle")
        self._lock = threading.Lock()
        self._ready = self._undo = False
        self._label: Judgment | None = None
        self._trial = node.create_publisher(EvaluationTrial, "evaluation/trial", LATCHED)
        self._summary = node.create_publisher(EvaluationSummary, "evaluation/summary", LATCHED)
        self._reference = node.create_publisher(CompressedImage, "evaluation/reference/compressed", LATCHED)
        node.create_service(Trigger, "evaluation/ready", self._on_ready)
        node.create_service(Trigger, "evaluation/undo", self._on_undo)
        node.create_service(LabelTrial, "evaluation/label", self._on_label)

    def expect(self, planned: int, scenes: int) -> None:
        """Set the number of trials and scenes."""
        self._set(planned=planned, scenes=scenes)

    def open_trial(self, trial: Trial) -> None:
        """Start a trial."""
        self._set(
            index=trial.index,
            scene=trial.scene,
            task=trial.task,
            kitchen=trial.kitchen,
            instruction=trial.task.replace("_", " "),
            policy_label=trial.policy,
            takeover_steps=0,
            assisted=False,
            fault="",
        )

    def show(self, phase: str, message: str = "", undo: str = "", **values: Any) -> None:
        """Publish the trial's phase. Answers to an earlier phase are dropped, except for a label that ended the run.

        Args:
            phase: see EvaluationTrial.
            undo: the judgment that can be undone now, in words.
        """
        with self._lock:
            if phase != self._state.phase:
                self._ready = self._undo = False
                self._label = self._label if phase == "label" else None
            may_label = phase == "label" or (phase == "running" and self.asks)
            self._set(phase=phase, message=message, may_label=may_label, undo=undo, blind=self.blind, **values)
            self._trial.publish(self._state)

    def show_reference(self, image: bytes | None) -> None:
        """Publish the image that the scene should match; None: none yet."""
        message = CompressedImage(format="jpeg")
        message.header.frame_id = self._camera
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.data = image or b""
        self._reference.publish(message)

    def announce(self, summary: Mapping[str, Any]) -> None:
        """Publish the counts so far, see `summarise`."""
        low, high = summary["wilson_95"]
        counts = {key: summary[key] for key in _COUNTS}
        outcomes = [trial["outcome"] for trial in summary["trials"]]
        self._summary.publish(EvaluationSummary(**counts, interval_low=low, interval_high=high, outcomes=outcomes))

    def pop_ready(self) -> bool:
        """See `human_judge.Page`."""
        with self._lock:
            ready, self._ready = self._ready, False
        return ready

    def pop_undo(self) -> bool:
        """See `human_judge.Page`."""
        with self._lock:
            undo, self._undo = self._undo, False
        return undo

    @property
    def labelled(self) -> bool:
        """See `human_judge.Page`."""
        return self._label is not None

    def pop_label(self) -> Judgment | None:
        """See `human_judge.Page`."""
        with self._lock:
            label, self._label = self._label, None
        return label

    def _on_ready(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            effect = GO_AHEAD.get(self._state.phase, "")
            response.success = bool(effect)
            self._ready = self._ready or response.success
        response.message = effect or self._not_now("a scene to be set up")
        return response

    def _on_undo(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            response.success = bool(self._state.undo)
            self._undo = self._undo or response.success
        response.message = f"undone: {self._state.undo}" if response.success else self._not_now("an undo")
        return response

    def _on_label(self, request: LabelTrial.Request, response: LabelTrial.Response) -> LabelTrial.Response:
        score = None if math.isnan(request.score) else float(request.score)
        with self._lock:
            if not self._state.may_label:
                response.success, response.message = False, self._not_now("a label")
                return response
            try:
                check_texts(request, LABEL)
                self._label = judgment(request.outcome, score, request.reason, request.annotator)
            except (TrialsError, RequestTextError) as error:
                response.success, response.message = False, str(error)
                return response
            response.success, response.message = True, f"trial {self._state.index + 1} is a {request.outcome}"
        return response

    def _not_now(self, wanted: str) -> str:
        return f"no trial is waiting for {wanted}: the evaluation is in phase {self._state.phase}"

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._state, name, value)
