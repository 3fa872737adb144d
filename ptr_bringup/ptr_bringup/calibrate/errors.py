# SPDX-License-Identifier: Apache-2.0
"""The error of the calibration commands."""

from __future__ import annotations

from ptr_models.common.errors import PtrError


class CalibrationError(PtrError):
    """The measurement failed or is not good enough; the message says why and what to do."""
